"""Sub-modules N of the reward (paper section 3.2.2) by name: representation in, feature out.

Networks are imported when one is built: point clouds need no torchvision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from sigmaflow.rewards.config import RewardConfig

__all__ = ["BACKBONES", "Backbone"]


@dataclass(frozen=True)
class Backbone:
    """How a network stands between a representation and the trunk.

    build: the network of a config. It takes what `RewardModel.network_input` makes of a batch:
        sigma `[B, 1, z, y, x]`, depth `[B, V, 3, S, S]`, points `[B, 3, N]`.
    size: length F of the feature that the trunk gets.
    prefix: the network's name in the reward's state dict; "" where its layers are the reward's own.
    pool: what the network gives -> feature `[B, F]`.
    """

    build: Callable[[RewardConfig], nn.Module]
    size: Callable[[RewardConfig], int]
    prefix: str = "backbone"
    pool: Callable[[Tensor, RewardConfig], Tensor] = lambda out, config: out


# Sigma fields


def _unet3d(config: RewardConfig) -> nn.Module:
    from sigmaflow.rewards.unet3d import UNet3D

    return UNet3D(config.f_maps, config.groups, config.checkpoint)


def _unet3d_size(config: RewardConfig) -> int:
    return config.feature_size if config.pooling == "stretch" else config.grid.shape[2]


def _unet3d_pool(maxima: Tensor, config: RewardConfig) -> Tensor:
    from sigmaflow.rewards.unet3d import stretch

    return stretch(maxima, config.feature_size) if config.pooling == "stretch" else maxima


def _resnet3d(config: RewardConfig) -> nn.Module:
    from sigmaflow.rewards.backbones.volumes import ResNet3D

    return ResNet3D(config.f_maps, config.groups)


def _projections(config: RewardConfig) -> nn.Module:
    from sigmaflow.rewards.backbones.volumes import Projections

    return Projections(config.grid.shape[::-1], config.f_maps, config.groups)


def _voxnet(config: RewardConfig) -> nn.Module:
    from sigmaflow.rewards.backbones.volumes import VoxNet

    return VoxNet(config.upper)


# Depth maps


def _views(name: str, size: int) -> Backbone:
    def build(config: RewardConfig) -> nn.Module:
        from sigmaflow.rewards.backbones.depth import VIEWS

        return VIEWS[name]()

    return Backbone(build, lambda config: size * len(config.yaws), "external")


# Point clouds


def _pointnet(config: RewardConfig) -> nn.Module:
    from sigmaflow.rewards.backbones.pointnet import PointNet

    return PointNet()


def _pointnet2(config: RewardConfig) -> nn.Module:
    from sigmaflow.rewards.backbones.pointnet2 import PointNet2

    return PointNet2()


def _curvenet(config: RewardConfig) -> nn.Module:
    from sigmaflow.rewards.backbones.curvenet import CurveNet

    return CurveNet()


BACKBONES = {
    "unet3d": Backbone(_unet3d, _unet3d_size, "Conv3DModule", _unet3d_pool),
    "resnet3d": Backbone(_resnet3d, lambda config: 2 * config.f_maps[-1]),
    "projections": Backbone(_projections, lambda config: 6 * config.f_maps[-1]),
    "voxnet": Backbone(_voxnet, lambda config: 32 * 6**3),
    "resnet50": _views("resnet50", 2048),
    "resnet18": _views("resnet18", 512),
    "vggface": _views("vggface", 4096),
    "vgg4096": _views("vgg4096", 4096),
    "pointnet": Backbone(_pointnet, lambda config: 1024, ""),
    "pointnet2": Backbone(_pointnet2, lambda config: 1024, "PointNet2Module"),
    "curvenet": Backbone(_curvenet, lambda config: 2048, "CurveNetModule"),
}
"""Every backbone by its name in `RewardConfig.backbone`."""
