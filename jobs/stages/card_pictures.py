"""Of a card: features of real and generated pictures, views of identities, sheets to look at."""

from __future__ import annotations

from jobs.run.attempt import Context
from jobs.stages.fid import image_file
from jobs.stages.shapes import device, generator_of
from jobs.store.stage import Stage

_SOURCES = ("sigmaflow/card", "sigmaflow/metrics", "sigmaflow/generators")
CARD_REAL = Stage(
    name="card_real", version=1, run="jobs.stages.card_pictures:run_real", sources=_SOURCES,
    gpu=0.25,
)  # fmt: skip
CARD_SAMPLES = Stage(
    name="card_samples", version=1, run="jobs.stages.card_pictures:run_samples", sources=_SOURCES,
    gpu=0.5,
)  # fmt: skip
CARD_VIEWS = Stage(
    name="card_views", version=1, run="jobs.stages.card_pictures:run_views", sources=_SOURCES,
    gpu=0.5,
)  # fmt: skip
CARD_SHEETS = Stage(
    name="card_sheets", version=1, run="jobs.stages.card_pictures:run_sheets", sources=_SOURCES,
    gpu=0.25,
)  # fmt: skip
BATCH = 25  # pictures that a network sees at once
KEPT = 24  # pictures kept to be looked at
SHEET_PSIS = (0.0, 0.5, 0.7, 1.0)
SHEET_YAWS = (-60.0, -30.0, 0.0, 30.0, 60.0, 120.0, 180.0)
SHEET_TURNED = 5  # seeds that are shown from SHEET_YAWS


def extractors(ctx: Context, total: int) -> dict:
    """By name, extractors and which of ``total`` pictures each sees (indices, ascending): AlexNet
    all of them, dlib's embedder, where it was found, as many as the settings say."""
    import numpy as np

    from sigmaflow.metrics.features import extractor

    alex = extractor("stlpips-alex", device=str(device()))
    found = {alex.name: (alex, np.arange(total))}
    for name, dlib in _embedder(ctx).items():
        count = min(total, ctx.config["embedded"])
        found[name] = dlib, np.linspace(0, total - 1, count).astype(int)
    return found


def _embedder(ctx: Context) -> dict:
    if not (found := ctx.input("embedder")):
        return {}
    from sigmaflow.card.embedder import DlibEmbedder

    dlib = DlibEmbedder(found[0])
    return {dlib.name: dlib}


def _landmarks(ctx: Context):
    from sigmaflow.card.landmarks import FaceLandmarks

    found = ctx.input("landmarks")
    return FaceLandmarks(found[0]) if found else None


