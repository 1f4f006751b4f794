"""How fast sigma cubes are made, and what their gradients need: python benchmarks/sampling.py

The other side is the formulation of the public code for density alone: `grid_sample` on three
planes, mean, two layers of which one output is kept, a million points at a time, planes given.
Times are medians, by the wall and of this process on all its threads. Memory is the peak above the
level just before the call, each in a process of its own (Linux). The last line is one JSON object.

--quick takes a cube of 64 and one run of the other side, and leaves the U-Net out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.generators import TriPlaneGenerator, sampler
from sigmaflow.rewards.model import RewardConfig, RewardModel

POINTS = 1_000_000
MODES = {
    "float32": {},
    "checkpoint": {"checkpoint": True},
    "bfloat16": {"precision": "bfloat16"},
    "both": {"checkpoint": True, "precision": "bfloat16"},
}


class Reference(nn.Module):
    """Sigma at points the plain way, with the generator's own decoder weights."""

    def __init__(self, G: TriPlaneGenerator):
        super().__init__()
        self.first, self.last = G.decoder.net[0], G.decoder.net[2]
        self.register_buffer("inverse", torch.linalg.inv(G.plane_axes))

    def forward(self, planes: Tensor, points: Tensor) -> Tensor:
        """planes [3, 32, P, P] and points [M, 3] in a box of side 1 to sigma [M]."""
        return torch.cat([self._chunk(planes, p) for p in points.split(POINTS)])

    def _chunk(self, planes: Tensor, points: Tensor) -> Tensor:
        coords = torch.einsum("mi,nij->nmj", 2 * points, self.inverse)[:, None, :, :2]
        sampled = F.grid_sample(planes, coords, padding_mode="zeros", align_corners=False)
        features = sampled[:, :, 0].mean(0).t()
        hidden = F.softplus(
            F.linear(features, self.first.weight * self.first.weight_gain, self.first.bias)
        )
        row = self.last.weight[:1] * self.last.weight_gain
        return F.linear(hidden, row, self.last.bias[:1])[:, 0]


def make(size: int = 256) -> tuple[TriPlaneGenerator, Tensor]:
    """A generator of the paper's planes and decoder, and random planes [1, 3, 32, P, P].

    Its backbone is thin, since planes are given. Sigma spans -12 to 60 over a coarse cube.
    """
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
        rendering_kwargs=dict(superresolution_module="SuperresolutionHybrid2X", box_warp=1.0),
    )
    planes = torch.randn(1, 3, 32, size, size)
    G.decoder.net[0].weight.data.mul_(4)
    last = G.decoder.net[2]
    with torch.no_grad():
        cube = G.sigma_grid(planes, Grid(resolution=48, kind="regular"))
        scale = 72 / (cube.max() - cube.min())
        last.weight[0] *= scale
        last.bias[0] = scale * (last.bias[0] - cube.min()) - 12
    return G, planes


# Times


def timed(call: Callable[[], Tensor], runs: int) -> tuple[float, float, Tensor]:
    """Median wall and CPU seconds, and the result."""
    walls, cpus = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        result = call()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), statistics.median(cpus), result


@torch.no_grad()
def cubes(n: int, runs: int, plain_runs: int) -> dict[str, float]:
    G, planes = make()
    reference = Reference(G)
    out: dict[str, float] = {}
    print(f"\nSigma on grids of {n}, planes 3 x 32 x 256 x 256, sampler {sampler.name()}")
    print(f"{'':22}{'plain s':>9}{'cpu s':>9}{'ours s':>9}{'cpu s':>9}{'ratio':>8}{'cpu':>7}")
    grids = [(kind, Grid(resolution=n, kind=kind)) for kind in ("regular", "released")]
    for kind, grid in grids:
        points = grid.points()
        plain = timed(lambda p=points: reference(planes[0], p), plain_runs)
        slab = "slab" if kind == "regular" else "slab_released"
        cases = [(f"{kind}_{n}", grid)]
        cases.append((f"{slab}_{n}", Grid(resolution=n, kind=kind, pads=SLAB_ENTIRE)))
        for name, wanted in cases:
            G.sigma_grid(planes, wanted)
            ours = timed(lambda g=wanted: G.sigma_grid(planes, g), runs)
            theirs = plain[2].reshape(grid.shape)[tuple(slice(*r) for r in wanted.ranges)]
            report(out, name, plain, ours, theirs)
    sampler.use("torch")
    for kind, grid in grids:
        torch_only = timed(lambda g=grid: G.sigma_grid(planes, g), 1)
        out[f"{kind}_{n}_torch_seconds"] = torch_only[0]
        print(f"{kind} {n} without numba: {torch_only[0]:.3f} s, {torch_only[1]:.3f} s CPU")
    sampler.use("auto")
    return out


