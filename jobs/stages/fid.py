"""FID and KID: statistics of real images, features of generated ones in shards, the distances."""

from __future__ import annotations

import json
from pathlib import Path

from jobs.run.attempt import Context
from jobs.stages.shapes import device, generator_of
from jobs.store.stage import Stage
from jobs.store.staging import data_workers

REAL = Stage(
    name="real",
    version=2,
    run="jobs.stages.fid:run_real",
    sources=("sigmaflow/metrics", "sigmaflow/datasets/images.py"),
    gpu=0.25,
)
FEATURES = Stage(
    name="features",
    version=2,
    run="jobs.stages.fid:run_features",
    sources=("sigmaflow/metrics", "sigmaflow/generators"),
    gpu=0.5,
)
FID = Stage(
    name="fid",
    version=1,
    run="jobs.stages.fid:run_fid",
    sources=("sigmaflow/metrics",),
    torch=False,
)
REFERENCE = "reference.npz"


def image_file(value: Path) -> Path:
    """An image set given as itself or as the result that holds it."""
    return value / "faces.zip" if value.is_dir() and (value / "faces.zip").exists() else value


def _weights(ctx: Context) -> Path | None:
    """The extractor's weights where they are a file of the user's."""
    found = ctx.input("weights")
    return found[0] if found else None


def run_real(ctx: Context) -> None:
    """`reference.npz` and `reference-features.npy` float32 [n, d] of the real images."""
    from sigmaflow.metrics.protocol import Protocol

    measure_reals(
        image_file(ctx.input("images")), Protocol(**ctx.config["protocol"]), _weights(ctx),
        ctx.folder / REFERENCE, ctx.progress,
    )  # fmt: skip


def measure_reals(images, protocol, weights, target, progress) -> int:
    """Write statistics of an image set to `target`, its features beside; how many there were."""
    import numpy as np

    from sigmaflow.finetune.images import open_images
    from sigmaflow.metrics.blocks import BlockTree
    from sigmaflow.metrics.features import features_of, of_protocol
    from sigmaflow.metrics.reference import features_beside, save_reference

    reals = open_images(images, workers=data_workers())
    extract = of_protocol(protocol, weights, str(device()))
    tree = BlockTree(extract.dim, protocol.block, extract.key)
    ways = (False, True) if protocol.mirror else (False,)
    total = len(reals) * len(ways)
    out = np.lib.format.open_memmap(
        features_beside(target), mode="w+", dtype=np.float32, shape=(total, extract.dim)
    )
    done = 0
    for start in range(0, total, protocol.block):
        rows = np.arange(start, min(start + protocol.block, total))
        pixels = reals.batch(rows % len(reals))[0]
        turned = np.flatnonzero(rows >= len(reals))  # the second half of the list is mirrored
        pixels[turned] = pixels[turned].flip(3)
        found = features_of(extract, pixels, protocol.batch)
        out[rows] = found.numpy()
        tree.add(found)
        done += len(rows)
        progress(done, total)
    out.flush()
    save_reference(target, tree.total(), protocol)
    return total


def run_features(ctx: Context) -> None:
    """One shard of the generated images: `features.npy` float32 [n, d], `moments.npz` by blocks."""
    import numpy as np
    import torch

    from sigmaflow.datasets.index import ImageIndex
    from sigmaflow.metrics.blocks import BlockTree
    from sigmaflow.metrics.features import features_of, of_protocol
    from sigmaflow.metrics.generated import generated_blocks
    from sigmaflow.metrics.protocol import Protocol

    protocol = Protocol(**ctx.config["protocol"])
    start, stop = ctx.config["part"]
    G = generator_of(ctx)
    labels = torch.as_tensor(ImageIndex(image_file(ctx.input("images"))).labels)
    extract = of_protocol(protocol, _weights(ctx), str(device()))
    tree = BlockTree(extract.dim, protocol.block, extract.key, start // protocol.block)
    out = np.lib.format.open_memmap(
        ctx.folder / "features.npy", mode="w+", dtype=np.float32, shape=(stop - start, extract.dim)
    )
    done = 0
    for pixels in generated_blocks(G, labels, protocol, start, stop):
        found = features_of(extract, pixels, protocol.batch)
        out[done : done + len(found)] = found.numpy()
        tree.add(found)
        done += len(found)
        ctx.progress(done, stop - start)
    out.flush()
    np.savez(ctx.folder / "moments.npz", **tree.to_arrays())


def run_fid(ctx: Context) -> None:
    """`fid.json`: FID and KID with intervals, and the protocol that they were taken by;
    `influence.npy` float64 [n], what each image does to the FID, where n allows it."""
    import numpy as np

    from sigmaflow.metrics.frechet import frechet_of
    from sigmaflow.metrics.influence import bootstrap, influences
    from sigmaflow.metrics.kernel import kernel_distance
    from sigmaflow.metrics.protocol import Protocol
    from sigmaflow.metrics.reference import features_beside, load_reference

    protocol, seed = Protocol(**ctx.config["protocol"]), ctx.config["seed"]
    given = ctx.input("real")
    path = given / REFERENCE if given.is_dir() else given
    real = load_reference(path, protocol)
    moments = join_shards(ctx.input("shards"), protocol)
    features = np.concatenate([np.load(p / "features.npy") for p in ctx.input("shards")])
    mean, covariance = moments.mean, moments.covariance_with(protocol.ddof)
    value = frechet_of(mean, covariance, real.mean, real.covariance)
    h = influences(features, mean, covariance, real.mean, real.covariance)
    fid, kid = bootstrap(value, h, seed), None
    for kept in [features_beside(path)] if given.is_dir() else ctx.input("real_features"):
        kid = kernel_distance(np.load(kept, mmap_mode="r"), features, seed)
    if h is not None:
        np.save(ctx.folder / "influence.npy", h)
    said = {
        "fid": fid.value, "fid_low": fid.low, "fid_high": fid.high,
        "kid": kid and kid.value, "kid_low": kid and kid.low, "kid_high": kid and kid.high,
        "images": moments.n, "real_images": real.n,
        "protocol": protocol.model_dump(mode="json"), "protocol_hash": protocol.hash,
    }  # fmt: skip
    (ctx.folder / "fid.json").write_text(json.dumps(said, indent=1) + "\n")


def join_shards(folders, protocol):
    """Moments of all generated images, whose shards are given in order. ValueError unless they are
    exactly the protocol's number."""
    import numpy as np

    from sigmaflow.metrics.blocks import BlockTree

    whole: BlockTree | None = None
    for folder in folders:
        with np.load(folder / "moments.npz") as arrays:
            shard = BlockTree.from_arrays(arrays)
        whole = shard if whole is None else whole.join(shard)
    assert whole is not None  # a set of images has a shard at least
    moments = whole.total()
    if moments.n != protocol.images:
        raise ValueError(f"{moments.n} images were measured, the protocol has {protocol.images}")
    return moments
