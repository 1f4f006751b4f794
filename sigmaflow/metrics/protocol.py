"""How an FID was taken, by name and in full: numbers of different protocols are not comparable.

``clean``: clean-fid's resizing (Parmar et al. 2022), covariance with n - 1, as clean-fid's numbers.
``nvidia``: EG3D's ``fid50k_full``, which the paper's 4.09, 5.342 and 6.657 are (Table 2):
bilinear without antialiasing inside the network, covariance with n, random noise, rays with jitter.
``mini``: small features that need no download; comparable with itself only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sigmaflow.seeds import Seed, check_range

Name = Literal["clean", "nvidia", "mini"]
BLOCK = 100  #: images whose moments are summed as one; never split between shards
BATCH = 25  #: images that the feature network sees at once: float rounding depends on it
FIRST_SEED = 400000  #: of generated images
NAMED: dict[str, dict[str, Any]] = {
    "clean": {"extractor": "clean-fid-inception", "resize": "pil-bicubic-299"},
    "nvidia": {
        "extractor": "nvidia-inception", "resize": "tf1-bilinear-299", "covariance": "n",
        "noise": "random", "rays": "stratified",
    },
    "mini": {"extractor": "stlpips-alex", "resize": "pil-bicubic-64"},
}  # fmt: skip
OF_EXTRACTOR = {fields["extractor"]: name for name, fields in NAMED.items()}
#: What statistics of real images depend on; the rest is about generated ones.
OF_REALS = ("extractor", "weights", "resize", "pixels", "batch", "block", "mirror", "real")


class ProtocolError(ValueError):
    """Numbers or statistics of different protocols met where they must be the same."""


class Protocol(BaseModel):
    """All that an FID depends on beside the generator. Frozen; equal hashes, comparable numbers.

    ``real`` and ``cameras`` identify image sets, usually by the sha256 of their file. Image i of a
    generator has latent seed ``first_seed + i``, its camera is drawn from (``pose_seed``, i).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    extractor: str
    weights: str
    """sha256 of the feature network's file"""
    resize: Literal["pil-bicubic-299", "tf1-bilinear-299", "pil-bicubic-64"]
    pixels: Literal["uint8"] = "uint8"
    """generated images are cut to bytes as EG3D saves them: times 127.5, plus 128"""
    batch: int = Field(BATCH, ge=1)
    block: int = Field(BLOCK, ge=2)
    covariance: Literal["n-1", "n"] = "n-1"
    real: str
    """the real images"""
    mirror: bool = False
    """whether the mirror image of every real one counts too; a set may hold its own"""
    cameras: str
    """the labelled set whose cameras are drawn, each alike"""
    images: int = Field(ge=2)
    """generated, exactly so many"""
    first_seed: Seed = FIRST_SEED
    pose_seed: Seed = 0
    psi: float = Field(1.0, ge=0, le=1)
    noise: Literal["const", "random"] = "const"
    """of the backbone"""
    rays: Literal["deterministic", "stratified"] = "deterministic"
    """where along its depth a ray is sampled"""

    @model_validator(mode="after")
    def _is_what_its_name_says(self) -> Protocol:
        for key, value in NAMED[self.name].items():
            if getattr(self, key) != value:
                raise ValueError(
                    f"{key} {getattr(self, key)!r} is not the protocol {self.name!r}, which has "
                    f"{value!r}; use another name"
                )
        if self.block % self.batch:
            raise ValueError(f"block {self.block} must be a multiple of batch {self.batch}")
        check_range(self.first_seed, self.images, "first_seed", "images")
        return self

    @property
    def hash(self) -> str:
        """sha256 of the canonical JSON of every field, 64 hex digits."""
        return _hash(self.model_dump(mode="json"))

    @property
    def real_hash(self) -> str:
        """The same of what statistics of the real images depend on, ``OF_REALS``."""
        return _hash(self.of_reals())

    @property
    def column(self) -> str:
        """What the number may be called: FID-50k names only exactly 50,000 images."""
        if self.name == "mini":
            return "fid_mini"
        end = "_full" if self.name == "nvidia" else ""
        return f"fid50k{end}" if self.images == 50000 else f"fid_{self.images}{end}"

    @property
    def ddof(self) -> int:
        """What the divisor of the covariance takes off n."""
        return 1 if self.covariance == "n-1" else 0

    def of_reals(self) -> dict[str, Any]:
        return self.model_dump(mode="json", include=set(OF_REALS))

    def shards(self, size: int) -> list[tuple[int, int]]:
        """Stretches [start, stop) of at most ``size`` images, a multiple of ``block``."""
        if size < 1 or size % self.block:
            raise ValueError(f"a shard of {size} images must be a multiple of {self.block}")
        return [(i, min(i + size, self.images)) for i in range(0, self.images, size)]


def named(name: str, **fields: Any) -> Protocol:
    """The protocol ``name``; ``fields``: weights, real, cameras, images and what differs."""
    return Protocol(name=name, **{**NAMED[name], **fields})


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """What differs between two protocols or parts of them, as "key: one against other"."""
    keys = dict.fromkeys([*a, *b])
    return [f"{k}: {a.get(k)!r} against {b.get(k)!r}" for k in keys if a.get(k) != b.get(k)]


def same(protocols: Mapping[str, Protocol]) -> Protocol:
    """The one protocol of all these numbers, by what each is called.

    Raises ProtocolError naming two that differ and in what, and ValueError for none at all.
    """
    if not protocols:
        raise ValueError("no protocols were given")
    (first, one), *others = protocols.items()
    for label, other in others:
        if wrong := differences(one.model_dump(mode="json"), other.model_dump(mode="json")):
            raise ProtocolError(
                f"FIDs of different protocols in one place: {first} ({one.name}, {one.hash[:12]}) "
                f"and {label} ({other.name}, {other.hash[:12]}) differ in {'; '.join(wrong)}. "
                "Measure both alike, or give them a table each"
            )
    return one


def _hash(fields: Mapping[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
