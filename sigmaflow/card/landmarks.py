"""Does a landmark model see a face: MediaPipe's ``face_landmark.tflite``, run by LiteRT.

Input ``[1, 192, 192, 3]`` in [0, 1]; outputs 468 points and one presence logit (Kartynnik et al.
2019; model card "MediaPipe Face Mesh", Apache-2.0). The whole picture is enlarged: no detector and
no crop, which does on rendered heads that fill their picture.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

SIZE = 192
POINTS = 468


class FaceLandmarks:
    """The landmark model. ``ImportError`` without ai-edge-litert, ``ValueError`` for another
    model's file."""

    def __init__(self, path: str | Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._model = Interpreter(model_path=str(path), num_threads=1)
        self._model.allocate_tensors()
        self._input = self._model.get_input_details()[0]
        outputs = {int(np.prod(o["shape"])): o["index"] for o in self._model.get_output_details()}
        if tuple(self._input["shape"]) != (1, SIZE, SIZE, 3) or {1, 3 * POINTS} - set(outputs):
            raise ValueError(f"{path}: no face_landmark.tflite: input {self._input['shape']}, "
                             f"outputs of {sorted(outputs)} numbers")  # fmt: skip
        self._flag, self._points = outputs[1], outputs[3 * POINTS]

    def __call__(self, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """uint8 ``[B, 3, H, W]`` (square) to presence logits float64 ``[B]`` and points float64
        ``[B, 468, 3]``: x, y (down) in units of the picture's side, z on x's scale."""
        from PIL import Image

        flags, points = np.zeros(len(images)), np.zeros((len(images), POINTS, 3))
        for i, image in enumerate(images):
            picture = Image.fromarray(image.permute(1, 2, 0).numpy())
            x = (
                np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BICUBIC), dtype=np.float32)
                / 255
            )
            self._model.set_tensor(self._input["index"], x[None])
            self._model.invoke()
            flags[i] = self._model.get_tensor(self._flag).reshape(())
            points[i] = self._model.get_tensor(self._points).reshape(POINTS, 3) / SIZE
        return flags, points


def found(logits: np.ndarray) -> np.ndarray:
    """bool ``[n]``: sigmoid of the presence logit above 0.5."""
    return np.asarray(logits) > 0


def off_frontal(labels: np.ndarray) -> np.ndarray:
    """Angle in degrees ``[n]`` between the cameras of labels ``[n, 25]``, as seen from the world's
    origin, and the frontal one on +z."""
    place = np.asarray(labels, dtype=np.float64)[:, [3, 7, 11]]
    return np.degrees(np.arccos(np.clip(place[:, 2] / np.linalg.norm(place, axis=1), -1, 1)))
