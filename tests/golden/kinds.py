"""The kinds of folders that are known, the first that recognises a folder takes it."""

from __future__ import annotations

from . import adversarial, eg3d, reward_phase, rewards, superresolution
from .folders import Folder, Kind


def _repo(*names: str):
    """Folders of another generator: by what made them, or by arguments that EG3D has not."""

    def knows(folder: Folder) -> bool:
        rendering = folder.config.get("init_kwargs", {}).get("rendering_kwargs", {})
        repo = str(folder.config.get("repo", "")).lower()
        return repo in names or (not repo and "triplane_depth" in rendering)

    return knows


def _pickles(folder: Folder) -> bool:
    return any(folder.path.glob("*.pkl"))


def _mask_discriminator(folder: Folder) -> bool:
    return "MaskDualDiscriminator" in str(folder.config.get("D_class", ""))


KINDS = (
    Kind("EG3D generator", eg3d.knows, eg3d.compare),
    Kind("super-resolution", superresolution.knows, superresolution.compare),
    Kind("GAN loss", adversarial.knows, adversarial.compare),
    Kind("reward phase", reward_phase.knows, reward_phase.compare),
    Kind("reward networks", rewards.knows, rewards.compare),
    Kind(
        "other generator",
        _repo("panohead", "spherehead", "hyplanehead"),
        elsewhere="this generator is not built here",
    ),
    Kind("mask discriminator", _mask_discriminator, elsewhere="not built here"),
    Kind("pickles", _pickles, elsewhere="tests/golden/test_pickles.py"),
)


def kind_of(folder: Folder) -> Kind | None:
    return next((kind for kind in KINDS if kind.knows(folder)), None)
