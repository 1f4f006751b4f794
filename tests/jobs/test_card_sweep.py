"""`kind: card` on the tiny GAN: bars, tables, figures, and what is not installed."""

import shutil

import pandas as pd
import pytest
import yaml
from pyarrow import parquet

import jobs.stages.card_pictures
import jobs.sweep.card_graph
from jobs.output.tables import SCHEMA
from jobs.stages.card import CARD
from jobs.sweep.card_graph import CardGraph
from jobs.sweep.config import ConfigError, load
from jobs.sweep.kinds import CardConfig
from sigmaflow.card.providers import Found
from sweeps import SCALES, attempts, launch, outputs, ran

TINY_CARD = {
    "samples": 100, "shard": 100, "embedded": 12, "landmark_seeds": 4, "identities": 4,
    "mesh_seeds": 5,
    "mesh_resolution": 24, "lit_seeds": 3, "annotator_seeds": 9, "truth_seeds": 2,
    "training_identities": 20,
}  # fmt: skip
NO_EMBEDDER = "dlib's face embedding needs the package dlib: pip install"
TABLES = {"bars", "ladder", "retrieval", "meshes", "defects", "traits"}
FIGURES = {"samples", "views", "real", "meshes", "shapes", "ladder", "curves"}


@pytest.fixture(autouse=True)
def no_embedder(monkeypatch):
    """Minutes of dlib teach nothing on the tiny GAN."""
    monkeypatch.setattr(jobs.sweep.card_graph, "find_embedder",
                        lambda path=None: Found(None, NO_EMBEDDER))  # fmt: skip


def write_card(folder, checkpoint, images, **card):
    path, curve = folder / "tinycard.yaml", folder / "metrics.jsonl"
    curve.write_text('{"step": 0, "heldout_l1": 0.5}\n{"step": 2000, "heldout_l1": 0.1}\n')
    path.write_text(yaml.safe_dump({
        "kind": "card", "name": "tinycard", "scale": "mini", "block": 3,
        "checkpoint": str(checkpoint), "images": str(images), "annotator": {"resolution": 16},
        "card": {**TINY_CARD, "curves": {"warm start": str(curve)}, "hours": {"warm start": 1.5},
                 **card},
    }))  # fmt: skip
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_checkpoint, tiny_images):
    folder = tmp_path_factory.mktemp("card")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(jobs.sweep.card_graph, "find_embedder",
                        lambda path=None: Found(None, NO_EMBEDDER))  # fmt: skip
        sweep = write_card(folder, tiny_checkpoint, tiny_images)
        code, said = launch(sweep, folder / "runs")
    return sweep, folder / "runs", code, said


def test_bars_tables_and_figures(finished):
    _, runs, code, said = finished
    assert code == 0, said  # whatever bars are missed
    tables = {p.name.removeprefix("tinycard-") for p in (runs / "tables").iterdir()}
    assert tables == {f"{t}.parquet" for t in TABLES} | {"bars.tex", "ladder.tex"}
    figures = {p.stem.removeprefix("tinycard-") for p in (runs / "figures").glob("*.png")}
    assert figures == FIGURES
    bars = pd.read_parquet(runs / "tables" / "tinycard-bars.parquet").set_index("measurement")
    assert bars.loc["fid_mini, psi 1", "passed"] == "no"
    assert bars.loc["fid_mini, psi 1", ["bar", "aim"]].tolist() == [60, 30]
    assert bars.loc["seeds with one surface, psi 0.7", "n"] == 5
    assert "at most 60 (aim 30)" in said and "NO" in said
    for name in TABLES:
        schema = parquet.read_schema(runs / "tables" / f"tinycard-{name}.parquet")
        assert schema.metadata[SCHEMA.encode()].decode() == CARD.schema
    ladder = pd.read_parquet(runs / "tables" / "tinycard-ladder.parquet")
    assert set(ladder["rung"]) == {
        "two halves",
        "generated",
        "blur1",
        "blur2",
        "half",
        "noise",
        "one",
    }
    assert ladder["frechet"].is_monotonic_increasing


def test_what_is_left_out_is_said(finished):
    """No dlib, and latents that are no heads': a sentence each, and no row without a value."""
    _, runs, _, said = finished
    assert f"skipped; {NO_EMBEDDER}" in said
    assert "median distance from the true surface: skipped; true heads" in said
    bars = pd.read_parquet(runs / "tables" / "tinycard-bars.parquet")
    assert (bars["value"].isna() == (bars["note"] != "")).all()
    assert not (runs / "tables" / "tinycard-truth.parquet").exists()


def test_the_second_time_there_is_nothing_to_do(finished):
    sweep, runs, _, _ = finished
    before = attempts(runs)
    code, said = launch(sweep, runs)
    assert code == 0 and "nothing to do" in said and attempts(runs) == before


def test_an_interrupted_card_is_completed_by_the_same_command(finished, tmp_path, monkeypatch):
    sweep, whole, _, _ = finished
    runs = tmp_path / "runs"
    shutil.copytree(whole / "store", runs / "store")
    for stage in ("card_views", "card_meshes", "card"):
        shutil.rmtree(runs / "store" / stage)

    def interrupted(ctx):
        (ctx.folder / "half.npy").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(jobs.stages.card_pictures, "run_views", interrupted)
        code, said = launch(sweep, runs)
    assert code == 130 and "the same command goes on from here" in said
    before = attempts(runs)
    assert launch(sweep, runs)[0] == 0
    assert ran(before, attempts(runs))["card_views"] == 1
    assert outputs(runs / "store") == outputs(whole / "store")


def test_more_samples_rerun_only_what_depends_on_them(finished):
    sweep, runs, _, _ = finished
    graph = CardGraph(load(sweep, CardConfig, scales=SCALES))
    more = CardGraph(load(sweep, CardConfig, scales=SCALES, overrides=["card.samples=200"]))
    old = {t.label: t.key for t in graph.last.needs()}
    new = {t.label: t.key for t in more.last.needs()}
    assert {n for n in new if old.get(n) != new[n]} == {"samples 0-99", "samples 100-199"}


def test_hours_are_of_a_curve(tmp_path, tiny_checkpoint, tiny_images):
    sweep = write_card(tmp_path, tiny_checkpoint, tiny_images, hours={"other": 1.0})
    with pytest.raises(ConfigError, match="card.hours.other"):
        load(sweep, CardConfig, scales=SCALES)
