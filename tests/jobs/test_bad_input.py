"""A bad sweep is refused whole: every problem at once, before any work, and nothing is made."""

import shutil
import struct
import zipfile

import numpy as np
import pytest

from jobs.launch import main
from sweeps import write_sweep


def refused(capsys, *arguments):
    """The lines of a launch that must be refused."""
    assert main([str(a) for a in arguments]) == 2
    caught = capsys.readouterr()
    assert caught.out == "" and "Traceback" not in caught.err
    return caught.err.splitlines()


def one(lines, *words):
    """The only line that holds all of these words."""
    found = [line for line in lines if all(w in line for w in words)]
    assert len(found) == 1, (words, lines)
    return found[0]


def line_of(path, text):
    return next(i for i, line in enumerate(path.read_text().splitlines(), 1) if text in line)


@pytest.fixture
def rankings(tmp_path):
    """A seed against itself, a contradiction, no number, and cut off in the last line."""
    path = tmp_path / "rankings.csv"
    path.write_text(",rank1,rank2\n0,1,2\n1,5,5\n2,2,1\n3,x,4\n4,6,7\n5,8")
    return path


def test_all_problems_at_once(tmp_path, tiny_images, rankings, capsys):
    sweep = write_sweep(
        tmp_path, tmp_path / "nowhere", tiny_images,
        rewards={"split_seed": 1},
        finetune={"bacth": 4, "kimg": "many"},
        evaluation={"psi": 3, "extractor": "stlpips-alx"},
        rankings={"file": str(rankings)},
    )  # fmt: skip
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    runs = in_the_way / "runs"
    before = sorted(tmp_path.rglob("*"))
    lines = refused(
        capsys, sweep, "--runs", runs, "--on", "locla", "--set", "search.trials=0", "--set", "oops"
    )

    def at(text):
        return f"{sweep}:{line_of(sweep, text)}: "

    assert lines[0] == f"{len(lines) - 1} problems:"
    one(lines, at("rewards:"), "unknown key", 'did you mean "reward"')
    one(lines, at("bacth:"), "finetune.bacth", "unknown key", 'did you mean "batch"')
    one(lines, at("kimg: many"), "finetune.kimg", "'many'", "number")
    one(lines, at("psi:"), "evaluation.psi", "3", "less than or equal to 1")
    one(lines, at("extractor:"), 'did you mean "stlpips-alex"')
    one(lines, at("checkpoint:"), "nowhere", "no checkpoint folder", "config.json")
    one(lines, f"{rankings}:3 [rank1,rank2]", "5,5", "against itself", "remove the line")
    one(lines, f"{rankings}:4 [rank1,rank2]", "contradicts line 2")
    one(lines, f"{rankings}:5 [rank1]", "not an integer")
    one(lines, f"{rankings}:7", "2 fields instead of 3", "cut off")
    one(lines, f"--runs {runs}", "is no folder", "give another place")
    one(lines, "--on locla", "no such file or profile", "inline, local")
    one(lines, "--set search.trials=0", "greater than or equal to 1")
    one(lines, "--set oops", "must look like key=value")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "the file is empty"),
        (",rank1,rank2\n0,1,2\n1,3,4\n2,5,6", "the last line has no end"),
        (",rank1,rank_2\n0,1,2\n", "rename 'rank_2' to 'rank2'"),
        (",rank1,rank2\n0,1,2\n1,3,4\n", "has 2 pairs; give at least 4"),
    ],
)
def test_bad_rankings_are_found_before_any_work(
    tmp_path, tiny_checkpoint, tiny_images, capsys, text, said
):
    path = tmp_path / "rankings.csv"
    path.write_text(text)
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images, rankings={"file": str(path)})
    runs = tmp_path / "runs"
    assert said in "\n".join(refused(capsys, sweep, "--runs", runs, "--on", "inline"))
    assert not runs.exists()


def test_many_problems_of_one_file_are_cut_short(tmp_path, tiny_checkpoint, tiny_images, capsys):
    path = tmp_path / "rankings.csv"
    path.write_text(",rank1,rank2\n" + "".join(f"{i},{i},{i}\n" for i in range(500)))
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images, rankings={"file": str(path)})
    lines = refused(capsys, sweep, "--runs", tmp_path / "runs", "--on", "inline")
    assert len(lines) == 22 and "480 more problems" in lines[-1]


def test_damaged_images_and_checkpoints_are_found(tmp_path, tiny_checkpoint, tiny_images, capsys):
    cut = tmp_path / "cut.zip"
    cut.write_bytes(tiny_images.read_bytes()[:2000])
    partial = tmp_path / "gan"
    partial.mkdir()
    (partial / "config.json").write_bytes((tiny_checkpoint / "config.json").read_bytes())
    sweep = write_sweep(tmp_path, partial, cut)
    lines = refused(capsys, sweep, "--runs", tmp_path / "runs", "--on", "inline")
    one(lines, "checkpoint", "G_ema.safetensors, G.safetensors, D.safetensors")
    one(lines, "images", "cut.zip", "not a readable zip", "copy it again")
    write_sweep(tmp_path, partial, tmp_path)
    one(refused(capsys, sweep, "--runs", tmp_path / "runs"), "images", "dataset.json: missing")


