"""How fast a reward is trained, what rounding costs, where slabs come from: benchmarks/reward.py

Questions per second of process CPU time (all threads) and peak memory of whole training steps of
this suite, against the plain formulation: one shape at a time through the network, contiguous
tensors, a loop over pairs; and against `pairwise`, which sees both shapes anew for every pair. All
have the same weights, questions of an anchor, a winner and a loser, the same loss (Eq. 4) and Adam.
Memory is the peak above the level before the steps, each in a process of its own (Linux). The last
line is one JSON object.

--accuracy trains on the mini generator's annotated shapes in float32, bfloat16, with checkpointing
and with the products of TF32 (factors rounded to 10 bits here, so that no GPU is needed).
--banks makes and reads slabs, and says for how many epochs a store pays.
--paper takes the paper's network and slab for any of them.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.rewards.config import RewardConfig, TrainConfig, mini_config, mini_training
from sigmaflow.rewards.data import Items, SlabBank
from sigmaflow.rewards.evaluate import accuracy, score_seeds
from sigmaflow.rewards.model import RewardModel
from sigmaflow.rewards.train import train_reward

WAYS = ("ours", "plain", "pairwise")
MINI, PAPER = Grid(resolution=32, pads=SLAB_ENTIRE), Grid(resolution=256, pads=SLAB_ENTIRE)


def settings(paper: bool) -> tuple[RewardConfig, TrainConfig]:
    if paper:
        return RewardConfig(grid=PAPER), TrainConfig(epochs=1)
    return mini_config(MINI), mini_training(epochs=1)


def questions(config: RewardConfig, n: int) -> tuple[SlabBank, Items]:
    """Noise stands in for slabs: the time does not depend on what is in them."""
    rng = np.random.default_rng(0)
    slabs = rng.standard_normal((3 * n, *config.grid.shape), dtype=np.float32).astype(np.float16)
    return SlabBank(slabs, range(3 * n)), Items(np.arange(3 * n).reshape(n, 3))


def plainly(bank: SlabBank, items: Items, config: RewardConfig, train: TrainConfig, anew: bool
            ) -> Iterator[None]:  # fmt: skip
    """Steps of the plain formulation."""
    model = RewardModel(config)
    adam = torch.optim.Adam(model.parameters(), lr=train.lr, weight_decay=train.weight_decay)
    for start in range(0, len(items), train.batch):
        adam.zero_grad()
        rows = items.seeds[start : start + train.batch]
        for row in rows:
            scores = None if anew else [model(bank.take([s])) for s in row]
            losses = []
            for a, b in items.pairs:
                better = model(bank.take([row[a]])) if anew else scores[a]
                worse = model(bank.take([row[b]])) if anew else scores[b]
                losses.append(-F.logsigmoid(better - worse))
            (torch.cat(losses).mean() / len(rows)).backward()
        adam.step()
        yield


def ours(bank: SlabBank, items: Items, config: RewardConfig, train: TrainConfig) -> Iterator[None]:
    val = items.take(np.arange(1))
    own = items.take(np.arange(1, len(items)))
    ticks = train_reward(bank, own, val, train.model_copy(
        update={"questions_per_tick": train.batch}), config)  # fmt: skip
    for _ in ticks:
        yield


def one(way: str, paper: bool, steps: int) -> dict[str, float]:
    """One way in this process: CPU seconds a question and peak memory in MB."""
    torch.manual_seed(0)
    config, train = settings(paper)
    tiny = mini_config(Grid(resolution=12), f_maps=(8, 16))  # loads what torch loads late
    for _ in plainly(*questions(tiny, 2), tiny, mini_training(), False):
        pass
    bank, items = questions(config, (steps + 2) * train.batch + 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made = ours(bank, items, config, train) if way == "ours" else plainly(
        bank, items, config, train, way == "pairwise")  # fmt: skip
    next(made)  # the first step allocates
    begun = time.process_time()
    for _ in range(steps):
        next(made)
    seconds = (time.process_time() - begun) / (steps * train.batch)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "memory_mb": (after - before) / 1024}


def speed(paper: bool, steps: int, repeats: int) -> dict[str, Any]:
    """Every way, `repeats` times in turn; the least time counts, since others only add to it."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(repeats):
        for way in WAYS:
            call = [sys.executable, __file__, "--one", way, "--steps", str(steps)]
            call += ["--paper"] if paper else []
            out = subprocess.run(call, check=True, capture_output=True, text=True).stdout
            found[way].append(json.loads(out.splitlines()[-1]))
    report: dict[str, Any] = {"paper": paper, "batch": settings(paper)[1].batch}
    for way, runs in found.items():
        rate, memory = 1 / min(r["seconds"] for r in runs), max(r["memory_mb"] for r in runs)
        print(f"{way:<9} {rate:8.2f} questions a CPU second, {memory:7.0f} MB")
        report[way] = {"questions_per_second": round(rate, 3), "peak_mb": round(memory)}
    for other in WAYS[1:]:
        ratio = report["ours"]["questions_per_second"] / report[other]["questions_per_second"]
        report[f"speedup_over_{other}"] = round(ratio, 2)
    return report


