"""``python -m jobs.reference IMAGES.zip FILE.npz``: statistics of real images, taken once for all.

A sweep takes them by name (`evaluation.fid_reference`), so the images are not measured again, and
every lab that has the file compares with the same numbers. The features for KID lie beside it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jobs.store.stage import file_digest


def main(argv: Sequence[str] | None = None) -> int:
    """0 when the file is written, 2 for something that it needs and that is not there."""
    parser = argparse.ArgumentParser(prog="python -m jobs.reference", description=__doc__)
    parser.add_argument("images", help="an image set in EG3D's layout: pictures and dataset.json")
    parser.add_argument("file", help="what to write, ending in .npz")
    parser.add_argument("--protocol", choices=("clean", "nvidia", "mini"), default="clean")
    parser.add_argument("--weights", help="inception-2015-12-05.pt; needed but for mini")
    parser.add_argument("--mirror", action="store_true", help="count mirror images too")
    args = parser.parse_args(argv)
    target = Path(args.file)
    if target.suffix != ".npz":
        print(f"{target}: its name must end in .npz", file=sys.stderr)
        return 2
    try:
        count = make(Path(args.images), target, args.protocol, args.weights, args.mirror)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{target}: {count} images, protocol {args.protocol}")
    return 0


def make(
    images: Path, target: Path, name: str, weights: str | None = None, mirror: bool = False
) -> int:
    """Write statistics and features of an image set; how many images counted.

    Raises OSError or ValueError naming what is missing or wrong.
    """
    from jobs.stages.fid import measure_reals
    from sigmaflow.metrics.alexnet import shipped_digest
    from sigmaflow.metrics.protocol import NAMED, named

    digest = file_digest(weights) if weights else shipped_digest(NAMED[name]["extractor"])
    protocol = named(name, weights=digest, real=f"sha256:{file_digest(images)}", mirror=mirror,
                     cameras="", images=2)  # fmt: skip
    return measure_reals(images, protocol, weights, target, _show)


def _show(done: int, total: int) -> None:
    if done == total or done % 1000 == 0:
        print(f"{done} of {total}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
