"""How fast fields are evaluated at arbitrary points, with gradients: python benchmarks/field.py

The other side is the formulation of the public code in torch: `grid_sample` on three planes, mean,
two layers, and for pictures the colours of both passes sorted along rays. Both sides take turns in
one process; times are the least of the runs, since neighbours only add to them. Memory is the peak
above the level just before the call, each in a process of its own (Linux). The last line is one
JSON object: ratios of times, seconds and GiB.

--quick takes fewer points and one run. --threads N: threads of torch and of the kernels.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sigmaflow.generators import RaySampling, TriPlaneGenerator, cameras, sampler
from sigmaflow.generators.volume import coarse_depths, fine_depths, march_weights

BATCH, POINTS, RESOLUTION, STEPS = 4, 2**15, 64, 24
SIZES = 128, 64  # texels a side
Call = Callable[[], object]


def make(size: int) -> tuple[TriPlaneGenerator, Tensor]:
    """A generator with the paper's decoder and planes [B, 3, 32, P, P]; its backbone is thin."""
    torch.manual_seed(0)
    G = TriPlaneGenerator(
        z_dim=8,
        c_dim=25,
        w_dim=16,
        img_resolution=16,
        plane_resolution=size,
        channel_base=512,
        channel_max=8,
        sr_kwargs={"hidden_channels": [8, 8]},
        rendering_kwargs=dict(
            superresolution_module="SuperresolutionHybrid2X",
            box_warp=1.0,
            ray_start=2.25,
            ray_end=3.3,
            depth_resolution=STEPS,
            depth_resolution_importance=STEPS,
        ),
    )
    return G, torch.randn(BATCH, 3, 32, size, size, requires_grad=True)