def report(out: dict, name: str, plain: tuple, ours: tuple, theirs: Tensor) -> None:
    difference = ours[2][0] - theirs
    out[name] = plain[0] / ours[0]
    out[f"{name}_cpu"] = plain[1] / ours[1]
    out[f"{name}_seconds"] = ours[0]
    out[f"{name}_max_difference"] = float(difference.abs().max())
    out[f"{name}_relative_l2"] = float(difference.double().norm() / theirs.double().norm())
    print(
        f"{name:22}{plain[0]:9.3f}{plain[1]:9.3f}{ours[0]:9.4f}{ours[1]:9.4f}"
        f"{out[name]:8.0f}{out[name + '_cpu']:7.0f}"
        f"   max {out[name + '_max_difference']:.1e}, L2 {out[name + '_relative_l2']:.1e}"
    )


# Memory, in children


def status(key: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))


def measured(call: Callable[[], object], warm: Callable[[], object]) -> dict[str, float]:
    """GiB above the level before, and seconds, of one call after `warm` brought libraries in."""
    warm()
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"gib": (status("VmHWM") - before) / 2**30, "seconds": wall, "cpu": cpu}


def child(what: str, kind: str, n: int, mode: str) -> dict[str, float]:
    """One measurement: `plain`, `ours`, `cube`, `unet` or `reward` (sampler and U-Net)."""
    pads = SLAB_ENTIRE if kind == "slab" else None
    grid = Grid(resolution=n, kind="regular" if kind == "regular" else "released", pads=pads)
    if what in ("plain", "ours", "cube"):
        G, planes = make()
        if what == "cube":
            with torch.no_grad():
                return measured(
                    lambda: G.sigma_grid(planes, grid),
                    lambda: G.sigma_grid(planes, Grid(resolution=8, kind=grid.kind)),
                )
        reference, planes = Reference(G), planes.requires_grad_(True)

        def step(grid: Grid) -> None:
            if what == "ours":
                sigma = G.sigma_grid(planes, grid)
            else:
                sigma = reference(planes[0], grid.points())
            sigma.square().sum().backward()

        tiny = Grid(resolution=8, kind=grid.kind, pads=pads)
        return measured(lambda: step(grid), lambda: step(tiny))
    model = RewardModel(RewardConfig(grid=grid, **MODES[mode])).requires_grad_(False)
    small = RewardModel(RewardConfig(grid=Grid(resolution=33), **MODES[mode]))
    slab = torch.randn(1, *grid.shape, requires_grad=True)
    if what == "reward":
        G, planes = make()
        planes.requires_grad_(True)

        def reward() -> None:
            model(G.sigma_grid(planes, grid)).sum().backward()
    else:

        def reward() -> None:
            model(slab).sum().backward()

    return measured(reward, lambda: small(torch.randn(1, 33, 33, 33)).sum().backward())


