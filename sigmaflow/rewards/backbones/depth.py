"""Image networks on depth maps, view by view (paper section 3.2.2; torchvision's architectures).

All take `[B, V, 3, S, S]`, as `sigmaflow.fields.depth.depth_input` makes them, and give the
features of the views one after the other, `[B, V * F]`. Each view is a batch of its own, as in the
public code: BatchNorm in training sees one view at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, cat, nn
from torchvision import models


class Views(nn.Module, ABC):
    """A network of one picture, shared by the views and kept under the name `name`."""

    def __init__(self, name: str, net: nn.Module):
        super().__init__()
        self.name = name
        self.add_module(name, net)

    @abstractmethod
    def one(self, net: Any, picture: Tensor) -> Tensor:
        """`[B, 3, S, S]` -> `[B, F]`."""

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Load the network's weights under torchvision's names. RuntimeError as of torch."""
        self.get_submodule(self.name).load_state_dict(tensors)

    def forward(self, views: Tensor) -> Tensor:
        net = self.get_submodule(self.name)
        return cat([self.one(net, views[:, v]) for v in range(views.shape[1])], 1)


class ResNetViews(Views):
    """ResNet (He et al. 2016) up to its average pool. The unused last layer stays, as released."""

    def one(self, net: Any, picture: Tensor) -> Tensor:
        x = net.maxpool(net.relu(net.bn1(net.conv1(picture))))
        x = net.layer4(net.layer3(net.layer2(net.layer1(x))))
        return net.avgpool(x).flatten(1)


class VGGViews(Views):
    """VGG (Simonyan and Zisserman 2015) up to its second fully connected layer, fc7.

    Without dropout, so that a training goes on with the same bytes after an interruption.
    """

    def __init__(self, name: str, net: Any, activated: bool):
        fc6, relu, _, fc7 = net.classifier[:4]
        net.classifier = nn.Sequential(fc6, relu, nn.Identity(), fc7)
        if activated:
            net.classifier.append(nn.ReLU())
        super().__init__(name, net)

    def one(self, net: Any, picture: Tensor) -> Tensor:
        return net(picture)

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """As above; torchvision's last layer, which is cut off here, may be there."""
        super().take({k: v for k, v in tensors.items() if not k.startswith("classifier.6.")})


def resnet50() -> Views:
    """2048 a view; the released depth reward, `external.resnet50.*` in its state dict."""
    return ResNetViews("resnet50", models.resnet50(weights=None))


def resnet18() -> Views:
    """512 a view at less than half the cost: for small machines, not in the paper."""
    return ResNetViews("resnet18", models.resnet18(weights=None))


def vggface() -> Views:
    """4096 a view: the descriptor of VGGFace, VGG-16's fc7 after ReLU (Parkhi et al. 2015).

    The public code has InceptionResnetV1 trained on VGGFace2 under this name.
    """
    return VGGViews("vgg16", models.vgg16(weights=None), activated=True)


def vgg4096() -> Views:
    """4096 a view: VGG-19's fc7 before ReLU, as in the public code."""
    return VGGViews("vgg_model", models.vgg19(weights=None), activated=False)


VIEWS: dict[str, Callable[[], Views]] = {
    "resnet50": resnet50, "resnet18": resnet18, "vggface": vggface, "vgg4096": vgg4096,
}  # fmt: skip
