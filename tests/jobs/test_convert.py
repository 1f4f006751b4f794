"""The command that converts: what it writes, what it says, and what it refuses."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from jobs.convert import main
from sigmaflow.generators import load_gan, load_generator
from sigmaflow.generators.export import export_state
from sigmaflow.generators.pickles.write import generator, write_pickle
from sigmaflow.rewards.model import RewardModel


@pytest.fixture
def snapshot(tiny_gan, tmp_path):
    path = tmp_path / "tiny.pkl"
    write_pickle(tiny_gan, path, torch.rand(25))
    return path


def refused(capsys, *arguments):
    """The one line that is said when a conversion is refused."""
    assert main([str(a) for a in arguments]) == 2
    caught = capsys.readouterr()
    assert caught.out == ""
    (line,) = caught.err.splitlines()
    return line


def test_a_snapshot_becomes_a_checkpoint(snapshot, tiny_gan, tmp_path, capsys):
    assert main([str(snapshot), str(tmp_path / "gan")]) == 0
    said = capsys.readouterr().out
    assert "TriPlaneGenerator, 16 pixels" in said and "XY, XZ, ZX, 16 x 16" in said
    assert f"D {sum(p.numel() for p in tiny_gan.D.parameters()):,}" in said
    read = load_gan(tmp_path / "gan")
    want = tiny_gan.G.state_dict()
    assert all(torch.equal(v, want[k]) for k, v in read.G.state_dict().items())
    assert read.meta["source"] == "tiny.pkl" and len(read.meta["source_sha256"]) == 64
    assert main([str(snapshot), str(tmp_path / "gan")]) == 0  # again: nothing to do


def test_refusals_are_one_line(snapshot, tmp_path, capsys):
    assert "something else" in refused(capsys, snapshot, tmp_path)
    assert "nowhere.pkl" in refused(capsys, tmp_path / "nowhere.pkl", tmp_path / "gan")
    assert "unzip" in refused(capsys, tmp_path, tmp_path / "gan")
    (tmp_path / "bad.pkl").write_bytes(b"\x80\x04cos\nsystem\n.")
    assert "os.system" in refused(capsys, tmp_path / "bad.pkl", tmp_path / "gan")
    assert not (tmp_path / "gan").exists()


def test_torch_is_not_imported_to_show_help():
    code = "import jobs.convert, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
@pytest.mark.parametrize("network", ["G_ema", "D"])
def test_export(snapshot, tiny_gan, tmp_path, capsys, ending, network):
    from safetensors.torch import load_file

    folder, out = tmp_path / "gan", tmp_path / f"x.{ending}"
    assert main([str(snapshot), str(folder)]) == 0
    assert main(["--export", "--network", network, str(folder), str(out)]) == 0
    read = torch.load(out, weights_only=True) if ending == "pt" else load_file(out)
    module = getattr(tiny_gan, network)
    module.load_state_dict(read, strict=True)
    assert all(torch.equal(v, read[k]) for k, v in export_state(module).items())
    capsys.readouterr()
    assert "exists already" in refused(
        capsys, "--export", "--network", network, str(folder), str(out)
    )
    assert "ends in" in refused(capsys, "--export", str(folder), str(tmp_path / "x.pkl"))


def test_export_keeps_the_label_std_if_told(snapshot, tmp_path):
    main([str(snapshot), str(tmp_path / "gan")])
    plain = export_state(tmp_path / "gan")
    whole = export_state(tmp_path / "gan", label_std=True)
    assert set(whole) - set(plain) == {"dataset_label_std"}


def test_sweeps_say_what_to_do_with_a_pickle(snapshot, tiny_images, tmp_path, capsys):
    from jobs.launch import main as launch
    from sweeps import write_sweep

    assert launch([str(write_sweep(tmp_path, snapshot, tiny_images))]) == 2
    said = capsys.readouterr().err
    assert f"python -m jobs.convert {snapshot} tiny" in said


def test_what_can_only_be_scored(tiny_gan, tiny_images, tmp_path, capsys):
    """A sweep that trains refuses it; a score takes its two files."""
    import io

    from jobs.launch import main as launch
    from jobs.sweep.graph import checkpoint_files
    from jobs.sweep.outside import SCORED_FILES, _holds
    from sigmaflow.generators.pickles.write import Emitter
    from sweeps import write_sweep

    file = io.BytesIO()
    emitter = Emitter(file)
    emitter.put({"G_ema": generator(tiny_gan.G_ema)})
    emitter.stop()
    (tmp_path / "x.pkl").write_bytes(file.getvalue())
    folder = tmp_path / "gan"
    assert main([str(tmp_path / "x.pkl"), str(folder)]) == 0
    assert "scored" in capsys.readouterr().out
    assert launch([str(write_sweep(tmp_path, folder, tiny_images))]) == 2
    assert "not trained on" in capsys.readouterr().err
    assert _holds(str(folder), SCORED_FILES) == str(folder)
    assert [Path(f.path).name for f in checkpoint_files(str(folder))] == [
        "config.json",
        "G_ema.safetensors",
    ]
    assert load_generator(folder).z_dim == 8


# ---------------------------------------------------------------------- reward bundles

CONFIG = """
data:
  dset_dict: {{selected_dtypes: [sigma_field_256]}}
  augmentations:
    upper: 50
    upper_norm: {upper}
    tune: [{{_target_: os.system, command: 'touch {marker}'}}]