@pytest.mark.parametrize("given, value", [
    ("finetune.clamp={low: .nan, high: 10}", ".nan"),
    ("finetune.g_lr=.inf", ".inf"),
    ("finetune.r1_gamma=-.inf", "-.inf"),
    ("annotator.config.level=.NaN", ".NaN"),
    ("search.constraints={fid: {max: .nan}}", ".nan"),
    ("search.space={lambda_r: {low: 0, high: .inf}, lambda_c: {low: 0, high: 1}}", ".inf"),
    ("reward.train.lr=1e999", "1e999"),
    ("slab.length=.inf", ".inf"),
])  # fmt: skip
def test_a_number_that_is_none_is_refused(
    tmp_path, tiny_checkpoint, tiny_images, capsys, given, value
):
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images)
    runs = ("--runs", tmp_path / "runs", "--dry-run")
    lines = refused(capsys, sweep, *runs, "--set", given)
    one(lines, f"--set {given}: ", repr(value), "no finite number")
    key, _, rest = given.partition("=")
    if "{" not in rest:  # the same in the file
        first, *more = key.split(".")
        inner = rest
        for name in reversed(more):
            inner = f"{{{name}: {inner}}}"
        text = sweep.read_text()
        sweep.write_text(f"{text}notes:\n  {first}: {inner}\n")
        one(refused(capsys, sweep, *runs), f"{sweep}:", repr(value), "no finite number")


def test_statistics_that_were_cut_off_are_found_before_any_work(
    tmp_path, tiny_checkpoint, tiny_images, capsys
):
    path = tmp_path / "cut.npz"
    np.savez(path, mu=np.zeros(500))
    path.write_bytes(path.read_bytes()[:-60])
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images)
    lines = refused(capsys, sweep, "--runs", tmp_path / "runs", "--dry-run",
                    "--set", f"evaluation.fid_reference={path}")  # fmt: skip
    one(lines, "evaluation.fid_reference", f"{path}: no whole .npz", "copy or make it again")


def test_an_editors_lock_beside_pictures_is_no_picture(tmp_path, tiny_checkpoint, tiny_images):
    folder = tmp_path / "set"
    with zipfile.ZipFile(tiny_images) as archive:
        archive.extractall(folder)
    (folder / ".#dataset.json").symlink_to("someone@host.1234:99")
    sweep = write_sweep(tmp_path, tiny_checkpoint, folder)
    assert main([str(sweep), "--runs", str(tmp_path / "runs"), "--dry-run"]) == 0


@pytest.mark.parametrize("spoil, said", [
    (lambda gan: (gan / "G.safetensors").write_bytes((gan / "D.safetensors").read_bytes()),
     "G.safetensors: holds no tensor backbone.mapping.embed.bias, and by G_ema.safetensors"),
    (lambda gan: (gan / "D.safetensors").write_bytes((gan / "D.safetensors").read_bytes()[:-1]),
     "D.safetensors: 21983 bytes, of 21984 that its header tells"),
    (lambda gan: (gan / "D.safetensors").write_bytes(
        struct.pack("<Q", 56) + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0, 0]}} '),
     "D.safetensors: no whole safetensors file (a: 0 bytes for [9] of F32)"),
])  # fmt: skip
def test_headers_of_a_checkpoint_tell_what_does_not_fit(
    tmp_path, tiny_checkpoint, tiny_images, capsys, spoil, said
):
    gan = tmp_path / "gan"
    shutil.copytree(tiny_checkpoint, gan)
    spoil(gan)
    sweep = write_sweep(tmp_path, gan, tiny_images)
    one(refused(capsys, sweep, "--runs", tmp_path / "runs", "--dry-run"), "checkpoint:", said)


def test_a_read_only_place_is_refused(tmp_path, tiny_checkpoint, tiny_images, capsys):
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images)
    # Not even root can make folders in /proc.
    for runs in ("/proc/runs", sweep, sweep / "deep" / "runs"):
        one(refused(capsys, sweep, "--runs", runs, "--on", "inline"), "--runs")


def test_a_sweep_that_is_not_there_names_those_that_are(tmp_path, capsys):
    (tmp_path / "lambda.yaml").write_text("kind: sweeep\n")
    one(refused(capsys, tmp_path / "lamda.yaml"), "no such file", "lambda.yaml")
    one(refused(capsys, tmp_path / "lambda.yaml"), "lambda.yaml:1: kind:", "'sweeep'", "pretrain")


def test_what_is_rendered_cannot_be_scored_truncated(
    tmp_path, tiny_checkpoint, tiny_images, capsys
):
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images)
    shared = ("--set", "finetune.reward_phase=shared", "--set", "rankings.psi=0.7")
    lines = refused(capsys, sweep, *shared)
    one(lines, "finetune", "noise_mode must be const or none")
    lines = refused(capsys, sweep, *shared, "--set", "finetune.noise_mode=const")
    one(lines, "rankings.psi 0.7", "set rankings.psi to 1, or reward_phase to summed")


@pytest.mark.parametrize("place", ["store", "store/reward", "sweeps", "optuna", "tables"])
def test_a_file_where_results_belong(tmp_path, tiny_checkpoint, tiny_images, capsys, place):
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images)
    path = tmp_path / "runs" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    for more in ((), ("--dry-run",)):
        lines = refused(capsys, sweep, "--runs", str(tmp_path / "runs"), *more)
        one(lines, f"{path} is a file where a folder of results belongs; move it away")