def rounded(x: torch.Tensor) -> torch.Tensor:
    """To TF32's 10 bits of mantissa, to nearest; the gradient goes through."""
    bits = x.detach().contiguous().view(torch.int32)
    near = ((bits + 0x1000) & ~0x1FFF).view(torch.float32)
    return x + (near - x).detach()


@contextmanager
def tf32_products() -> Iterator[None]:
    """Convolutions and linear layers of rounded factors, summed in float32, as GPUs do it.

    The backward pass multiplies the same rounded factors by gradients that are not rounded.
    """
    names = ("linear", "conv3d", "conv_transpose3d")
    kept = {name: getattr(F, name) for name in names}
    try:
        for name, product in kept.items():

            def call(x, weight, *rest, product=product, **named):
                return product(rounded(x), rounded(weight), *rest, **named)

            setattr(F, name, call)
        yield
    finally:
        for name, product in kept.items():
            setattr(F, name, product)


def annotated(count: int) -> tuple[SlabBank, list[Items]]:
    """Slabs of the mini generator, and the synthetic annotator's pairs with their 10 % of flips."""
    import yaml

    from sigmaflow.fields.slab import latents, sample_slab
    from sigmaflow.generators import load_generator
    from sigmaflow.preferences.annotator import AnnotatorConfig, annotate, shown
    from sigmaflow.preferences.questions import make_questions, rank
    from sigmaflow.preferences.rankings import split

    scale = Path(__file__).resolve().parents[1] / "sweeps" / "scales" / "mini.yaml"
    annotator = AnnotatorConfig(**yaml.safe_load(scale.read_text())["annotator"]["config"])
    G, asked = load_generator("mini"), make_questions(0, count, (2,))
    view = Grid(resolution=64, kind="regular", pads=SLAB_ENTIRE)
    seeds, slabs, scores = [s for q in asked for s in q], [], {}
    with torch.no_grad():
        for seed in seeds:
            z = latents([seed], G.z_dim)
            slabs.append(sample_slab(G, z, MINI)[0].half().numpy())
            scores[seed] = annotate(shown(sample_slab(G, z, view)[0].numpy(), view), annotator)
    rankings = rank(asked, scores, 0.1, 0)
    clean = rank(asked, scores, 0.0, 0)
    parts = split(rankings)
    train, val, _ = (Items.of(part) for part in parts.of(rankings))
    return SlabBank(np.stack(slabs), seeds), [train, val, Items.of(parts.of(clean)[2])]


