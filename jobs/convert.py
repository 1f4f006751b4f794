"""Published checkpoints into ours, once, and back: ``python -m jobs.convert INPUT OUTPUT``.

INPUT.pkl is a snapshot of EG3D, a folder a released reward bundle. With --export INPUT is a
checkpoint folder and OUTPUT a file of EG3D's names. Nothing in a file that is read is executed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jobs.output import redact

AXES = ("eg3d", "fixed")


def main(argv: Sequence[str] | None = None) -> int:
    """0 when it is done, 2 with one line of reason when it can't be."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.convert", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("input", help="INPUT.pkl, a bundle folder, or with --export a checkpoint")
    parser.add_argument("output", help="folder that is made; with --export a .safetensors or .pt")
    parser.add_argument("--axes", choices=AXES, help="planes of a pickle that does not say its own")
    parser.add_argument("--export", action="store_true", help="write EG3D's names of a checkpoint")
    parser.add_argument("--network", default="G_ema", choices=("G", "D", "G_ema"),
                        help="which one to export (default: G_ema)")  # fmt: skip
    parser.add_argument("--label-std", action="store_true",
                        help="export the buffer dataset_label_std too")  # fmt: skip
    args = parser.parse_args(argv)
    try:
        lines = _export(args) if args.export else _convert(args)
    except (ValueError, OSError) as error:  # CheckpointError is a ValueError
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


def _convert(args: argparse.Namespace) -> list[str]:
    if Path(args.input).is_dir():
        return _bundle(args.input, args.output)
    from sigmaflow.generators.pickles.build import PLANE_SETS, convert_pickle

    done = convert_pickle(args.input, args.output, PLANE_SETS.get(args.axes))
    sizes = ", ".join(f"{name} {count:,}" for name, count in done.parameters.items())
    lines = [
        f"{done.folder}: {done.class_name}, {done.img_resolution} pixels",
        f"  planes      {done.plane_axes}, {done.plane_resolution} x {done.plane_resolution}",
        f"  parameters  {sizes}",
    ]
    if done.left_out:
        lines.append(f"  left out    {', '.join(done.left_out)}")
    if len(done.parameters) < 3:
        lines.append("  It can be scored; to train on it, G and D are missing.")
    return lines


def _bundle(source: str, target: str) -> list[str]:
    from sigmaflow.rewards.bundle import convert_bundle

    bundle = convert_bundle(source, target)
    config = bundle.reward.config
    count = sum(p.numel() for p in bundle.reward.parameters())
    return [
        f"{target}: reward of {count:,} parameters, heads {', '.join(config.heads)}",
        f"  grid        {config.grid.kind} {config.grid.resolution}, slab {config.grid.shape}",
        f"  upper       {config.upper:g}",
    ]


def _export(args: argparse.Namespace) -> list[str]:
    from sigmaflow.generators.export import export_state, write_state

    if Path(args.output).exists():
        raise FileExistsError(f"{args.output}: exists already; give another name")
    state = export_state(args.input, args.network, args.label_std)
    write_state(state, args.output)
    count = sum(value.numel() for value in state.values())
    return [f"{args.output}: {args.network}, {len(state)} tensors of {count:,} numbers"]


if __name__ == "__main__":
    sys.exit(redact.guarded(main, goes_on=True))
