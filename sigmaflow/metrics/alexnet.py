"""AlexNet features that work offline: the weights that the package stlpips-pytorch carries.

Only the package's data file is used. Importing its code would need IPython and torchsummary, and
its ``torch.load`` leaves ``weights_only`` to the torch version; here the file is read with
``weights_only=True``, and the network is built from its description in Ghildyal and Liu 2022
("Shift-tolerant Perceptual Similarity Metric"): AlexNet with stride-1 first convolution, every
stride of 2 done by a 3x3 binomial blur with reflection padding of 2, the first blur before ReLU.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sigmaflow.files import check_digest, sha256_file
from sigmaflow.metrics.resize import check_images, clean_resize

if TYPE_CHECKING:
    import torch

WEIGHTS = "weights/vST0.0/alex_shift_tolerant.pth"
SHA256 = "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee"
CONVS = ("slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13")
WIDTHS = (64, 192, 384, 256, 256)
PADDING = (2, 2, 1, 1, 1)
MIN_SIZE = 32
SCALE = 100.0


def weights_path(file: str = WEIGHTS) -> Path:
    """Where the installed package keeps a file; ``FileNotFoundError`` with the remedy."""
    spec = importlib.util.find_spec("stlpips_pytorch")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            f"{Path(file).name} comes with the package stlpips-pytorch, which "
            "is not installed: pip install stlpips-pytorch"
        )
    return Path(next(iter(spec.submodule_search_locations))) / file


def shipped_digest(extractor: str) -> str:
    """sha256 of the weights that ship for an extractor; empty where none do."""
    return SHA256 if extractor == "stlpips-alex" else ""


class AlexNetFeatures:
    """Spatial means of one ReLU layer (``layer`` 1..5) of images resized to ``size`` pixels.

    ``project``: when given, the means are mapped to that many dimensions by a fixed matrix with
    orthonormal rows (QR of ``numpy.random.RandomState(0).randn``), so that fewer images do.
    Features are multiplied by ``SCALE``, which only makes distances readable (about 1 between
    halves of a set of 1000, hundreds for blur).

    Why relu3 at 64 pixels in 64 dimensions: on 1000 rendered heads it separated best. As multiples
    of the distance between two halves, psi 0.5, blur by 1 pixel and noise of 5 grey values came to
    54, 162 and 10; relu2 gave 54, 149 and 1.5; relu5 42, 114 and 6; without projection nothing was
    gained (51, 163 and 11), and 96 pixels cost 2.5 times as much.
    Raises ``FileNotFoundError`` or ``ValueError`` with a remedy where the weights are absent or
    not the expected ones.
    """

    def __init__(
        self,
        name: str = "stlpips-alex",
        layer: int = 3,
        size: int = 64,
        project: int | None = 64,
        weights: str | Path | None = None,
        sha256: str | None = None,
        device: str = "cpu",
    ) -> None:
        import torch

        if layer not in (1, 2, 3, 4, 5):
            raise ValueError(f"layer must be 1..5, got {layer}")
        if size < MIN_SIZE:
            raise ValueError(f"size must be at least {MIN_SIZE} pixels, got {size}")
        width = WIDTHS[layer - 1]
        if project is not None and not 1 <= project <= width:
            raise ValueError(f"project must be 1..{width} for layer {layer}, got {project}")
        path = Path(weights) if weights is not None else weights_path()
        if not path.is_file():
            raise FileNotFoundError(
                f"AlexNet weights not found: {path}; reinstall with "
                "pip install --force-reinstall stlpips-pytorch"
            )
        # A file given by the user is checked against the digest given with it, if any.
        expected = sha256 if weights is not None else (sha256 or SHA256)
        self.digest = check_digest(path, expected) if expected else sha256_file(path)
        self.name, self.layer, self.size = name, layer, size
        self.dim = project or width
        self.device = device
        state = torch.load(path, map_location="cpu", weights_only=True)
        self._shift = state["scaling_layer.shift"].to(device)
        self._scale = state["scaling_layer.scale"].to(device)
        self._convs = [
            (state[f"net.{c}.weight"].to(device), state[f"net.{c}.bias"].to(device))
            for c in CONVS[:layer]
        ]
        self._projection = None
        if project is not None:
            gauss = np.random.RandomState(0).randn(width, project)
            rows = np.linalg.qr(gauss)[0].T
            self._projection = torch.from_numpy(rows.astype(np.float32)).to(device)

    @property
    def key(self) -> str:
        """Names features that may be compared with each other."""
        return f"{self.name}/relu{self.layer}@{self.size}/{self.dim}/{self.digest[:12]}"

    def describe(self) -> dict[str, object]:
        """What a table should say about the number: layer, size, dimensions, weights, digest."""
        return {
            "extractor": self.name,
            "number": "fid_mini",
            "dim": self.dim,
            "weights": Path(WEIGHTS).name,
            "sha256": self.digest,
            "package": "stlpips-pytorch",
            "scale": SCALE,
            "layer": f"relu{self.layer}",
            "resize": f"clean-fid PIL bicubic to {self.size}",
            "projection": "none"
            if self._projection is None
            else f"orthonormal, RandomState(0), to {self.dim}",
            "key": self.key,
        }

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 ``[B, 3, H, W]`` to float32 ``[B, dim]`` on the CPU."""
        import torch

        check_images(images)
        parts = []
        with torch.inference_mode():
            for chunk in images.split(32) if len(images) else ():
                x = clean_resize(chunk, self.size).to(self.device)
                means = self._forward(x).mean((2, 3))
                if self._projection is not None:
                    means = means @ self._projection.T
                parts.append((means * SCALE).float().cpu())
        return torch.cat(parts) if parts else torch.zeros(0, self.dim)

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional as F

        x = ((x / 127.5 - 1) - self._shift) / self._scale
        for index, (weight, bias) in enumerate(self._convs):
            if index in (1, 2):
                x = _blur(F.max_pool2d(x, 3, stride=1))
            x = F.conv2d(x, weight, bias, padding=PADDING[index])
            if index == 0:
                x = _blur(x)
            x = F.relu(x)
        return x


def _blur(x: torch.Tensor) -> torch.Tensor:
    """Halve ``[B, C, H, W]``: binomial 3x3, reflection padding of 2."""
    import torch
    from torch.nn import functional as F

    tap = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device)
    kernel = torch.outer(tap, tap).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=x.shape[1])