def spawn(what: str, kind: str, n: int, mode: str = "float32") -> dict[str, float] | None:
    """`child` in a fresh process; None where it died, as for want of memory."""
    words = [what, kind, str(n), mode, str(torch.get_num_threads())]
    done = subprocess.run([sys.executable, __file__, "--child", *words], capture_output=True)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def gradients(n: int, runs: int) -> dict[str, float]:
    print(f"\nGradients to planes and decoder, slab of {n}: GiB above the level before, seconds")
    out = {}
    found: dict[str, dict[str, float]] = {}
    for what in ("plain", "ours"):
        many = [spawn(what, "slab", n) for _ in range(runs)]
        if None in many:
            print(f"{what}: not enough memory")
            return {}
        found[what] = {k: statistics.median(m[k] for m in many) for k in many[0]}
        print("{:8}{gib:8.3f} GiB{seconds:9.3f} s{cpu:9.3f} s CPU".format(what, **found[what]))
    for key, name in (("gib", "memory"), ("seconds", "time"), ("cpu", "time_cpu")):
        out[f"grad_{name}"] = found["plain"][key] / found["ours"][key]
    print("ratio   {grad_memory:8.1f}    {grad_time:9.1f}  {grad_time_cpu:9.1f}".format(**out))
    return out | gradient_difference(n)


def gradient_difference(n: int) -> dict[str, float]:
    """Largest relative L2 difference of any gradient, both ways in this process."""
    G, planes = make()
    planes.requires_grad_(True)
    grid = Grid(resolution=n, pads=SLAB_ENTIRE)
    wanted = [planes, *G.decoder.parameters()]
    reference = Reference(G)
    ours = torch.autograd.grad(G.sigma_grid(planes, grid).square().sum(), wanted)
    theirs = torch.autograd.grad(reference(planes[0], grid.points()).square().sum(), wanted)
    worst = max(float((a - b).double().norm() / b.double().norm()) for a, b in zip(ours, theirs))
    print(f"largest relative L2 difference of a gradient: {worst:.1e}")
    return {"grad_relative_l2": worst}


def networks(limit: float) -> dict[str, float]:
    """Sampler, U-Net and both, forward and backward; cases that would pass `limit` GiB are told."""
    cells = {"slab": 128 * 141 * 129, "cube": 256**3}
    per_cell: dict[str, float] = {}
    out = {}
    print("\nPeak GiB above the level before, and seconds; gradient to the input of each")
    for kind, count in cells.items():
        for what, mode in [("ours", "-")] + [(w, m) for w in ("unet", "reward") for m in MODES]:
            expected = per_cell.get(what + mode, 0) * count
            name = f"{what}_{mode}_{kind}".replace("_-", "")
            if expected > limit:
                print(f"{name:28}{expected:8.1f} GiB expected from the slab, not run")
                continue
            got = spawn(what, kind, 256, mode)
            if got is None:
                print(f"{name:28} died, as for want of memory")
                continue
            per_cell[what + mode] = got["gib"] / count
            out[f"{name}_gib"], out[f"{name}_seconds"] = got["gib"], got["seconds"]
            print(f"{name:28}{got['gib']:8.2f} GiB{got['seconds']:9.1f} s", flush=True)
    for what, cost in per_cell.items():
        print(f"{what:28}{cost * 512**3:8.0f} GiB expected at 512^3 by proportion, not run")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="cube of 64, no U-Net")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--plain-runs", type=int, default=5, help="runs of the other side")
    parser.add_argument("--no-unet", action="store_true", help="leave the U-Net's table out")
    parser.add_argument("--limit", type=float, default=14.0, help="GiB that a U-Net may take")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        what, kind, n, mode, threads = args.child
        torch.set_num_threads(int(threads))
        print(json.dumps(child(what, kind, int(n), mode)))
        return
    torch.set_num_threads(args.threads)
    n, runs = (64, 3) if args.quick else (256, 5)
    out: dict[str, object] = {"sampler": sampler.name(), "threads": args.threads, "resolution": n}
    out |= cubes(n, runs, 1 if args.quick else args.plain_runs)
    out |= gradients(n, 1 if args.quick else 3)
    if not args.quick:
        big = spawn("cube", "regular", 512), spawn("cube", "released", 512)
        for kind, got in zip(("regular", "released"), big):
            if got:
                out[f"{kind}_512_gib_above_output"] = got["gib"] - 0.5
                out[f"{kind}_512_seconds"] = got["seconds"]
                print(f"{kind} 512^3: {got['seconds']:.2f} s, {got['gib'] - 0.5:.2f} GiB + output")
        if not args.no_unet:
            out |= networks(args.limit)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
