"""Whether the files and settings of a sweep fit each other, as far as headers and text tell.

`load_with_places` asks before any work, and `jobs.prefetch` likewise. Nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from jobs.sweep.analysis_graph import unanswerable
from jobs.sweep.outside import checkpoint_config, picture_side
from sigmaflow.metrics.protocol import FIRST_SEED as FID_FIRST_SEED
from sigmaflow.preferences.orders import Orders, read_preferences
from sigmaflow.preferences.parts import in_two_parts
from sigmaflow.preferences.questions import make_questions
from sigmaflow.preferences.rankings import ANCHOR_FIRST_SEED, Rankings
from sigmaflow.seeds import MAX_SEED

TICK_FIRST_SEED = 300_000  # of the seeds that a fine-tune follows
SHIPPED_SIDE = 64  # pixels of the shipped generator and of its images
MOST = 5  # problems told of one file

Found = Iterator[tuple[tuple[str, ...], str]]


class _Seeds(NamedTuple):
    key: tuple[str, ...]
    what: str
    seeds: frozenset[int] | range


def misfits(config: Any) -> Found:
    """What does not fit, as (keys, what is wrong and the remedy). The files must be good one by
    one: a missing or damaged one raises OSError or ValueError."""
    if config.kind in ("sweep", "pretrain", "card"):
        yield from _picture_size(config)
    if config.kind in ("sweep", "rehearsal", "rewards"):
        yield from _splits(config)
    if config.kind in ("sweep", "rehearsal"):
        yield from _shared(config)
    if config.kind in ("sweep", "rehearsal", "score"):
        from jobs.sweep.graphs import subjects

        for name, said in unanswerable(config, subjects(config)):
            yield ("analyses", name), said


def _picture_size(config: Any) -> Found:
    if config.kind == "pretrain":
        if config.images == "mini":
            return  # rendered as large as the generator's
        made, of = config.G.get("img_resolution"), "G.img_resolution"
    else:
        made = SHIPPED_SIDE
        if config.checkpoint != "mini":
            trained = config.kind != "card"
            made = checkpoint_config(config.checkpoint, trained)["G"]["img_resolution"]
        of = f"checkpoint {config.checkpoint}"
    side = SHIPPED_SIDE if config.images == "mini" else picture_side(config.images)
    if side != made:
        yield (
            ("images",),
            (
                f"{config.images!r} holds pictures of {side} pixels a side, and the"
                f" generator ({of}) makes {made}; give a set of that size"
            ),
        )


def _splits(config: Any) -> Found:
    """Shapes of a rankings file that the split of a reward of this sweep would tear apart."""
    if config.rankings.file is None:
        return
    answers = _answers(config.rankings.file)
    if isinstance(answers, Orders) and config.reward.answers == "best_and_worst":
        answers = answers.ends()
    seeds = {"reward.split_seed": config.reward.split_seed}
    if config.kind != "rewards":
        seeds["reward.heldout_seed"] = config.reward.heldout_seed
    for name, seed in seeds.items():
        found = list(in_two_parts(answers, seed, config.rankings.file))
        for problem in found[:MOST]:
            yield ("rankings", "file"), f"under {name} {seed}: {problem}"
        if len(found) > MOST:
            yield ("rankings", "file"), f"under {name} {seed}: and {len(found) - MOST} more seeds"


def _shared(config: Any) -> Found:
    """Seeds that are learnt from or selected by, and yet measured as new."""
    e, r = config.evaluation, config.rankings
    learnt = [_Seeds(("rankings", "file") if r.file else ("rankings", "questions"), "rankings",
                     _ranked(config))]  # fmt: skip
    if config.reward.has_anchors and (r.anchors.use == "always" or
                                      r.anchors.use == "auto" and r.file is None):  # fmt: skip
        high = range(ANCHOR_FIRST_SEED, ANCHOR_FIRST_SEED + r.anchors.count)
        learnt.append(_Seeds(("rankings", "anchors", "count"), "anchors", high))
    ticks = range(TICK_FIRST_SEED, TICK_FIRST_SEED + config.finetune.tick_seeds)
    learnt.append(_Seeds(("finetune", "tick_seeds"), "the seeds that a fine-tune follows", ticks))
    measured = [
        _Seeds(("evaluation", "first_seed"), "evaluation",
               range(e.first_seed, e.first_seed + e.seeds)),
        _Seeds(("evaluation", "fid_images"), "FID",
               range(FID_FIRST_SEED, FID_FIRST_SEED + e.fid_images)),
    ]  # fmt: skip
    pairs = [(a, b) for i, a in enumerate(learnt) for b in [*learnt[i + 1 :], *measured]]
    for a, b in pairs:
        if both := _common(a.seeds, b.seeds):
            said = f"{', '.join(map(str, both[:3]))}{', ...' if len(both) > 3 else ''}"
            yield (
                b.key,
                (
                    f"{len(both)} seeds ({said}) are in {a.what} ({'.'.join(a.key)}) and in"
                    f" {b.what}, which must not share any; take others in one of them"
                ),
            )


def _common(a: frozenset[int] | range, b: frozenset[int] | range) -> list[int] | range:
    if isinstance(a, range) and isinstance(b, range):
        return range(max(a.start, b.start), min(a.stop, b.stop))
    some, other = (a, b) if isinstance(a, frozenset) else (b, a)
    return sorted(seed for seed in some if seed in other)


def _ranked(config: Any) -> frozenset[int] | range:
    r = config.rankings
    if r.file is not None:
        return frozenset(_answers(r.file).seeds.tolist())
    questions = make_questions(r.seed, r.questions, r.sizes)
    return range(questions[0][0], min(questions[-1][-1], MAX_SEED) + 1)


def _answers(file: str) -> Rankings | Orders:
    stat = Path(file).stat()
    return _read(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _read(file: str, *_: int) -> Rankings | Orders:
    return read_preferences(file)
