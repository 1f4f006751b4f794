"""What a step of the fine-tune costs, phase by phase: python benchmarks/finetune.py

(a) The reward phase at the paper's sizes with random weights, batch of one: mapping, backbone,
recomputing slab sampler, reward network, consistency on 64^3 and the way back to the generator's
weights, over the reward network alone (forward, and backward to its input). `shared` is the phase
with `reward_phase: shared`: it begins and ends at the planes that Gmain has made and takes back
(its memory counts that pass of the backbone, its time does not).
(b) A step on the shipped generator by phase, over the released loop in its plain formulation
(`plain_finetune.py`): one sample at a time, a backbone pass for each million points. Greg counts a
quarter and R1 a sixteenth. `loop` is the time of the loop itself, to check the sum of phases.

Times are medians of this process's CPU seconds on all its threads (wall seconds beside them), both
sides in turns. Memory is the peak above the level just before, each in a process of its own
(Linux). The last line is one JSON object.

--quick takes a grid of 128 and fewer runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from plain_finetune import PlainStep
from sampling import measured

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.finetune import FinetuneConfig, RewardTerm, finetune, start_state
from sigmaflow.finetune.geometry import REMADE, geometry_terms
from sigmaflow.finetune.images import open_images
from sigmaflow.finetune.losses import (
    density_variation,
    discriminator_loss,
    generator_loss,
    r1_penalty,
    real_pair,
    swap_cameras,
)
from sigmaflow.finetune.shared import Shared
from sigmaflow.finetune.state import step_optimizer, update_ema
from sigmaflow.generators import TriPlaneGenerator, load_gan, load_generator
from sigmaflow.rewards.model import RewardConfig, RewardModel, mini_config

ROOT = Path(__file__).resolve().parents[1]
CLAMP = (-10.0, 10.0)
LAMBDA_R, LAMBDA_C = 10.0, 0.01
MODES = {"plain": {}, "checkpoint": {"checkpoint": True}}
SHARES = {"Gmain": 1.0, "geometry": 1.0, "Greg": 1 / 4, "D": 1.0, "R1": 1 / 16, "EMA": 1.0}


# ---------------------------------------------------------------------- (a) the reward phase


@dataclass
class RewardPhase:
    """The networks at the paper's sizes. `net` and `phase` leave no gradients behind."""

    G: TriPlaneGenerator
    G_old: TriPlaneGenerator
    reward: RewardModel
    consistency: Grid

    @classmethod
    def make(cls, n: int, mode: str) -> RewardPhase:
        """n: resolution of the slab's grid, of the consistency a quarter of it."""
        torch.manual_seed(0)
        kwargs = yaml.safe_load((ROOT / "sweeps" / "rehearsal.yaml").read_text())["G"]
        G, G_old = TriPlaneGenerator(**kwargs), TriPlaneGenerator(**kwargs)
        G_old.load_state_dict(G.state_dict())
        grid = Grid(resolution=n, kind="released", pads=SLAB_ENTIRE)
        reward = RewardModel(RewardConfig(grid=grid, **MODES[mode]))
        frozen = (m.eval().requires_grad_(False) for m in (G_old, reward))
        return cls(G, *frozen, Grid(resolution=n // 4))

    def net(self) -> None:
        slab = torch.randn(1, *self.reward.config.grid.shape, requires_grad=True)
        self.reward(slab).sum().backward()

    def phase(self, shared: Shared | None = None) -> None:
        self.G.zero_grad(set_to_none=True)
        terms = geometry_terms(
            self.G, self.G_old, torch.randn(1, self.G.z_dim),
            RewardTerm(self.reward, self.reward.config.grid), CLAMP, self.consistency,
            shared=shared,
        )  # fmt: skip
        (LAMBDA_R * terms["reward_loss"] + LAMBDA_C * terms["consistency"]).backward()

    def made(self) -> Shared:
        return Shared(
            self.G, torch.randn(1, self.G.z_dim), self.G.canonical_label(), "const", REMADE
        )

    def shared(self) -> None:
        made = self.made()
        self.phase(made)
        made.back()


def child(what: str, n: int, mode: str) -> dict[str, float]:
    """GiB of one call of `net`, `phase` or `shared` after a small one, in this process."""
    networks, small = RewardPhase.make(n, mode), RewardPhase.make(64, mode)
    return measured(getattr(networks, what), getattr(small, what))


def spawn(what: str, n: int, mode: str) -> dict[str, float]:
    """`child` in a fresh process."""
    words = [what, str(n), mode, str(torch.get_num_threads())]
    # Tensors of a MiB have pages of their own, which go back when they are freed: what the small
    # call left in the heap would hide a part of the peak.
    done = subprocess.run(
        [sys.executable, __file__, "--child", *words], stdout=subprocess.PIPE, check=True,
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20)},
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def reward_phase(n: int, runs: int) -> dict[str, float]:
    print(f"\nReward phase, slab of a grid of {n}, batch 1: the phase over the network alone")
    print(f"{'':20}{'net GiB':>9}{'phase':>8}{'ratio':>7}{'net cpu s':>11}{'phase':>8}{'ratio':>7}"
          f"{'net wall s':>12}{'phase':>8}")  # fmt: skip
    out: dict[str, float] = {}
    for mode in MODES:
        gib = {what: spawn(what, n, mode)["gib"] for what in ("net", "phase", "shared")}
        networks = RewardPhase.make(n, mode)
        made = networks.made()
        calls = {"net": networks.net, "phase": networks.phase,
                 "shared": lambda n=networks, m=made: n.phase(m)}  # fmt: skip
        walls, cpus = in_turns(calls, runs)
        for what, which in (("phase", ""), ("shared", "_shared")):
            suffix = which + ("" if mode == "plain" else f"_{mode}")
            memory, seconds = gib[what] / gib["net"], cpus[what] / cpus["net"]
            out[f"reward_phase_time_over_net{suffix}"] = seconds
            out[f"reward_phase_memory_over_net{suffix}"] = memory
            print(f"{mode + which.replace('_', ', '):20}{gib['net']:9.2f}{gib[what]:8.2f}"
                  f"{memory:7.2f}{cpus['net']:11.2f}{cpus[what]:8.2f}{seconds:7.2f}"
                  f"{walls['net']:12.2f}{walls[what]:8.2f}", flush=True)  # fmt: skip
        suffix = "" if mode == "plain" else f"_{mode}"
        out |= {f"{what}_gib{suffix}": value for what, value in gib.items()}
        out |= {f"{what}_cpu_seconds{suffix}": value for what, value in cpus.items()}
    return out


def in_turns(
    calls: dict[str, Callable[[], object]], runs: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Median wall and CPU seconds of every call, one after the other `runs` times, warm."""
    walls: dict[str, list[float]] = {name: [] for name in calls}
    cpus: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(runs):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            walls[name].append(time.perf_counter() - wall)
            cpus[name].append(time.process_time() - cpu)
    median = statistics.median
    return ({k: median(v) for k, v in walls.items()}, {k: median(v) for k, v in cpus.items()})


# ---------------------------------------------------------------------- (b) a step by phase


class Step:
    """The loop's phases one by one, from the functions that the loop calls."""

    def __init__(self, plain: PlainStep, config: FinetuneConfig):
        start = load_gan("mini")
        start.G.neural_rendering_resolution = plain.G.neural_rendering_resolution
        self.state, self.plain, self.config = start_state(start, config), plain, config
        self.pixels, self.c = plain.pixels, plain.labels

    def _z(self) -> torch.Tensor:
        return torch.randn(len(self.c), self.state.G.z_dim)

    def _ws(self, update_emas: bool = False) -> torch.Tensor:
        return self.state.G.mapping(self._z(), swap_cameras(self.c, 0.5), update_emas=update_emas)

    def _begin(self, name: str) -> None:
        self.state.D.requires_grad_(name == "D")
        self.state.optimizers[name].zero_grad(set_to_none=True)

    def g_main(self) -> None:
        self._begin("G")
        fake = self.state.G.synthesis(self._ws(), self.c)
        logits = self.state.D(fake["image"], fake["image_raw"], self.c)
        generator_loss(logits).mean().backward()
        step_optimizer(self.state.optimizers["G"])

    def terms(self, reward: bool = True, consistency: bool = True) -> None:
        """The summed terms of Eq. 6 and 7; their Adam step is Gmain's."""
        self._begin("G")
        found = geometry_terms(
            self.state.G, self.plain.G_old, self._z(), self.plain.reward if reward else None,
            CLAMP, self.plain.consistency if consistency else None,
        )  # fmt: skip
        loss = LAMBDA_R * found["reward_loss"] if reward else 0.0
        (loss + LAMBDA_C * found["consistency"] if consistency else loss).backward()

    def g_reg(self) -> None:
        self._begin("G")
        planes = self.state.G.planes(self._ws(), noise_mode="random")
        variation = density_variation(self.state.G, planes, self.plain.points, 0.004)
        variation.backward()
        step_optimizer(self.state.optimizers["G"])

    def d_main(self) -> None:
        self._begin("D")
        G, D = self.state.G, self.state.D
        with torch.no_grad():
            fake = G.synthesis(self._ws(update_emas=True), self.c)
        real = D(*real_pair(self.pixels, G.neural_rendering_resolution), self.c)
        fake = D(fake["image"], fake["image_raw"], self.c)
        sum(part.mean() for part in discriminator_loss(fake, real)).backward()
        step_optimizer(self.state.optimizers["D"])

    def d_reg(self) -> None:
        self._begin("D")
        pair = real_pair(self.pixels, self.state.G.neural_rendering_resolution)
        r1_penalty(self.state.D, *pair, self.c).mean().backward()
        step_optimizer(self.state.optimizers["D"])

    def ema(self) -> None:
        update_ema(self.state.G_ema, self.state.G, 0.998)


def phases(batch: int, slab: int, runs: int) -> tuple[dict[str, float], dict[str, float]]:
    """CPU seconds of every phase: the plain formulation's and ours, in turns."""
    torch.manual_seed(0)
    grid = Grid(resolution=slab, kind="released", pads=SLAB_ENTIRE)
    reward = RewardModel(mini_config(grid)).eval()
    images = open_images(ROOT / "sigmaflow" / "datasets" / "faces64.zip")
    pixels, labels = images.pixels[:batch].float() / 127.5 - 1, images.labels[:batch]
    term, consistency = RewardTerm(reward, grid), Grid(resolution=24)
    theirs = PlainStep(
        load_gan("mini"), load_generator("mini"), term, consistency, pixels, labels, 500
    )
    frozen = RewardModel(reward.config).eval().requires_grad_(False)
    plain = PlainStep(
        load_gan("mini"), theirs.G_old, RewardTerm(frozen, grid), consistency, pixels, labels, 500
    )
    ours = Step(plain, FinetuneConfig(batch=batch))
    names = {"Gmain": "g_main", "Greg": "g_reg", "D": "d_main", "R1": "d_reg", "EMA": "ema"}
    seconds: tuple[dict[str, float], dict[str, float]] = ({}, {})
    z = torch.randn(1, theirs.G.z_dim)

    def each(call: Callable[[torch.Tensor], None]) -> Callable[[], None]:
        return lambda: [call(z) for _ in range(batch)]

    pairs = {name: (getattr(theirs, call), getattr(ours, call)) for name, call in names.items()}
    pairs["geometry"] = theirs.geometry, ours.terms
    pairs["reward"] = each(theirs.reward_of), lambda: ours.terms(consistency=False)
    pairs["consistency"] = each(theirs.consistency_of), lambda: ours.terms(reward=False)
    for name, (plain_call, our_call) in pairs.items():
        _, cpus = in_turns({"plain": plain_call, "ours": our_call}, runs)
        seconds[0][name], seconds[1][name] = cpus["plain"], cpus["ours"]
    return seconds


def loop_seconds(batch: int, slab: int, steps: int, **changes: object) -> float:
    """CPU seconds a step of `sigmaflow.finetune.finetune`, all its phases, after one to warm."""
    grid = Grid(resolution=slab, kind="released", pads=SLAB_ENTIRE)
    reward = RewardModel(mini_config(grid)).eval().requires_grad_(False)
    each = batch / 1000
    config = FinetuneConfig(
        kimg=each * (steps + 1), tick_kimg=each, batch=batch, consistency_resolution=24,
        density_reg_points=500, **changes,
    )  # fmt: skip
    images = open_images(ROOT / "sigmaflow" / "datasets" / "faces64.zip")
    state = start_state(load_gan("mini"), config)
    ticks = finetune(state, images, config, RewardTerm(reward, grid), load_generator("mini"))
    next(ticks)
    start = time.process_time()
    count = sum(1 for _ in ticks)
    return (time.process_time() - start) / count


def step(batch: int, slab: int, runs: int, steps: int) -> dict[str, float]:
    plain, ours = phases(batch, slab, runs)
    print(f"\nA step of {batch} on the shipped generator, slab of a grid of {slab}: CPU seconds")
    print(f"{'':16}{'plain':>9}{'ours':>9}{'ratio':>8}")
    total = [sum(share * side[name] for name, share in SHARES.items()) for side in (plain, ours)]
    for name in (*SHARES, "reward", "consistency"):
        label = f"  {name} alone" if name not in SHARES else name
        print(f"{label:16}{plain[name]:9.3f}{ours[name]:9.3f}{plain[name] / ours[name]:8.1f}")
    print(f"{'step':16}{total[0]:9.3f}{total[1]:9.3f}{total[0] / total[1]:8.2f}")
    looped = loop_seconds(batch, slab, steps)
    print(f"{'loop':16}{'':9}{looped:9.3f}   {steps} steps of the loop itself", flush=True)
    shared = loop_seconds(batch, slab, steps, reward_phase="shared", noise_mode="const")
    print(f"{'loop, shared':16}{'':9}{shared:9.3f}   with `reward_phase: shared`", flush=True)
    return {
        "step_time": total[0] / total[1], "plain_step_seconds": total[0],
        "step_seconds": total[1], "loop_step_seconds": looped, "shared_loop_step_seconds": shared,
        "geometry_time": plain["geometry"] / ours["geometry"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a grid of 128, fewer runs")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--part", choices=("a", "b"), help="only the reward phase, or the step")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        what, n, mode, threads = args.child
        torch.set_num_threads(int(threads))
        print(json.dumps(child(what, int(n), mode)))
        return
    torch.set_num_threads(args.threads)
    n, runs = (128, 1) if args.quick else (256, 3)
    out: dict[str, float] = {"threads": args.threads, "resolution": n}
    if args.part != "b":
        out |= reward_phase(n, runs)
    if args.part != "a":
        out |= step(4, 32, runs, 4 if args.quick else 16)
        if not args.quick:  # 2.3 million points: three passes of the plain side's backbone
            large = step(1, 256, 1, 4)
            out |= {f"{name}_slab_256": value for name, value in large.items()}
    print(json.dumps(out))


if __name__ == "__main__":
    main()
