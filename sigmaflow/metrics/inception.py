"""Inception features (paper scale), clean-fid's and NVIDIA's. Nothing is downloaded from here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sigmaflow.files import check_digest, sha256_file
from sigmaflow.metrics.resize import check_images, clean_resize, tf1_resize

if TYPE_CHECKING:
    import torch

FILE = "inception-2015-12-05.pt"
URL = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/" + FILE


class CleanFidInception:
    """2048 pool features of the TorchScript InceptionV3 that clean-fid uses.

    ``weights``: the file, or the folder that holds ``inception-2015-12-05.pt``. ``sha256``: the
    digest that the file must have (clean-fid does not notice a partial download). The file is
    TorchScript, which is code: hand in only a file that you trust.
    """

    name = "clean-fid-inception"
    number = "fid"
    resize = "clean-fid PIL bicubic to 299"
    dim = 2048

    def __init__(
        self, weights: str | Path | None, sha256: str | None = None, device: str = "cpu"
    ) -> None:
        if weights is None:
            raise ValueError(
                f"{self.name} needs the path of its weights: download {URL} once and "
                "give its path; it is never downloaded for you"
            )
        path = Path(weights)
        path = path / FILE if path.is_dir() else path
        if path.name != FILE:
            raise ValueError(f"clean-fid wants its weights to be called {FILE}, got {path.name}")
        if not path.is_file():
            raise FileNotFoundError(
                f"Inception weights not found: {path}; download {URL} there, "
                "or use the extractor stlpips-alex, which needs no download"
            )
        self.digest = check_digest(path, sha256) if sha256 else sha256_file(path)
        from cleanfid.inception_torchscript import InceptionV3W

        self.device = device
        net = InceptionV3W(str(path.parent), download=False, resize_inside=False)
        self._net = net.eval().to(device)

    @property
    def key(self) -> str:
        """Names features that may be compared with each other."""
        return f"{self.name}/{self.digest[:12]}"

    def describe(self) -> dict[str, object]:
        """What a table should say about the number."""
        return {
            "extractor": self.name,
            "number": self.number,
            "dim": self.dim,
            "weights": FILE,
            "sha256": self.digest,
            "package": "clean-fid",
            "resize": self.resize,
            "key": self.key,
        }

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 ``[B, 3, H, W]`` to float32 ``[B, 2048]`` on the CPU."""
        import torch

        check_images(images)
        parts = []
        with torch.inference_mode():
            for chunk in images.split(32) if len(images) else ():
                parts.append(self._net(self._resized(chunk)).float().cpu())
        return torch.cat(parts) if parts else torch.zeros(0, self.dim)

    def _resized(self, images: torch.Tensor) -> torch.Tensor:
        return clean_resize(images, 299).to(self.device)


class NvidiaInception(CleanFidInception):
    """The same network as NVIDIA's metrics run it: images resized as its first layer would.

    StyleGAN's and EG3D's ``fid50k_full`` hand images of any size to the TorchScript's top module,
    which resizes without antialiasing. The same resizing is done here (`tf1_resize`), and the
    layers below are called, so that nothing but them is taken from the file.
    """

    name = "nvidia-inception"
    number = "fid50k_full"
    resize = "TensorFlow 1 bilinear to 299, not antialiased"

    def _resized(self, images: torch.Tensor) -> torch.Tensor:
        return tf1_resize(images.to(self.device), 299)
