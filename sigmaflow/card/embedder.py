"""dlib's face embedding as a second extractor of features: trained by others, for another end.

A 29-layer ResNet, 128 numbers (King 2017, "High quality face recognition with deep metric
learning"; dlib is BSL-1.0, its models CC0). It wants aligned chips of 150 x 150; here the whole
picture is one, without detection, so that no picture is left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sigmaflow.files import sha256_file

SIZE = 150


class DlibEmbedder:
    """An `sigmaflow.metrics.features.Extractor`. ``ImportError`` without dlib."""

    name, dim = "dlib-resnet", 128

    def __init__(self, path: str | Path) -> None:
        import dlib

        self._model = dlib.face_recognition_model_v1(str(path))
        self.digest = sha256_file(path)

    @property
    def key(self) -> str:
        """Names features that may be compared with each other."""
        return f"{self.name}/{SIZE}/{self.dim}/{self.digest[:12]}"

    def describe(self) -> dict[str, object]:
        """What a table should say about the number."""
        return {"extractor": self.name, "dim": self.dim, "sha256": self.digest, "key": self.key,
                "resize": f"PIL bicubic to {SIZE}, the whole picture"}  # fmt: skip

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 ``[B, 3, H, W]`` to float32 ``[B, 128]``."""
        from PIL import Image

        out = np.zeros((len(images), self.dim), dtype=np.float32)
        for i, image in enumerate(images):
            picture = Image.fromarray(image.permute(1, 2, 0).numpy())
            chip = np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
            out[i] = np.asarray(self._model.compute_face_descriptor(chip))
        return torch.from_numpy(out)
