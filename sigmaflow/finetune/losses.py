"""Terms of the plain GAN loss (EG3D section 4 and its training code)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from sigmaflow.generators import DualDiscriminator, TriPlaneGenerator
from sigmaflow.generators.discriminator import resize
from sigmaflow.generators.volume import RaySampling

from .augment import AugmentPipe
from .schedules import blur
from .shared import Shared


def swap_cameras(c: Tensor, probability: float, u: Tensor | None = None) -> Tensor:
    """Conditioning cameras: each row with that probability its neighbour's (EG3D section 4.4).

    u: uniform draws in [0, 1), [B, 1] or [1] for all rows alike; from torch's generator when None.
    """
    if probability == 0:
        return c
    if u is None:
        u = torch.rand(len(c), 1, device=c.device)
    return torch.where(u < probability, torch.roll(c, 1, 0), c)


def half(precision: str, device: torch.device) -> torch.autocast:
    """Autocast to `precision`; nothing where that is float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def picture(
    G: TriPlaneGenerator,
    ws: Tensor | Shared,
    c: Tensor,
    noise_mode: str,
    precision: str = "float32",
    sampling: RaySampling | None = None,
) -> tuple[Tensor, Tensor]:
    """`G.synthesis` as the discriminator sees it: (image [B,3,R,R], image_raw [B,3,r,r]), float32.

    Only the super-resolution is in `precision`: density and colours need their digits.
    """
    if isinstance(ws, Shared):
        planes, ws = ws.planes, ws.ws
    else:
        planes = G.planes(ws, noise_mode)
    out = G.render(planes, c, sampling=sampling)
    noise = G.rendering_kwargs.get("superresolution_noise_mode", "none")
    with half(precision, ws.device):
        image, raw = G.superresolution(out["image_volume"], out["features"], ws, noise)
    return image.float(), raw.float()


def judged(
    D: DualDiscriminator, pair: tuple[Tensor, Tensor], c: Tensor, precision: str = "float32"
) -> Tensor:
    """Logits [B, 1] of a pair of images, float32; the blocks above 4x4 are in `precision`."""
    with half(precision, c.device):
        return D(*pair, c).float()


@dataclass(frozen=True)
class View:
    """What lies between a pair of images and the discriminator.

    blur_sigma: width in pixels of the blur of `image`. A real `image_raw` is blurred where it is
    made (`real_pair`), a rendered one never. augment: applied to both images at once.
    """

    blur_sigma: float = 0.0
    augment: AugmentPipe | None = None

    def __call__(self, image: Tensor, image_raw: Tensor) -> tuple[Tensor, Tensor]:
        """image [B,3,R,R] and image_raw [B,3,r,r] as they are judged, of the same sizes."""
        image = blur(image, self.blur_sigma)
        if self.augment is None:
            return image, image_raw
        pair = self.augment(torch.cat([image, resize(image_raw, image.shape[-1])], dim=1))
        return pair[:, :3], resize(pair[:, 3:], image_raw.shape[-1])


def real_pair(images: Tensor, resolution: int, blur_sigma: float = 0.0) -> tuple[Tensor, Tensor]:
    """Real image and its low-resolution partner, of which only the second is blurred here."""
    return images, blur(resize(images, resolution), blur_sigma)


def r1_penalty(
    D: DualDiscriminator, image: Tensor, image_raw: Tensor, c: Tensor, precision: str = "float32"
) -> Tensor:
    """Squared gradients of the real logits over both images, [B].

    Over the images as they are judged: EG3D too differentiates behind blur and augmentation.
    """
    image = image.detach().requires_grad_(True)
    image_raw = image_raw.detach().requires_grad_(True)
    logits = judged(D, (image, image_raw), c, precision)
    grads = torch.autograd.grad(logits.sum(), [image, image_raw], create_graph=True)
    return cast(Tensor, sum(g.square().sum(dim=(1, 2, 3)) for g in grads))


def density_variation(
    G: TriPlaneGenerator,
    planes: Tensor,
    points: int,
    p_dist: float,
    draws: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Mean |sigma(p) - sigma(p + p_dist * noise)| at uniform p in [-1, 1]^3 (EG3D's density_reg).

    draws: uniform numbers in [0, 1) and normal noise, [B, points, 3] each; drawn when None.
    """
    if draws is None:
        uniform = torch.rand(len(planes), points, 3, device=planes.device)
        draws = uniform, torch.randn_like(uniform)
    p = draws[0] * 2 - 1
    near = p + draws[1] * p_dist
    sigma = G.sigma(planes, torch.cat([p, near], dim=1))
    return (sigma[:, :points] - sigma[:, points:]).abs().mean()


def generator_loss(logits: Tensor) -> Tensor:
    """Non-saturating loss softplus(-D(G(z))) of every logit, [B, 1]."""
    return F.softplus(-logits)


def discriminator_loss(fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """softplus(D(fake)) and softplus(-D(real)) of every logit, [B, 1] each."""
    return F.softplus(fake), F.softplus(-real)
