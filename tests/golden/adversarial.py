"""The GAN loss of EG3D: discriminator, both players' losses and gradients, augmentation."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from sigmaflow.finetune.augment import AugmentPipe
from sigmaflow.finetune.losses import (
    View,
    density_variation,
    discriminator_loss,
    generator_loss,
    judged,
    picture,
    r1_penalty,
    real_pair,
    swap_cameras,
)
from sigmaflow.finetune.schedules import blur, blur_kernel, blur_sigma, swap_probability
from sigmaflow.finetune.state import to_float
from sigmaflow.generators import DualDiscriminator, TriPlaneGenerator
from sigmaflow.generators.discriminator import resize

from . import eg3d
from .folders import FIELD, PICTURE, Compared, Folder, entrywise

CPU = torch.device("cpu")


def knows(folder: Folder) -> bool:
    return str(folder.config.get("D_class", "")).rsplit(".", 1)[-1] == "DualDiscriminator"


class Networks:
    """Generator and discriminator in training mode, and what a step of the loss reads."""

    def __init__(self, folder: Folder):
        self.kwargs = folder.config["loss_kwargs"]
        if self.kwargs.get("filter_mode", "antialiased") != "antialiased":
            raise ValueError(f"filter_mode {self.kwargs['filter_mode']!r} is not built")
        generator = Folder((folder.path / folder.config["generator"]).parent)
        self.G: TriPlaneGenerator = eg3d.build(generator).train()
        # The stored runs had all random noise at zero.
        if self.G.rendering_kwargs.get("superresolution_noise_mode") == "random":
            self.G.rendering_kwargs["superresolution_noise_mode"] = "none"
        self.D = DualDiscriminator(**folder.config["D_init_kwargs"])
        self.D.load_state_dict(folder.weights("weights_D.safetensors"), strict=True)
        self.D.train()
        self.resolution = self.kwargs["neural_rendering_resolution_initial"]
        self.images = to_float(folder["D_image_u8"], CPU)
        self.small = to_float(folder["D_image_raw_u8"], CPU)
        self.real_c, self.z, self.c = folder["real_c"], folder["gen_z"], folder["gen_c"]
        self.u, self.u_all = folder["swap_u"], folder["swap_u_scalar"]

    def sigma_at(self, images_seen: int) -> float:
        return blur_sigma(
            images_seen, self.kwargs["blur_init_sigma"], self.kwargs["blur_fade_kimg"]
        )

    def conditions(self, images_seen: int, u: Tensor) -> Tensor:
        final = self.kwargs["gpc_reg_prob"]
        if final is None:
            return torch.zeros_like(self.c)
        share = swap_probability(images_seen, final, self.kwargs["gpc_reg_fade_kimg"])
        return swap_cameras(self.c, share, u)

    def fakes(self, images_seen: int, update_emas: bool = False) -> tuple[Tensor, Tensor]:
        ws = self.G.mapping(self.z, self.conditions(images_seen, self.u), update_emas=update_emas)
        self.G.neural_rendering_resolution = self.resolution
        return picture(self.G, ws, self.c, "none", sampling=eg3d.REGULAR)

    def reals(self, images_seen: int) -> tuple[Tensor, Tensor]:
        return real_pair(self.images, self.resolution, self.sigma_at(images_seen))


def compare(folder: Folder) -> Iterator[Compared]:
    nets = Networks(folder)
    yield from compare_logits(nets, folder)
    yield from compare_resizes(nets, folder)
    yield from compare_blur(nets, folder)
    for case, record in folder.config["grads"].items():
        yield from compare_phase(nets, folder, case, record)
    yield from compare_augment(folder)


@torch.no_grad()
def compare_logits(nets: Networks, folder: Folder) -> Iterator[Compared]:
    D, images, small, c = nets.D, nets.images, nets.small, nets.real_c
    for key in folder.arrays:
        if m := re.fullmatch(r"D_logits_b(\d+)", key):
            n = int(m[1])
            yield Compared(key, D(images[:n], small[:n], c[:n]), PICTURE)
        elif key == "D_logits_b1_each":
            each = [D(images[i : i + 1], small[i : i + 1], c[i : i + 1]) for i in range(len(c))]
            yield Compared(key, torch.cat(each), PICTURE)
        elif key == "D_cmap":
            yield Compared(key, D.mapping(None, c), FIELD)


def compare_resizes(nets: Networks, folder: Folder) -> Iterator[Compared]:
    """Stored whole, or every n-th pixel where the array is smaller than its name says."""
    for key in folder.arrays:
        if not (m := re.fullmatch(r"filtered_resize_(\d+)_to_(\d+)_first", key)):
            continue
        source, size = int(m[1]), int(m[2])
        image = next(x for x in (nets.images, nets.small) if x.shape[-1] == source)[:1]
        step = size // folder.arrays[key].shape[-1]
        yield Compared(key, resize(image, size)[..., ::step, ::step], FIELD)


def compare_blur(nets: Networks, folder: Folder) -> Iterator[Compared]:
    grads = folder.config["grads"]
    for key in folder.arrays:
        if m := re.fullmatch(r"blur_kernel_(\w+)", key):
            seen = next(r["cur_nimg"] for n, r in grads.items() if n.endswith(f"_{m[1]}"))
            yield Compared(key, blur_kernel(nets.sigma_at(seen)), FIELD)
        elif m := re.fullmatch(r"blurred_image(\d+)_s(\d+)", key):
            seen = min(record["cur_nimg"] for record in grads.values())
            i, step = int(m[1]), int(m[2])
            image = blur(nets.images[i : i + 1], nets.sigma_at(seen))
            yield Compared(key, image[..., ::step, ::step], FIELD)
    for name, value in folder.meta.items():
        if m := re.fullmatch(r"(blur_sigma|swap_prob)_(\w+)", name):
            seen = next(r["cur_nimg"] for n, r in grads.items() if n.endswith(f"_{m[2]}"))
            fade = nets.kwargs["gpc_reg_prob"], nets.kwargs["gpc_reg_fade_kimg"]
            blurred = m[1] == "blur_sigma"
            ours = nets.sigma_at(seen) if blurred else swap_probability(seen, *fade)
            yield Compared(f"config.json: {name}", ours, FIELD, theirs=value)


def compare_phase(nets: Networks, folder: Folder, case: str, record: dict) -> Iterator[Compared]:
    phase, seen = record["phase"], record["cur_nimg"]
    network = nets.G if phase.startswith("G") else nets.D
    for part in (nets.G, nets.D):
        part.requires_grad_(part is network).zero_grad(set_to_none=True)
    loaded = nets.G.backbone.mapping.w_avg.clone()
    values = PHASES[phase](nets, folder, seen)
    if f"{case}_w_avg_after" in folder:
        theirs = folder.arrays[f"{case}_w_avg_after"]
        values["w_avg_after"] = eg3d.moved_or_not(nets.G, loaded, theirs)
    for key in folder.arrays:
        if key.startswith(f"{case}_") and (name := key.removeprefix(f"{case}_")) in values:
            yield Compared(key, values[name], PICTURE)
    yield from compare_gradients(network, folder, case, record)


def compare_gradients(
    network: nn.Module, folder: Folder, case: str, record: dict
) -> Iterator[Compared]:
    """Whole gradients where they are stored; else their lengths, out of config.json."""
    grads = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
    start = f"{case}_grad_"
    for key in folder.arrays:
        if key.startswith(start):
            yield Compared(key, grads[key.removeprefix(start)], PICTURE)
    where = f"config.json: {case} gradients"
    # Noise that is off has no gradient here and one of zeros there.
    moved = {n for n, g in grads.items() if bool(g.any())}
    same = moved == {n for n, length in record["l2"].items() if length}
    yield Compared(f"{where}, which are not zero", same, 0, theirs=True)
    names = sorted(record["l2"])
    none = torch.zeros(1)
    ours = torch.stack([grads.get(n, none).double().norm() for n in names])
    theirs = torch.tensor([record["l2"][n] for n in names], dtype=torch.float64)
    yield Compared(f"{where}, each length", ours, 10 * PICTURE, theirs, entrywise)
    yield Compared(f"{where}, length", ours.norm(), PICTURE, theirs=record["total_l2"])


def _scores(kind: str, logits: Tensor) -> dict[str, Tensor]:
    return {f"_Loss_scores_{kind}": logits, f"_Loss_signs_{kind}": logits.sign()}


def g_main(nets: Networks, folder: Folder, seen: int) -> dict[str, Tensor]:
    logits = judged(nets.D, View(nets.sigma_at(seen))(*nets.fakes(seen)), nets.c)
    loss = generator_loss(logits)
    loss.mean().backward()
    return {**_scores("fake", logits), "_Loss_G_loss": loss}


def g_reg(nets: Networks, folder: Folder, seen: int) -> dict[str, Tensor]:
    kwargs = nets.G.rendering_kwargs
    planes = nets.G.planes(nets.G.mapping(nets.z, nets.conditions(seen, nets.u_all)), "none")
    draws = folder["reg_rand"], folder["reg_randn"]
    variation = density_variation(
        nets.G, planes, draws[0].shape[1], kwargs["density_reg_p_dist"], draws
    )
    loss = kwargs["density_reg"] * variation
    loss.backward()
    return {"_l1": variation, "_TVloss": loss}


def d_main(nets: Networks, folder: Folder, seen: int) -> dict[str, Tensor]:
    view = View(nets.sigma_at(seen))
    with torch.no_grad():
        fakes = nets.fakes(seen, update_emas=True)
    fake = judged(nets.D, view(*fakes), nets.c)
    real = judged(nets.D, view(*nets.reals(seen)), nets.real_c)
    losses = discriminator_loss(fake, real)
    sum(part.mean() for part in losses).backward()
    return {**_scores("fake", fake), **_scores("real", real), "_Loss_D_loss": sum(losses)}


def d_reg(nets: Networks, folder: Folder, seen: int) -> dict[str, Tensor]:
    reals = View(nets.sigma_at(seen))(*nets.reals(seen))
    penalty = r1_penalty(nets.D, *reals, nets.real_c)
    loss = nets.kwargs["r1_gamma"] / 2 * penalty
    loss.mean().backward()
    with torch.no_grad():
        real = nets.D(*reals, nets.real_c)
    return {**_scores("real", real), "_Loss_r1_penalty": penalty, "_Loss_D_reg": loss}


PHASES = {"Gmain": g_main, "Greg": g_reg, "Dmain": d_main, "Dreg": d_reg}


def compare_augment(folder: Folder) -> Iterator[Compared]:
    pipe = AugmentPipe()
    for key in folder.arrays:
        if m := re.fullmatch(r"aug_out_pct([\d.]+)", key):
            yield Compared(key, pipe(folder["aug_in"], float(m[1])), PICTURE)
        elif key in ("aug_Hz_geom", "aug_Hz_fbank"):
            yield Compared(key, getattr(pipe, key.removeprefix("aug_")), FIELD)