def precision(count: int, seeds: int) -> dict[str, Any]:
    """Accuracy on clean test pairs of rewards trained and judged in each precision."""
    bank, (train, val, test) = annotated(count)
    plain = dict(float32={}, checkpoint={"checkpoint": True}, bfloat16={"precision": "bfloat16"})
    report: dict[str, Any] = {"test_pairs": len(test), "seeds": seeds}
    reference: dict[int, np.ndarray] = {}
    for mode, changes in {**plain, "tf32": {}}.items():
        shares, alike, seconds = [], [], 0.0
        for seed in range(seeds):
            config = mini_training(epochs=5, mirror=True, seed=seed)
            begun = time.process_time()
            with tf32_products() if mode == "tf32" else torch.enable_grad():
                *_, last = train_reward(bank, train, val, config, mini_config(MINI, **changes))
                scores = score_seeds(last.state.model(), bank, test.shapes)
            seconds += time.process_time() - begun
            shares.append(accuracy(scores, test)["regular"].share)
            gaps = np.array([scores[a] - scores[b] for a, b in test.seeds.tolist()])
            reference.setdefault(seed, gaps)
            alike.append(float(((gaps > 0) == (reference[seed] > 0)).mean()))
        found = {"accuracy": float(np.mean(shares)), "as_float32": float(np.mean(alike))}
        report[mode] = {k: round(v, 4) for k, v in found.items()}
        print(f"{mode:<10} accuracy {found['accuracy']:.3f}, decides as float32 in"
              f" {found['as_float32']:.1%} of pairs, {seconds:.0f} CPU s")  # fmt: skip
    return report


def banks(paper: bool) -> dict[str, Any]:
    """Seconds by the wall of a slab made and read, and the epochs from which a store is faster."""
    from sigmaflow.generators import load_generator
    from sigmaflow.rewards.shards import Recipe, SlabStore
    from sigmaflow.rewards.stream import GeneratorBank

    grid, count = (PAPER, 6) if paper else (MINI, 64)
    stream = GeneratorBank(load_generator("mini"), grid)
    stream.take([count])  # compiles

    def wall(work) -> float:
        begun = time.perf_counter()
        work()
        return (time.perf_counter() - begun) / count

    with tempfile.TemporaryDirectory() as folder:
        store = SlabStore(folder, Recipe("mini", grid, 1.0))
        make = wall(lambda: [stream.take([s]) for s in range(count)])
        fill = wall(lambda: store.fill(range(count), stream.take))
        bank = store.bank()
        read = wall(lambda: [bank.take([s]) for s in range(count)])
    # fill + epochs * read < epochs * make
    pays = fill / (make - read) if make > read else float("inf")
    every = 8692 + 1000
    size = every * 2 * grid.size / 1e9
    print(f"{list(grid.shape)}: made in {make * 1e3:.2f} ms, stored in {fill * 1e3:.2f} ms, read"
          f" from the page cache in {read * 1e3:.2f} ms; a store wins from {pays:.1f} epochs on and"
          f" takes {size:.1f} GB for the paper's {every} shapes")  # fmt: skip
    return {"grid": list(grid.shape), "make_ms": round(make * 1e3, 3),
            "store_ms": round(fill * 1e3, 3), "read_ms": round(read * 1e3, 3),
            "store_wins_from_epochs": round(pays, 2) if np.isfinite(pays) else None,
            "paper_shapes_gb": round(size, 2)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--paper", action="store_true", help="the paper's network and slab; minutes and 12 GB")
    add("--steps", type=int, default=12, help="steps that are timed (12)")
    add("--repeats", type=int, default=3, help="runs of each way (3)")
    add("--accuracy", action="store_true", help="accuracy by precision")
    add("--pairs", type=int, default=400, help="with --accuracy: annotated pairs (400)")
    add("--seeds", type=int, default=2, help="with --accuracy: trainings of each precision (2)")
    add("--banks", action="store_true", help="slabs from a store and from the generator")
    add("--one", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.one, given.paper, given.steps)))
    elif given.accuracy:
        print(json.dumps(precision(given.pairs, given.seeds)))
    elif given.banks:
        print(json.dumps(banks(given.paper)))
    else:
        print(json.dumps(speed(given.paper, given.steps, given.repeats)))


if __name__ == "__main__":
    main()
