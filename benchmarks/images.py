"""How fast labelled pictures are read from a zip in EG3D's layout: python benchmarks/images.py

Pictures of 512 x 512, the shipped faces enlarged with noise so that PNG finds as little to gain as
in photographs, deflated (as FFHQ's originals) and without compression (as EG3D's mirrored copies).
For 0, 1 and 2 threads: pictures per second of wall time and CPU milliseconds of each, and, where a
step computes between batches, the share of its reading that the caller still waits for. The best of
--repeats. The last line is one JSON object; `speedup` is two threads over none.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sigmaflow.datasets.images import ImageZip
from sigmaflow.finetune.images import StreamedImages, reading
from sigmaflow.generators.cameras import frontal_label

SHIPPED = Path(__file__).resolve().parents[1] / "sigmaflow" / "datasets" / "faces64.zip"
SIDE, BATCH = 512, 16


def make_set(path: Path, count: int, level: int) -> None:
    """A zip of `count` pictures whose PNGs are packed at zlib's `level`."""
    rng, labels = np.random.default_rng(0), []
    with ImageZip(SHIPPED) as faces, zipfile.ZipFile(path, "w") as archive:
        for i in range(count):
            small = Image.fromarray(faces[i][0].permute(1, 2, 0).numpy())
            pixels = np.asarray(small.resize((SIDE, SIDE), Image.BICUBIC)).astype(int)
            pixels = np.clip(pixels + rng.integers(-6, 7, pixels.shape), 0, 255).astype(np.uint8)
            stream, name = io.BytesIO(), f"00000/img{i:08d}.png"
            Image.fromarray(pixels).save(stream, "PNG", compress_level=level)
            archive.writestr(name, stream.getvalue())
            labels.append([name, frontal_label(yaw=0.001 * i)[0].tolist()])
        archive.writestr("dataset.json", json.dumps({"labels": labels}))


def rate(path: Path, workers: int, batches: int) -> tuple[float, float]:
    """Pictures per second, and CPU milliseconds of each."""
    images = StreamedImages(ImageZip(path), workers)
    order = reading(0, 0, BATCH, len(images))
    images.expect(reading(0, 0, BATCH, len(images)))
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(batches):
        images.batch(next(order))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    images.close()
    return BATCH * batches / wall, 1000 * cpu / (BATCH * batches)


def waited(path: Path, workers: int, batches: int) -> float:
    """Seconds a batch that a caller waits for it, who sleeps as long as a plain reading takes."""
    source = ImageZip(path)
    begun = time.perf_counter()
    StreamedImages(source).batch(np.arange(BATCH))
    step = 2 * (time.perf_counter() - begun)
    images = StreamedImages(source, workers)
    order = reading(0, 0, BATCH, len(images))
    images.expect(reading(0, 0, BATCH, len(images)))
    spent = 0.0
    for _ in range(batches):
        time.sleep(step)
        begun = time.perf_counter()
        images.batch(next(order))
        spent += time.perf_counter() - begun
    images.close()
    return spent / batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, level in (("deflated", 6), ("stored", 0)):
            path = Path(folder) / f"{name}.zip"
            make_set(path, args.pictures, level)
            for workers in (0, 1, 2):
                runs = [rate(path, workers, args.pictures // BATCH) for _ in range(args.repeats)]
                speed, cost = max(r for r, _ in runs), min(c for _, c in runs)
                wait = min(
                    waited(path, workers, args.pictures // BATCH) for _ in range(args.repeats)
                )
                found[f"{name}_{workers}"] = {"per_second": speed, "cpu_ms": cost, "wait_s": wait}
                print(
                    f"{name:9} {workers} threads: {speed:7.1f} pictures/s, {cost:5.2f} CPU ms a "
                    f"picture, {1000 * wait:6.1f} ms a batch waited beside a step"
                )
    speedup = {
        k: found[f"{k}_2"]["per_second"] / found[f"{k}_0"]["per_second"]
        for k in ("deflated", "stored")
    }
    print(json.dumps({**found, "speedup": speedup}))


if __name__ == "__main__":
    main()