def plain(G: TriPlaneGenerator, planes: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Colours [B, M, 32] and sigma [B, M, 1] at points [B, M, 3] in a box of side 1."""
    coords = torch.einsum("bmi,nij->bnmj", 2 * points, torch.linalg.inv(G.plane_axes))[..., :2]
    sampled = F.grid_sample(
        planes.flatten(0, 1), coords.flatten(0, 1)[:, None], align_corners=False
    )
    return G.decoder(sampled.view(*planes.shape[:3], -1).transpose(2, 3))


def plain_picture(G: TriPlaneGenerator, planes: Tensor, c: Tensor) -> Tensor:
    """Features [B, R, 32]: colours are sorted along rays, then added at midpoints."""
    origins, directions = cameras.rays(c, RESOLUTION)
    still = RaySampling(deterministic=True)
    start = coarse_depths(origins, directions, G.rendering_kwargs, still)

    def query(depths: Tensor) -> tuple[Tensor, Tensor]:
        points = origins[:, :, None] + depths * directions[:, :, None]
        colors, sigma = plain(G, planes, points.flatten(1, 2))
        return colors.view(*depths.shape[:3], -1), sigma.view(depths.shape)

    colors, sigma = query(start)
    with torch.no_grad():
        fine = fine_depths(start, march_weights(sigma, start), STEPS, still)
    more, other = query(fine)
    depths, order = torch.cat([start, fine], dim=2).sort(dim=2)
    colors = torch.cat([colors, more], dim=2).gather(2, order.expand(-1, -1, -1, 32))
    sigma = torch.cat([sigma, other], dim=2).gather(2, order)
    weights = march_weights(sigma, depths)
    return (weights * (colors[:, :, 1:] + colors[:, :, :-1]) / 2).sum(2) * 2 - 1


def picture(G: TriPlaneGenerator, planes: Tensor, c: Tensor) -> Tensor:
    sampling = RaySampling(deterministic=True)
    return G.render(planes, c, RESOLUTION, sampling)["features"].flatten(2).transpose(1, 2)


def sigma_plain(G: TriPlaneGenerator, planes: Tensor, points: Tensor) -> Tensor:
    return plain(G, planes, points)[1]


def sides(what: str, size: int, points: int) -> tuple[Callable[[], tuple], Callable[[], tuple]]:
    """Plain and ours: functions without arguments to tuples of tensors; and what they need."""
    G, planes = make(size)
    if what == "picture":
        c = cameras.frontal_label(yaw=0.4).expand(BATCH, -1)
        calls = lambda: (plain_picture(G, planes, c),), lambda: (picture(G, planes, c),)
    else:
        where = torch.rand(BATCH, points, 3) - 0.5
        if what == "field":
            calls = lambda: plain(G, planes, where), lambda: G.field(planes, where)
        else:
            calls = (
                lambda: (sigma_plain(G, planes, where),),
                lambda: (G.sigma(planes, where).unsqueeze(2),),
            )
    given = [torch.randn(t.shape) for t in calls[1]()]

    def both(call: Callable[[], tuple]) -> Callable[[], tuple]:
        wanted = [planes, *G.decoder.parameters()]

        def run() -> tuple:
            outputs = call()
            return *outputs, *torch.autograd.grad(outputs, wanted, given, allow_unused=True)

        return run

    return calls, tuple(map(both, calls))


def compare(what: str, size: int, points: int, runs: int) -> dict[str, float]:
    out: dict[str, float] = {}
    calls, with_gradients = sides(what, size, points)
    for label, pair in (("forward", calls), ("both", with_gradients)):
        least, results = [float("inf")] * 2, [(), ()]
        for run in range(runs + 1):  # the first one compiles
            for n, call in enumerate(pair):
                results[n] = ()
                start = time.perf_counter()
                with torch.set_grad_enabled(label == "both"):
                    results[n] = call()
                if run:
                    least[n] = min(least[n], time.perf_counter() - start)
        name = f"{what}_{size}_{label}"
        out[name] = least[0] / least[1]
        out[f"{name}_seconds"] = least[1]
        errors = [
            float((a - b).detach().double().norm() / a.detach().double().norm())
            for a, b in zip(*results)
            if a is not None and a.detach().norm() > 0
        ]
        out[f"{name}_difference"] = max(errors)
        print(
            f"{name:20}{least[0]:9.4f}{least[1]:9.4f}{out[name]:8.2f}   largest relative "
            f"difference of a result {max(errors):.1e}"
        )
    return out


# Memory, in children


def status(key: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))


def child(what: str, size: int, points: int, side: int) -> float:
    """GiB above the level before, of one call with gradients."""
    sides(what, 8, 256)[1][side]()
    call = sides(what, size, points)[1][side]
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    call()
    return (status("VmHWM") - before) / 2**30


def memory(what: str, size: int, points: int) -> dict[str, float]:
    found = []
    for side in range(2):
        words = [what, str(size), str(points), str(side)]
        done = subprocess.run(
            [sys.executable, __file__, "--child", *words], capture_output=True, text=True
        )
        if done.returncode:
            print(f"memory of {what}: not measured")
            return {}
        found.append(float(done.stdout.splitlines()[-1]))
    print(f"{what}_{size}: {found[0]:.3f} GiB plain, {found[1]:.3f} GiB ours")
    return {f"{what}_{size}_plain_gib": found[0], f"{what}_{size}_gib": found[1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.child:
        what, *numbers = args.child
        print(child(what, *map(int, numbers)))
        return
    points, runs = (2**13, 1) if args.quick else (POINTS, args.runs)
    print(f"{BATCH} scenes, {points} points each, {args.threads} threads, {sampler.name()}")
    print(f"{'':20}{'plain s':>9}{'ours s':>9}{'ratio':>8}")
    out: dict[str, float] = {"threads": args.threads, "points": points}
    for what in ("field", "sigma") if args.quick else ("field", "sigma", "picture"):
        for size in SIZES:
            out |= compare(what, size, points, runs if what != "picture" else min(runs, 3))
        out |= memory(what, SIZES[0], points)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