def run_real(ctx: Context) -> None:
    """One rung of the ladder: `<provider>.npy` float32 [n, d]. Of the untouched pictures also
    `<provider>-rows.npy`, which ones these are, `pictures.npy`, and where there is a landmark model
    `presence.npy` (logits)."""
    import numpy as np

    from sigmaflow.card.coding import coding_of
    from sigmaflow.card.ladder import HARMS, harmed
    from sigmaflow.datasets.images import ImageZip

    with ImageZip(image_file(ctx.input("images"))) as reals:
        coded, pictures = coding_of(reals.read_bytes(0)), reals.load_all()
    rung, n = ctx.config["rung"], len(pictures)
    seen = pictures
    if rung in HARMS:
        seen = coded(harmed(pictures, rung, ctx.config["seed"]))
    found = extractors(ctx, n)
    whole, done = sum(len(rows) for _, rows in found.values()), 0
    for name, (extract, rows) in found.items():
        distinct = rows[:1] if rung == "one" else rows
        parts = []
        for i in range(0, len(distinct), BATCH):
            parts.append(extract(seen[distinct[i : i + BATCH]]).numpy())
            ctx.progress(done + i, whole)
        features = np.concatenate(parts)
        np.save(ctx.folder / f"{name}.npy", np.repeat(features, len(rows) // len(distinct), axis=0))
        if rung not in HARMS:
            np.save(ctx.folder / f"{name}-rows.npy", rows)
        done += len(rows)
    if rung in HARMS:
        return
    np.save(ctx.folder / "pictures.npy", pictures[np.linspace(0, n - 1, min(n, KEPT)).astype(int)])
    if (model := _landmarks(ctx)) is not None:
        np.save(ctx.folder / "presence.npy", model(pictures)[0])


def run_samples(ctx: Context) -> None:
    """A shard of generated pictures, encoded as the real ones are: `<provider>.npy` float32 [n, d],
    and of the first shard `pictures.npy` to look at."""
    import numpy as np
    import torch

    from sigmaflow.card.coding import coding_of
    from sigmaflow.datasets.index import ImageIndex
    from sigmaflow.metrics.features import features_of
    from sigmaflow.metrics.generated import generated_blocks
    from sigmaflow.metrics.protocol import Protocol

    protocol = Protocol(**ctx.config["protocol"])
    start, stop = ctx.config["part"]
    index = ImageIndex(image_file(ctx.input("images")))
    coded, labels = coding_of(index.read(index.names[0])), torch.as_tensor(index.labels)
    G, found = generator_of(ctx), extractors(ctx, protocol.images)
    parts: dict[str, list] = {name: [] for name in found}
    done = 0
    for pixels in generated_blocks(G, labels, protocol, start, stop):
        pixels = coded(pixels)
        if start == 0 and done == 0:
            np.save(ctx.folder / "pictures.npy", pixels[:KEPT])
        for name, (extract, rows) in found.items():
            own = rows[(rows >= start + done) & (rows < start + done + len(pixels))] - start - done
            if len(own):
                parts[name].append(features_of(extract, pixels[own], BATCH).numpy())
        done += len(pixels)
        ctx.progress(done, stop - start)
    for name, rows in parts.items():
        empty = np.zeros((0, found[name][0].dim), np.float32)
        np.save(ctx.folder / f"{name}.npy", np.concatenate([empty, *rows]))


def run_views(ctx: Context) -> None:
    """`<provider>-psi<psi>.npy` float32 [3, n, d]: identities from the front, from -yaw and +yaw;
    and `presence.npy`, logits of frontal samples, where there is a landmark model."""
    import numpy as np

    from sigmaflow.card.views import view_pictures
    from sigmaflow.metrics.alexnet import AlexNetFeatures

    c, G = ctx.config, generator_of(ctx)
    alex = AlexNetFeatures("alexnet-relu3", project=None, device=str(device()))
    found = {alex.name: alex, **_embedder(ctx)}
    total = len(c["psis"]) + 1
    for i, psi in enumerate(c["psis"]):
        pictures = view_pictures(G, c["seeds"], psi, (0.0, -c["yaw"], c["yaw"]))
        for name, extract in found.items():
            features = [extract(pictures[:, v]).numpy() for v in range(3)]
            np.save(ctx.folder / f"{name}-psi{psi}.npy", np.stack(features))
        ctx.progress(i + 1, total)
    if (model := _landmarks(ctx)) is not None:
        front = view_pictures(G, c["landmark_seeds"], c["landmark_psi"], (0.0,))[:, 0]
        np.save(ctx.folder / "presence.npy", model(front)[0])


def run_sheets(ctx: Context) -> None:
    """`sheets.npz`: `psi` [psis, n, 3, R, R] frontal, `yaw` [5, yaws, 3, R, R] at psi 1."""
    import numpy as np

    from sigmaflow.card.views import view_pictures

    G, seeds = generator_of(ctx), ctx.config["seeds"]
    by_psi = [view_pictures(G, seeds, psi, (0.0,))[:, 0] for psi in SHEET_PSIS]
    turned = view_pictures(G, seeds[:SHEET_TURNED], 1.0, SHEET_YAWS)
    np.savez(ctx.folder / "sheets.npz", psi=np.stack(by_psi), yaw=turned.numpy())
