"""Table 2 and Figures 7 to 10 of a fine-tune, through the command that users type."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pyarrow import parquet

from jobs.compare import control_of, find, main
from jobs.output import scores
from jobs.output.tables import SCHEMA

QUICK = ["--on", "inline", "--set", "seeds=6", "--set", "block=4",
         "--set", "evaluation.fid_images=100", "--set", "evaluation.mesh_seeds=1",
         "--set", "evaluation.mesh_resolution=32"]  # fmt: skip


def compare(runs, *arguments):
    quick = QUICK
    if "--no-fid" in arguments:  # its images are refused where none are taken
        i = QUICK.index("evaluation.fid_images=100")
        quick = [*QUICK[: i - 1], *QUICK[i + 1 :]]
    return main([*map(str, arguments), "--runs", str(runs), *quick])


def fine_tune(runs, lambda_r):
    for path in runs.glob("store/finetune/[!.]*/task.json"):
        if json.loads(path.read_text())["config"]["finetune"]["lambda_r"] == lambda_r:
            return path.parent
    raise AssertionError(lambda_r)


def table(runs, name):
    return pd.read_parquet(runs / "tables" / f"{name}.parquet")


def test_of_a_key_alone_all_else_is_known(runs, capsys):
    tuned, control = fine_tune(runs, 10.0), fine_tune(runs, 0.0)
    assert compare(runs, tuned.name[:8], "--name", "it") == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said[-5:]] == [
        "original",
        "control",
        "tuned",
        "tuned",
        "control",
    ]
    rewards, two = table(runs, "it-rewards"), table(runs, "it-table2")
    assert rewards["seed"].tolist() == list(range(200000, 200006))
    assert np.allclose(rewards["delta"], rewards["after"] - rewards["before"])
    assert two["configuration"].tolist() == ["original", "control", "tuned"]
    assert two["reward_mean"].tolist() == pytest.approx(
        rewards[["before", "control", "after"]].mean().tolist()
    )
    assert two["fid"].gt(0).all() and set(two["fid_name"]) == {"fid_mini"}
    assert two["fid_change"].isna().tolist() == [True, False, False]
    assert two["fid_change"][2] == pytest.approx(two["fid"][2] - two["fid"][0])

    slope, ticks = table(runs, "it-slope"), table(runs, "it-ticks")
    assert slope["source"].tolist() == ["ticks", "ticks"] and slope["n"].tolist() == [4, 4]
    for name, folder in (("tuned", tuned), ("control", control)):
        own = pd.read_parquet(folder / "ticks.parquet")
        found = ticks[ticks["configuration"] == name].drop(columns="configuration")
        pd.testing.assert_frame_equal(found.reset_index(drop=True), own, check_like=True)
        first, last = (
            own[own["images_seen"] == n].sort_values("seed")["reward"].to_numpy()
            for n in (own["images_seen"].min(), own["images_seen"].max())
        )
        row = slope[slope["configuration"] == name].iloc[0]
        assert row["slope"] == pytest.approx(np.polyfit(first, last, 1)[0])
    difference = slope["slope"][0] - slope["slope"][1]
    assert slope["against_control"][0] == pytest.approx(difference)

    for name in ("rewards", "trajectories", "final_against_initial", "meshes"):
        assert (runs / "figures" / f"it-{name}.pdf").read_bytes().startswith(b"%PDF")
        with Image.open(runs / "figures" / f"it-{name}.png") as picture:
            assert np.asarray(picture.convert("L")).std() > 1
    text = (runs / "tables" / "it-table2.tex").read_text()
    assert "fid\\_mini" in text and f"{two['fid'][2]:.3f}" in text
    assert "ratio of sd" in (runs / "tables" / "it-slope.tex").read_text()
    said = parquet.read_schema(runs / "tables" / "it-table2.parquet").metadata
    assert said[SCHEMA.encode()] == b"scores 3"

    assert compare(runs, tuned, "--name", "it") == 0  # by its folder: the same tasks
    assert "nothing to do" in capsys.readouterr().out


def test_of_two_checkpoints_and_a_reward(runs, tiny_checkpoint, tmp_path, capsys):
    tuned = fine_tune(runs, 10.0)
    moved = shutil.copytree(tuned / "gan", tmp_path / "elsewhere")
    reward = json.loads((tuned / "task.json").read_text())["inputs"]["reward"]
    place = runs / "store" / "reward" / reward[:20]
    for said in (place, place / "reward.safetensors"):
        assert compare(runs, tiny_checkpoint, moved, "--reward", said, "--no-fid") == 0
    two, slope = table(runs, "compare-elsewhere-table2"), table(runs, "compare-elsewhere-slope")
    assert two["configuration"].tolist() == ["original", "tuned"] and two["fid"].isna().all()
    assert slope["source"].tolist() == ["seeds"] and slope["against_control"].isna().all()
    assert not (runs / "figures" / "compare-elsewhere-trajectories.png").exists()
    assert "FID" not in (runs / "tables" / "compare-elsewhere-table2.tex").read_text()


@pytest.mark.parametrize("arguments,said", [
    (["nonsense"], "no such folder, and no key begins so; fine-tunes in .*fine-tune lambda_r"),
    (["mini"], "what it began from is not known; say it: python -m jobs.compare BEFORE mini"),
    (["mini", "mini"], "--reward: the fine-tune's own is not known"),
    (["mini", "mini", "--reward", "none.safetensors"], "no trained reward is there"),
    (["."], "no checkpoint .config.json. and no finished fine-tune"),
])  # fmt: skip
def test_what_cannot_be_asked_is_one_line(
    tiny_sweep, tmp_path, capsys, monkeypatch, arguments, said
):
    monkeypatch.chdir(tmp_path)
    assert compare(tiny_sweep.runs, *arguments) == 2
    out = capsys.readouterr()
    assert out.out == "" and len(out.err.splitlines()) == 1
    assert re.search(said, out.err), out.err


def test_a_beginning_of_several_keys(runs):
    tuned = fine_tune(runs, 10.0)
    shutil.copytree(tuned, tuned.with_name(tuned.name[:8] + "0" * 12))
    with pytest.raises(LookupError, match="several keys begin so.*" + tuned.name[:8]):
        find(tuned.name[:8], runs)


def test_trajectories_must_be_a_fine_tunes(tiny_sweep, tiny_checkpoint, tmp_path, capsys):
    reward = next(tiny_sweep.runs.glob("store/reward/[!.]*/reward.safetensors"))
    tuned = fine_tune(tiny_sweep.runs, 10.0) / "gan"
    for name, said in (
        ("accuracy.parquet", "no column images_seen, reward, seed; give the"),
        ("reward.json", "is no Parquet file"),
        ("none", "is no file"),
    ):
        assert (
            compare(
                tiny_sweep.runs,
                tiny_checkpoint,
                tuned,
                "--reward",
                reward,
                "--no-fid",
                "--set",
                f"ticks={reward.with_name(name)}",
            )
            == 2
        )
        assert said in capsys.readouterr().err


def test_the_control_differs_in_nothing_else(runs):
    tuned, control = find(str(fine_tune(runs, 10.0)), runs), fine_tune(runs, 0.0)
    assert control_of(tuned).result == control
    assert control_of(find(str(control), runs)) is None
    spec = json.loads((control / "task.json").read_text())
    spec["config"]["finetune"]["g_lr"] *= 2
    (control / "task.json").write_text(json.dumps(spec))
    assert control_of(tuned) is None


def test_without_trajectories_of_each_run_the_scored_seeds_speak():
    found = {"before": {1: 0.0, 2: 1.0, 3: 3.0}, "after": {1: 2.0, 2: 2.5, 3: 3.5},
             "control": {1: 0.1, 2: 1.0, 3: 2.9}}  # fmt: skip
    rewards = scores.rewards_table(found)
    ticks = scores.ticks_table({"after": pd.DataFrame(
        {"images_seen": [0, 0, 0, 8, 8, 8], "seed": [7, 8, 9] * 2,
         "reward": [0.0, 1.0, 2.0, 3.0, 3.1, 3.9]})})  # fmt: skip
    runs, source = scores.initial_and_final(rewards, ticks)
    assert source == "seeds" and runs["control"]["final"].tolist() == [0.1, 1.0, 2.9]
    slope = scores.slope_table(runs, source).set_index("configuration")
    assert slope["slope"]["tuned"] == pytest.approx(0.5)
    assert slope["against_control"]["tuned"] == pytest.approx(0.5 - slope["slope"]["control"])
    alone = scores.rewards_table({k: found[k] for k in ("before", "after")})
    runs, source = scores.initial_and_final(alone, ticks)
    assert source == "ticks" and runs["tuned"]["seed"].tolist() == [7, 8, 9]
    assert runs["tuned"]["final"].tolist() == [3.0, 3.1, 3.9]