model: {{_target_: src_rlhf.models.base.UniversalRWDModel}}
"""


@pytest.fixture(scope="module")
def released():
    """A network with the released keys and narrow layers."""
    from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
    from sigmaflow.rewards.model import RewardConfig

    torch.manual_seed(0)
    return RewardModel(
        RewardConfig(
            grid=Grid(resolution=256, pads=SLAB_ENTIRE), f_maps=(8, 16, 24, 32, 40, 48),
            feature_size=64, trunk=(16, 16), trunk_out=16, head=(16, 8),
            heads=("bt", "scalar", "pairs"),
        )
    )  # fmt: skip


def bundle(tmp_path, released, name="run_config.yaml", upper="100", wrap=False, **save):
    folder = tmp_path / "7wnzkgie"
    folder.mkdir(exist_ok=True)
    state = released.state_dict()
    torch.save({"state_dict": state} if wrap else state, folder / "best_model.pt", **save)
    marker = tmp_path / "marker"
    (folder / name).write_text(CONFIG.format(upper=upper, marker=marker))
    return folder


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_bundle_becomes_a_reward(tmp_path, released, capsys, wrap, zipped):
    folder = bundle(
        tmp_path, released, wrap=wrap, name=("release", "run")[wrap] + "_config.yaml",
        upper="${multiply:${data.augmentations.upper},2}" if wrap else "100",
        _use_new_zipfile_serialization=zipped,
    )  # fmt: skip
    assert main([str(folder), str(tmp_path / "reward")]) == 0
    assert "slab (128, 141, 129)" in capsys.readouterr().out
    read = RewardModel.load(tmp_path / "reward" / "reward.safetensors")
    want = released.state_dict()
    assert len(want) == len(read.state_dict()) == 179
    assert all(torch.equal(v, want[k]) for k, v in read.state_dict().items())
    assert read.config == released.config and read.config.upper == 100
    assert not (tmp_path / "marker").exists()
    assert main([str(folder), str(tmp_path / "reward")]) == 0
    other = RewardModel(released.config)
    torch.save(other.state_dict(), folder / "best_model.pt")
    capsys.readouterr()
    assert "something else" in refused(capsys, folder, tmp_path / "reward")


@pytest.mark.parametrize("text", [
    "data: {augmentations: {upper_norm: ten}}",
    "data: {dset_dict: {selected_dtypes: [depth_map]}}",
    "!!python/object/apply:os.system ['true']",
    "[" * 3000,
    "- 1",
    "a: [",
])  # fmt: skip
def test_configurations_that_are_refused(tmp_path, released, capsys, text):
    folder = bundle(tmp_path, released)
    (folder / "run_config.yaml").write_text(text)
    assert "run_config.yaml" in refused(capsys, folder, tmp_path / "reward")


def test_weights_that_are_refused(tmp_path, released, capsys):
    import pickle
    import zipfile

    folder, out = bundle(tmp_path, released), tmp_path / "reward"
    path = folder / "best_model.pt"
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    assert "archive" in refused(capsys, folder, out)
    path.write_bytes(b"")
    assert "0 bytes" in refused(capsys, folder, out)
    torch.save(print, path)
    assert "print" in refused(capsys, folder, out)
    path.write_bytes(pickle.dumps(print, 2))
    assert "print" in refused(capsys, folder, out)
    torch.save({"a": torch.ones(3)}, path)
    assert "not the released reward network" in refused(capsys, folder, out)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("best_model/data.pkl", b"\0" * (1 << 24))
    assert "compressed" in refused(capsys, folder, out)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", b"x")
    assert "not of torch.save" in refused(capsys, folder, out)
    assert not out.exists()


def test_numbers_claimed_and_not_there(tmp_path, released, capsys):
    """A zip whose description claims a larger storage than its member."""
    import zipfile

    folder = bundle(tmp_path, released)
    path = folder / "best_model.pt"
    torch.save({"w": torch.zeros(100)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    name = next(n for n in members if n.endswith("data.pkl"))
    members[name] = members[name].replace(b"Kd", b"M\xff\xff")
    assert b"M\xff\xff" in members[name]
    with zipfile.ZipFile(path, "w") as archive:
        for n, raw in members.items():
            archive.writestr(n, raw)
    assert "claims a storage" in refused(capsys, folder, tmp_path / "reward")
