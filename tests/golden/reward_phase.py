"""The released reward and consistency phase on a tiny generator, with gradients.

The folder has no config.json: its README says what the cases are, in words and in a table.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sigmaflow.fields.grid import Grid, SlabPads
from sigmaflow.finetune.config import FinetuneConfig
from sigmaflow.finetune.geometry import (
    Semantics,
    field_distance,
    geometry_terms,
    semantics_of,
)
from sigmaflow.finetune.terms import RewardTerm
from sigmaflow.generators import TriPlaneGenerator
from sigmaflow.rewards.model import RewardConfig, RewardModel

from . import eg3d
from .folders import FIELD, PICTURE, Compared, Folder, absolute, entrywise
from .recipe import Recipe

REWARD_GRADIENT = 1e-2  # max-pools of the reward network are not smooth
NO_GRADIENT = "decoder.net.2.bias"  # a constant on sigma does not change the reward


def knows(folder: Folder) -> bool:
    return "reward_keys" in folder and "coords" in folder


@dataclass(frozen=True)
class Terms:
    """Numbers of the README."""

    generator: str
    salt: str
    semantics: Semantics
    paper: Semantics  # the same truncations under the paper's preset
    lambda_r: float
    clamp: tuple[float, float]
    lambda_c: float
    resolution: int
    anchor_scale: float
    cases: dict[str, tuple[list[int], float]]  # latents and shift of the head's last bias

    @classmethod
    def read(cls, text: str) -> Terms:
        def find(pattern: str) -> tuple[str, ...]:
            found = re.search(pattern, text, re.S)
            if found is None:
                raise ValueError(f"the README does not say {pattern}")
            return found.groups()

        number = r"(-?[\d.]+(?:e-?\d+)?)"
        bounded = rf"\(-clip\(r, {number}, {number}\) \+ {number}\)"
        weight, low, high, offset = map(float, find(rf"loss_reward = {number} \* {bounded}"))
        side, psi_c, cutoff_c, weight_c = find(
            rf"full (\d+)\^3.*?psi {number}, cutoff (\d+): {number} \*"
        )
        psi, cutoff = find(rf"psi {number}, cutoff (\d+)\. `coords`")
        told = dict(
            reward_psi=float(psi), reward_cutoff=int(cutoff),
            consistency_psi=float(psi_c), consistency_cutoff=int(cutoff_c),
        )  # fmt: skip
        released = FinetuneConfig(semantics="released", reward_offset=offset, **told)
        rows = re.findall(rf"^\| (\w+) \| \[([\d, ]+)\] \| {number} \|", text, re.M)
        return cls(
            generator=find(r"\.\./([\w.-]+)/weights\.safetensors")[0],
            salt=find(r"fill\(K, s, '([^']*)'\)")[0],
            semantics=semantics_of(released),
            paper=semantics_of(FinetuneConfig(**told)),
            lambda_r=weight,
            clamp=(low, high),
            lambda_c=float(weight_c),
            resolution=int(side),
            anchor_scale=float(find(rf"every parameter times {number}")[0]),
            cases={
                name: ([int(i) for i in latents.split(",")], float(shift))
                for name, latents, shift in rows
            },
        )


def slab_grid(coords: np.ndarray) -> Grid:
    """The released slab of a unit cube whose points are these, [x, y, z, 3]."""
    z = coords[0, 0, :, 2].astype(np.float64)
    n = round(1 / (z[1] - z[0])) + 1
    cell = (coords[0, 0, 0].astype(np.float64) + 0.5) * (n - 1)
    k = round(cell[2])
    j = round(cell[1] - k / n)
    i = round(cell[0] - j / n - k / n**2)
    pads = {}
    for start, length, (low, high) in zip(
        (i, j, k), coords.shape, (("rhs", "lhs"), ("bot", "top"), ("rear", "front"))
    ):
        # Half a cell more, so that int(fraction * n) is the count whatever the rounding.
        pads[low], pads[high] = (start + 0.5) / n, (n - start - length + 0.5) / n
    return Grid(resolution=n, kind="released", pads=SlabPads(**pads))


def compare(folder: Folder) -> Iterator[Compared]:
    terms = Terms.read(folder.readme)
    G = eg3d.build(Folder(folder.path.parent / terms.generator)).train()
    grid = slab_grid(folder.arrays["coords"])
    yield Compared("coords", grid.points().reshape(*grid.shape, 3), 0)
    yield Compared("c_canonical", G.canonical_label(), FIELD)
    reward = RewardModel(RewardConfig(grid=grid, heads=("scalar", "bt", "pairs"))).eval()
    Recipe(folder.readme).fill(reward, terms.salt)
    reward.requires_grad_(False)
    yield from compare_weights(reward, folder)
    shifts = [shift for _, shift in terms.cases.values() if shift != 0]
    yield Compared("bias_shifts", shifts, FIELD)
    if "param_names" in folder:
        same = folder.strings("param_names") == [n for n, _ in G.named_parameters()]
        yield Compared("param_names", same, 0, theirs=True)

    anchor = copy.deepcopy(G).eval()
    with torch.no_grad():
        for parameter in anchor.parameters():
            parameter.mul_(terms.anchor_scale)
    z = folder["z"].float()
    seen: set[int] = set()
    averages: dict[str, Tensor] = {}
    for name, (rows, shift) in terms.cases.items():
        run = Run(G, anchor, reward, grid, terms, z[rows], shift, with_consistency(folder, name))
        yield from compare_case(run, folder, name, rows)
        averages[name] = run.G.backbone.mapping.w_avg
        if len(rows) == 1 and "consistency" in run.out and rows[0] not in seen:
            seen.add(rows[0])
            yield from compare_scene(run, folder, rows[0])
        if len(rows) == 1:
            alone = replace(terms, semantics=terms.paper)
            paper = Run(G, anchor, reward, grid, alone, z[rows], shift, "consistency" in run.out)
            yield from compare_paper(paper, folder, name, rows[0])

    yield from compare_averages(folder, averages)


def compare_averages(folder: Folder, averages: dict[str, Tensor]) -> Iterator[Compared]:
    """w_avg at the end of every case.

    Cases of different latents cannot end with the same average. Where all stored ones are equal,
    they were taken as references to one buffer and tell its state after the last case.
    """
    stored = {n: folder.arrays[f"{n}/w_avg_after"] for n in averages
              if f"{n}/w_avg_after" in folder}  # fmt: skip
    one_buffer = len(stored) > 1 and len({a.tobytes() for a in stored.values()}) == 1
    last = list(averages)[-1]
    for name in stored:
        yield Compared(f"{name}/w_avg_after", averages[last if one_buffer else name], FIELD)


def with_consistency(folder: Folder, case: str) -> bool:
    return float(folder.arrays[f"{case}/loss_consistency"]) != 0


def compare_weights(reward: RewardModel, folder: Folder) -> Iterator[Compared]:
    state = reward.state_dict()
    names, shapes = folder.strings("reward_keys"), folder.strings("reward_shapes")
    told = {n: tuple(map(int, re.findall(r"\d+", shape))) for n, shape in zip(names, shapes)}
    same = told == {n: tuple(v.shape) for n, v in state.items()}
    yield Compared("reward_keys, reward_shapes", same, 0, theirs=True)
    yield Compared("reward_first_value", [state[n].flatten()[0] for n in names], FIELD)
    yield Compared("reward_sum", [float(state[n].double().sum()) for n in names], FIELD)


class Run:
    """One case: the terms, the gradients, and everything on the way that is stored."""

    def __init__(self, start, anchor, reward, grid, terms, z, shift, consistency):
        self.G: TriPlaneGenerator = copy.deepcopy(start).requires_grad_(True)
        self.start, self.anchor, self.terms, self.z = start, anchor, terms, z
        self.reward: RewardModel = copy.deepcopy(reward)
        self.reward.scalar_rwd_head.output_layer.bias.add_(shift)
        self.slab = torch.empty(0)
        self.cube = Grid(resolution=terms.resolution, length=self.G.rendering_kwargs["box_warp"])
        self.out = geometry_terms(
            self.G,
            anchor,
            z,
            RewardTerm(self._score, grid),
            terms.clamp,
            self.cube if consistency else None,
            terms.semantics,
        )
        self.loss_reward = terms.lambda_r * self.out["reward_loss"]
        self.loss_consistency = terms.lambda_c * self.out.get("consistency", torch.zeros([]))
        (self.loss_reward + self.loss_consistency).backward()

    def _score(self, slab: Tensor) -> Tensor:
        slab.retain_grad()
        self.slab = slab
        return self.reward(slab)

    @torch.no_grad()
    def field(self, G: TriPlaneGenerator) -> Tensor:
        c = G.canonical_label().expand(len(self.z), -1)
        planes = G.planes(G.mapping(self.z, c, *self.terms.semantics.consistency))
        return G.sigma_grid(planes, self.cube)


def compare_case(run: Run, folder: Folder, case: str, rows: list[int]) -> Iterator[Compared]:
    total = run.loss_reward.double() + run.loss_consistency.double()
    values = {
        "reward_each": run.out["reward"],
        "reward": run.out["reward"].mean(),
        "loss_reward": run.loss_reward,
        "loss_consistency": run.loss_consistency,
        "loss_total": total,
    }
    for name, value in values.items():
        if f"{case}/{name}" in folder:
            yield Compared(f"{case}/{name}", value, PICTURE)
    clamped = bool(run.out["saturation"].all())
    bar = PICTURE if clamped else REWARD_GRADIENT
    grads = {n: p.grad for n, p in run.G.named_parameters()}
    for key in folder.arrays:
        if not key.startswith(f"{case}/grad"):
            continue
        name = key.removeprefix(f"{case}/")
        if m := re.fullmatch(r"grad/(.+)", name):
            free = m[1] == NO_GRADIENT and "consistency" not in run.out
            how = dict(bar=1e-5, measure=absolute) if free else dict(bar=bar)
            yield Compared(key, grads[m[1]], **how)
        elif m := re.fullmatch(r"grad_sigma(\d+)", name):
            yield Compared(key, run.slab.grad[rows.index(int(m[1]))], bar)
        elif name == "grad_l2":
            yield from compare_lengths(key, grads, folder, bar)


def compare_paper(run: Run, folder: Folder, case: str, i: int) -> Iterator[Compared]:
    """One latent under the paper's preset: the released reward but for the offset, which is below
    the bar, and the consistency that an unmoved w_avg would have given."""
    if f"{case}/loss_reward" in folder:
        theirs = folder.arrays[f"{case}/loss_reward"]
        yield Compared(f"{case}/loss_reward, paper", run.loss_reward, PICTURE, theirs)
    key = f"cons{i}/loss_without_w_avg_update"
    if "consistency" in run.out and key in folder:
        yield Compared(f"{case}, {key}, paper", run.loss_consistency, PICTURE, folder.arrays[key])
    elif "consistency" not in run.out and f"{case}/grad_l2" in folder:
        grads = {n: p.grad for n, p in run.G.named_parameters()}
        theirs = torch.as_tensor(folder.arrays[f"{case}/grad_l2"]).nan_to_num(0).norm()
        ours = torch.stack([g.double().norm() for g in grads.values() if g is not None]).norm()
        yield Compared(f"{case}/grad_l2, paper", ours, REWARD_GRADIENT, theirs)


def compare_lengths(
    key: str, grads: dict[str, Tensor | None], folder: Folder, bar: float
) -> Iterator[Compared]:
    """Which parameters have a gradient at all, and how long it is."""
    theirs = torch.as_tensor(folder.arrays[key])
    ours = [grads[n] for n in folder.strings("param_names")]
    none = torch.tensor([g is None for g in ours])
    yield Compared(f"{key}, which are none", none, 0, theirs=theirs.isnan())
    lengths = torch.tensor([float("nan") if g is None else float(g.double().norm()) for g in ours])
    lengths, theirs = lengths.nan_to_num(0), theirs.nan_to_num(0)
    yield Compared(key, lengths, bar, theirs)
    yield Compared(f"{key}, each", lengths, 10 * bar, theirs, entrywise)


def compare_scene(run: Run, folder: Folder, i: int) -> Iterator[Compared]:
    """What is stored once for a latent and not for every case."""
    slab = run.slab.detach()
    if f"slab{i}/sigma" in folder:
        with torch.no_grad():
            x = run.reward.network_input(slab)
            fbar = run.reward.embed(run.reward.Conv3DModule(x))
        flat = slab.flatten()
        extremes = torch.stack([flat.argmin(), flat.argmax()])
        yield Compared(f"slab{i}/sigma", slab[0], FIELD)
        yield Compared(f"slab{i}/normalised_zyx", x[0, 0], FIELD)
        yield Compared(f"slab{i}/fbar", fbar[0], PICTURE)
        yield Compared(f"slab{i}/argmin_argmax", extremes, 0)
    new, old = run.field(run.G), run.field(run.anchor)
    still = run.terms.lambda_c * field_distance(run.field(run.start), old)
    for key in folder.arrays:
        if not key.startswith(f"cons{i}/"):
            continue
        name = key.removeprefix(f"cons{i}/")
        if m := re.fullmatch(r"sigma_(new|anchor)_s(\d+)", name):
            field, step = (new if m[1] == "new" else old)[0], int(m[2])
            yield Compared(key, field[::step, ::step, ::step], FIELD)
        elif name == "mean_abs_diff":
            yield Compared(key, field_distance(new, old), PICTURE)
        elif name == "loss_without_w_avg_update":
            yield Compared(key, still, PICTURE)
