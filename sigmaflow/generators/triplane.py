"""EG3D's tri-plane generator (Chan et al. 2022), under the names of its public checkpoints."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import cameras, pointwise, separable
from .backbone import Generator
from .ops import FullyConnectedLayer
from .sites import Sites
from .superresolution import superresolution_class
from .volume import RaySampling, render_rays

if TYPE_CHECKING:
    from sigmaflow.fields.grid import Grid

# Rows are the axes of a plane; a point's plane coordinates are its products with rows 0 and 1.
PLANE_AXES_EG3D = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((1, 0, 0), (0, 0, 1), (0, 1, 0)),
    ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
)
PLANE_CHANNELS = 32
POINTS_PER_CHUNK = 2**18


def _linear(decoder: OSGDecoder) -> tuple[FullyConnectedLayer, FullyConnectedLayer]:
    """Its two layers."""
    return cast(FullyConnectedLayer, decoder.net[0]), cast(FullyConnectedLayer, decoder.net[2])


class OSGDecoder(nn.Module):
    """Mean over planes, one hidden layer of 64, to raw sigma and 32 colour features."""

    def __init__(self, n_features: int, lr_multiplier: float = 1.0, decoder_output_dim: int = 32):
        super().__init__()
        self.net = nn.Sequential(
            FullyConnectedLayer(n_features, 64, lr_multiplier=lr_multiplier),
            nn.Softplus(),
            FullyConnectedLayer(64, 1 + decoder_output_dim, lr_multiplier=lr_multiplier),
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """features [B, 3, M, C] to (colours [B, M, 32] in [-0.001, 1.001], sigma [B, M, 1])."""
        batch, _, m, c = features.shape
        x = self.net(features.mean(1).reshape(batch * m, c)).reshape(batch, m, -1)
        return torch.sigmoid(x[..., 1:]) * (1 + 2 * 0.001) - 0.001, x[..., :1]

    def sigma(self, features: Tensor) -> Tensor:
        """features [B, 3, M, C] to raw sigma [B, M]; the colour rows are not computed."""
        batch, _, m, c = features.shape
        return self.sigma_of(self.net[0](features.mean(1).reshape(batch * m, c))).reshape(batch, m)

    def layers(self) -> pointwise.Layers:
        """Weights and biases with their gains; differentiable."""
        first, last = _linear(self)
        return pointwise.Layers(
            first.weight * first.weight_gain,
            first.bias * first.bias_gain,
            last.weight * last.weight_gain,
            last.bias * last.bias_gain,
        )

    def sigma_of(self, hidden: Tensor) -> Tensor:
        """First-layer outputs [..., 64] to raw sigma [...]. Without gradients `hidden` is spent."""
        _, last = _linear(self)
        row = last.weight[0] * last.weight_gain
        graph = torch.is_grad_enabled() and (hidden.requires_grad or row.requires_grad)
        hidden = F.softplus(hidden) if graph else separable.softplus_(hidden)
        return hidden @ row + last.bias[0] * last.bias_gain


class TriPlaneGenerator(nn.Module):
    """z and camera to images, depth and the density field.

    Shapes: z [B, z_dim], c [B, 25], ws [B, num_ws, w_dim]. What `planes` returns is opaque: pass
    it to `sigma`, `sigma_grid` and `render`. `plane_axes` is data read with the weights, since
    three public sets of axes exist. `plane_resolution` (256 in the public code) and
    `sr_kwargs.hidden_channels` let a small generator use the same classes.
    """

    plane_axes: Tensor

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        img_resolution: int,
        img_channels: int = 3,
        sr_num_fp16_res: int = 0,
        mapping_kwargs: Mapping[str, Any] | None = None,
        rendering_kwargs: Mapping[str, Any] | None = None,
        sr_kwargs: Mapping[str, Any] | None = None,
        plane_resolution: int = 256,
        neural_rendering_resolution: int = 64,
        plane_axes: Any = PLANE_AXES_EG3D,
        **synthesis_kwargs: Any,
    ):
        super().__init__()
        self.init_kwargs = copy.deepcopy(
            dict(
                z_dim=z_dim,
                c_dim=c_dim,
                w_dim=w_dim,
                img_resolution=img_resolution,
                img_channels=img_channels,
                sr_num_fp16_res=sr_num_fp16_res,
                mapping_kwargs=dict(mapping_kwargs or {}),
                rendering_kwargs=dict(rendering_kwargs or {}),
                sr_kwargs=dict(sr_kwargs or {}),
                plane_resolution=plane_resolution,
                **synthesis_kwargs,
            )
        )
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.img_resolution = img_resolution
        self.neural_rendering_resolution = neural_rendering_resolution
        self.rendering_kwargs = self.init_kwargs["rendering_kwargs"]
        self.backbone = Generator(
            z_dim,
            c_dim,
            w_dim,
            img_resolution=plane_resolution,
            img_channels=PLANE_CHANNELS * 3,
            mapping_kwargs=mapping_kwargs,
            **synthesis_kwargs,
        )
        self.num_ws = self.backbone.num_ws
        head = superresolution_class(self.rendering_kwargs["superresolution_module"])
        self.superresolution = head(
            channels=32,
            img_resolution=img_resolution,
            sr_num_fp16_res=sr_num_fp16_res,
            sr_antialias=self.rendering_kwargs.get("sr_antialias", True),
            w_dim=w_dim,
            **(sr_kwargs or {}),
        )
        self.decoder = OSGDecoder(
            PLANE_CHANNELS, lr_multiplier=self.rendering_kwargs.get("decoder_lr_mul", 1)
        )
        axes = torch.as_tensor(plane_axes, dtype=torch.float32)
        self.register_buffer("plane_axes", axes, persistent=False)

    # Latents and planes

    def mapping(
        self,
        z: Tensor,
        c: Tensor,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        update_emas: bool = False,
    ) -> Tensor:
        """ws [B, num_ws, w_dim]; c is the conditioning camera, not the rendered one."""
        if self.rendering_kwargs.get("c_gen_conditioning_zero"):
            c = torch.zeros_like(c)
        c = c * self.rendering_kwargs.get("c_scale", 0)
        return self.backbone.mapping(z, c, truncation_psi, truncation_cutoff, update_emas)

    def planes(self, ws: Tensor, noise_mode: str = "const", remade: int = 0) -> Tensor:
        """The scene as [B, 3, 32, P, P]; opaque to callers. remade: `SynthesisNetwork.forward`."""
        x = self.backbone.synthesis(ws, noise_mode=noise_mode, remade=remade)
        return x.view(len(x), 3, PLANE_CHANNELS, x.shape[-2], x.shape[-1])

    def _features(self, planes: Tensor, points: Tensor) -> Tensor:
        """Bilinear samples [B, 3, M, 32] at points [B, M, 3]; zeros outside."""
        batch, n, channels, height, width = planes.shape
        inverse = torch.linalg.inv(self.plane_axes.to(points.device))
        coords = points * (2 / self.rendering_kwargs["box_warp"])
        coords = torch.einsum("bmi,nij->bnmj", coords, inverse)[..., :2]
        sampled = F.grid_sample(
            planes.reshape(batch * n, channels, height, width),
            coords.reshape(batch * n, 1, -1, 2).to(planes.dtype),
            mode="bilinear",
            padding_mode="zeros",
            align_corners=False,
        )
        return sampled.reshape(batch, n, channels, -1).transpose(2, 3)

    # The field

    def field(self, planes: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Colour features [B, M, 32] and raw sigma [B, M, 1] at world points [B, M, 3]."""
        if self._compiled(planes, points.shape[1]) and pointwise.takes_points(points, len(planes)):
            colors, sigma = self._evaluate(planes, points, True)
            assert colors is not None  # they were asked for
            return colors, sigma.unsqueeze(2)
        return self.decoder(self._features(planes, points))

    def sigma(self, planes: Tensor, points: Tensor) -> Tensor:
        """Raw sigma [B, M] (no activation) at world points [B, M, 3]."""
        if self._compiled(planes, points.shape[1]) and pointwise.takes_points(points, len(planes)):
            return self._evaluate(planes, points, False)[1]
        chunks = points.split(POINTS_PER_CHUNK, dim=1)
        return torch.cat([self.decoder.sigma(self._features(planes, p)) for p in chunks], dim=1)

    def for_points(self, planes: Tensor, count: int) -> Tensor:
        """Planes that `field` and `sigma` take at `count` points a scene without another copy of
        them, for callers that ask more than once. The values are the same."""
        return pointwise.channels_last(planes) if self._compiled(planes, count) else planes

    def _compiled(self, planes: Tensor, count: int) -> bool:
        """Whether kernels evaluate the field of planes at `count` points a scene."""
        if type(self.decoder) is not OSGDecoder:
            return False
        first, last = _linear(self.decoder)
        return pointwise.takes(planes, count, self.plane_axes, (first.weight, last.weight))

    def _evaluate(
        self, planes: Tensor, points: Tensor, colors: bool
    ) -> tuple[Tensor | None, Tensor]:
        axes = torch.linalg.inv(self.plane_axes)[..., :2].transpose(1, 2)
        axes = axes * (2 / self.rendering_kwargs["box_warp"])
        layers = self.decoder.layers()
        return pointwise.evaluate(planes, points, axes, layers, self._features, colors)

    def sigma_grid(self, planes: Tensor, grid: Grid, out: Tensor | None = None) -> Tensor:
        """Raw sigma [B, *grid.shape] on the cells that `grid` keeps, axes x, y, z.

        out: where to write it, of that shape on the planes' device; without gradients only.
        """
        if out is not None and tuple(out.shape) != (len(planes), *grid.shape):
            raise ValueError(f"out is {tuple(out.shape)}, not {(len(planes), *grid.shape)}")
        rows = range(grid.shape[0])
        fields = self._fields(planes, grid)
        if out is not None:
            for item, sigma in zip(out, fields):
                sigma(rows, item)
            return out
        cubes = [sigma(rows) for sigma in fields]
        return cubes[0].unsqueeze(0) if len(cubes) == 1 else torch.stack(cubes)

    def sigma_blocks(
        self, planes: Tensor, grid: Grid, rows: int = 32
    ) -> Iterator[tuple[int, Tensor]]:
        """`sigma_grid` in pieces: (first row, raw sigma [B, <= rows, Y, Z]) along x, in order."""
        fields = list(self._fields(planes, grid))
        for start in range(0, grid.shape[0], rows):
            block = range(start, min(start + rows, grid.shape[0]))
            yield start, torch.stack([sigma(block) for sigma in fields])

    def _fields(self, planes: Tensor, grid: Grid) -> Iterator[Callable[..., Tensor]]:
        """For every scene a function of x rows (and `out`) to sigma [rows, Y, Z]."""
        pairs = separable.pairs_of(self.plane_axes)
        if pairs is None:
            yield from (partial(self._rows_of_points, p, grid) for p in planes)
            return
        dtype = torch.promote_types(planes.dtype, torch.float32)
        box_warp = self.rendering_kwargs["box_warp"]
        sites = Sites(grid, box_warp, planes.shape[-1], dtype, planes.device)
        inputs = (planes, *self.decoder.parameters())
        graph = torch.is_grad_enabled() and any(t.requires_grad for t in inputs)
        if not graph and separable.few_cells(sites):
            yield from (partial(self._rows_of_points, p.to(dtype), grid) for p in planes)
            return
        first, last = _linear(self.decoder)
        weight, bias = first.weight * first.weight_gain, first.bias * first.bias_gain
        row = (last.weight[0] * last.weight_gain).to(dtype)
        constant = (last.bias[0] * last.bias_gain).to(dtype)
        for scene in planes:
            yield separable.Field(scene, pairs, weight, bias, row, constant, sites)

    def _rows_of_points(
        self, planes: Tensor, grid: Grid, rows: range, out: Tensor | None = None
    ) -> Tensor:
        """For planes that are oblique to the world's axes, and for few cells."""
        points = grid.points(planes.device).reshape(*grid.shape, 3)[rows.start : rows.stop]
        sigma = self.sigma(planes.unsqueeze(0), points.reshape(1, -1, 3))
        sigma = sigma.reshape(points.shape[:3])
        return sigma if out is None else out.copy_(sigma)

    # Pictures

    def render(
        self,
        planes: Tensor,
        c: Tensor,
        resolution: int | None = None,
        sampling: RaySampling | None = None,
    ) -> dict[str, Tensor]:
        """Volume rendering of cameras c: features [B,32,r,r], image_volume [B,3,r,r], depth."""
        r = resolution or self.neural_rendering_resolution
        origins, directions = cameras.rays(c, r)
        planes = self.for_points(planes, r * r * int(self.rendering_kwargs["depth_resolution"]))
        features, depth, weights = render_rays(
            lambda points: self.field(planes, points),
            origins,
            directions,
            self.rendering_kwargs,
            sampling,
        )
        features = features.transpose(1, 2).reshape(len(c), -1, r, r)
        return {
            "features": features,
            "image_volume": features[:, :3],
            "image_depth": depth.transpose(1, 2).reshape(len(c), 1, r, r),
            "weights_sum": weights,
        }

    def depth(self, planes: Tensor, c: Tensor, resolution: int = 128) -> Tensor:
        """Expected depth [B, 1, r, r] in world units, sampled without randomness (Eq. 2)."""
        return self.render(planes, c, resolution, RaySampling(deterministic=True))["image_depth"]

    def synthesis(
        self,
        ws: Tensor,
        c: Tensor,
        resolution: int | None = None,
        noise_mode: str = "random",
        sampling: RaySampling | None = None,
        planes: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """image [B,3,R,R], image_raw [B,3,r,r] (what the discriminator sees), image_volume, depth.

        `planes` may be given to save the backbone when one scene is seen from several cameras.
        """
        planes = self.planes(ws, noise_mode) if planes is None else planes
        out = self.render(planes, c, resolution, sampling)
        sr_noise = self.rendering_kwargs.get("superresolution_noise_mode", "none")
        image, raw = self.superresolution(out["image_volume"], out["features"], ws, sr_noise)
        return {"image": image, "image_raw": raw, **out}

    def forward(self, z: Tensor, c: Tensor, truncation_psi: float = 1.0, **kwargs: Any):
        """`synthesis` of `mapping`, one camera for conditioning and view."""
        return self.synthesis(self.mapping(z, c, truncation_psi), c, **kwargs)

    def canonical_label(self) -> Tensor:
        """c [1, 25] of the frontal camera that shapes are conditioned on (method of the paper)."""
        kwargs = self.rendering_kwargs
        c = cameras.frontal_label(
            radius=kwargs.get("avg_camera_radius", 2.7),
            pivot=kwargs.get("avg_camera_pivot", (0.0, 0.0, 0.2)),
        )
        return c.to(self.plane_axes.device)
