"""`pytest tests/golden [--golden DIR]`: every array of every folder, or a failure that names it."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sigmaflow.generators import RaySampling

from .folders import Compared, Folder, Kind, NotCovered, Report, check
from .kinds import KINDS, kind_of


def test_folder(golden_folder, golden_report):
    folder = Folder(golden_folder)
    kind = kind_of(folder)
    names = ", ".join(k.name for k in KINDS)
    assert kind is not None, f"{folder.path}: none of the known kinds ({names})"
    report = Report(folder.name, kind.name)
    golden_report.append(report)
    if kind.compare is None:
        report.not_covered[kind.elsewhere] = sorted(folder.arrays) or ["the whole folder"]
        return
    check(folder, kind, report)
    assert report.rows, f"{folder.path}: nothing was compared"
    assert not report.problems, "\n".join([f"{folder.path}:", *report.problems])


@pytest.fixture
def made(tmp_path):
    """A folder of its own, and a run of it over given comparisons."""
    values = dict(z=np.ones(3), good=np.arange(3.0), other=np.ones(2), left=np.ones(1))
    np.savez(tmp_path / "cases.npz", **values)

    def run(*items):
        def compare(folder):
            folder["z"]
            yield from items

        report = Report("made", "made")
        check(Folder(tmp_path), Kind("made", lambda folder: True, compare), report)
        return report

    return run


def test_what_is_not_compared_is_a_problem(made):
    report = made(Compared("good", np.arange(3.0), 1e-5), Compared("other", np.ones(2), 1e-5))
    assert report.problems == ["left: in cases.npz, but not compared"]
    assert report.inputs == ["z"]


def test_what_is_above_its_bar_is_a_problem(made):
    wrong = [Compared("good", np.arange(3.0) * 1.01, 1e-5), Compared("other", [1, np.nan], 1)]
    report = made(*wrong, Compared("left", np.ones(1), 0))
    assert [p.split(":")[0] for p in report.problems] == ["good", "other"]


def test_what_is_not_covered_is_listed_with_its_reason(made):
    report = made(
        Compared("good", np.arange(3.0), 0), NotCovered("o", "why"), NotCovered("le", "because")
    )
    assert report.not_covered == {"why": ["other"], "because": ["left"]} and not report.problems


def test_another_shape_is_an_error(made):
    with pytest.raises(AssertionError, match="good"):
        made(Compared("good", np.zeros((1, 3)), 1))


def write_folder(path, tiny_gan, psi, cutoff):
    """A folder in the layout of the stored ones, of other sizes and with fewer arrays."""
    G = tiny_gan.G_ema
    rng = np.random.RandomState(1)
    z, c = rng.randn(3, G.z_dim), G.canonical_label().repeat(3, 1)
    with torch.no_grad():
        ws = G.mapping(torch.as_tensor(z), c, psi, cutoff)
        out = G.synthesis(ws[1:], c[1:], 4, "none", RaySampling(deterministic=True))
        raw = G.planes(ws).flatten(1, 2)
    case = dict(
        neural_rendering_resolution=4, samples=[1, 2], ws=f"ws_psi_cut{cutoff}",
        backbone_noise_mode="none",
    )  # fmt: skip
    config = dict(
        class_name="TriPlaneGenerator",
        init_kwargs=G.init_kwargs,
        plane_axes=G.plane_axes.tolist(),
        meta=dict(psi=psi, cutoffs=[cutoff], cases=dict(r7=case)),
    )
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    save_file(G.state_dict(), path / "weights.safetensors")
    arrays = {"z": z, "c_cond": c, "c_render": c, f"ws_psi_cut{cutoff}": ws}
    arrays |= {"planes_raw1_s4": raw[1, :, ::4, ::4], "r7_image": out["image"]}
    np.savez(path / "cases.npz", **arrays)
    return arrays


def test_kinds_are_known_by_what_is_in_a_folder(tiny_gan, tmp_path):
    arrays = write_folder(tmp_path / "anything", tiny_gan, psi=0.4, cutoff=3)
    folder = Folder(tmp_path / "anything")
    kind = kind_of(folder)
    assert kind.name == "EG3D generator"
    report = Report("anything", kind.name)
    check(folder, kind, report)
    assert [row.key for row in report.rows] == ["ws_psi_cut3", "planes_raw1_s4", "r7_image"]
    assert not report.problems

    arrays["r7_image"] = arrays["r7_image"] * 1.001
    np.savez(tmp_path / "anything" / "cases.npz", **arrays)
    report = Report("anything", kind.name)
    check(Folder(tmp_path / "anything"), kind, report)
    assert [p.split(":")[0] for p in report.problems] == ["r7_image"]
