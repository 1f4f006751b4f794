"""The files of one seed's shape, and the manifest that says what is done (`jobs.shapes`)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sigmaflow.atomic import TEMPORARY, write_bytes, write_with
from sigmaflow.files import sha256_file
from sigmaflow.numbertable import check_numbers

MANIFEST = "manifest.parquet"
SURFACE = ("ply", "glb", "png", "mp4", "webp")  # made from the mesh
SUFFIX = {
    "ply": ".ply", "glb": ".glb", "mrc": ".mrc", "png": ".png", "mp4": ".mp4", "webp": ".webp",
    "depth": "-depth.npy", "points": "-points.ply",
}  # fmt: skip
PLANES = 32  # of the cube in memory at once


@dataclass(frozen=True)
class Settings:
    """All that a shape depends on besides its seed; columns of the manifest."""

    checkpoint: str  # sha256 of the generator's weights and config
    psi: float
    resolution: int
    grid: str
    level: float
    border: str
    orientation: str


def checkpoint_digest(folder: Path) -> str:
    """sha256 of what the shapes of a checkpoint depend on."""
    total = hashlib.sha256()
    for name in ("config.json", "G_ema.safetensors"):
        total.update(f"{name}\0{sha256_file(folder / name)}\0".encode())
    return total.hexdigest()


class Manifest:
    """One row a seed and format, in `manifest.parquet`; rewritten whole after every seed."""

    COLUMNS = ("seed", "psi", "format", "file", "sha256", "bytes", "checkpoint", "resolution",
               "grid", "level", "border", "orientation", "vertices", "faces", "reward",
               "reward_model", "note")  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / MANIFEST
        self.rows: dict[tuple[int, str], dict[str, Any]] = {}
        if self.path.exists():
            try:
                check_numbers(self.path)  # its size, by the footer
                frame = pd.read_parquet(self.path)
                rows = frame[list(self.COLUMNS)].to_dict("records")
            except Exception as error:  # pyarrow has many
                raise ValueError(
                    f"{self.path}: not a manifest of this command ({error}); move it "
                    "away or give another --out"
                ) from error
            self.rows = {(int(r["seed"]), r["format"]): r for r in rows}

    def done(self, seed: int, kind: str, settings: Settings) -> bool:
        """Whether the file is there as it was written, with these settings."""
        row = self.rows.get((seed, kind))
        if row is None or any(row[k] != v for k, v in asdict(settings).items()):
            return False
        if row["note"]:
            return True  # there is no surface, and will be none
        path = self.folder / row["file"]
        return path.is_file() and sha256_file(path) == row["sha256"]

    def score(self, seed: int, model: str, settings: Settings) -> float | None:
        """The reward of a seed's shape by this model, if it is known."""
        known = [row["reward"] for row in self._of_shape(seed, settings)
                 if row["reward_model"] == model]  # fmt: skip
        return float(known[0]) if known else None

    def _of_shape(self, seed: int, settings: Settings) -> Iterator[dict[str, Any]]:
        """Rows of one seed, truncation and generator, whatever was made of it."""
        shape = (seed, settings.psi, settings.checkpoint)
        yield from (row for row in self.rows.values()
                    if (row["seed"], row["psi"], row["checkpoint"]) == shape)  # fmt: skip

    def add(
        self,
        seed: int,
        kind: str,
        settings: Settings,
        path: Path | None,
        note: str = "",
        mesh: Any = None,
    ) -> None:
        """Replace the row of a file; no `path` where the shape has no surface, as `note` says."""
        self.rows[seed, kind] = {
            "seed": seed, "format": kind, **asdict(settings), "note": note,
            "file": path.name if path else "", "sha256": sha256_file(path) if path else "",
            "bytes": path.stat().st_size if path else 0,
            "vertices": len(mesh.vertices) if mesh is not None else 0,
            "faces": len(mesh.faces) if mesh is not None else 0,
            "reward": math.nan, "reward_model": "",
        }  # fmt: skip

    def set_reward(self, seed: int, settings: Settings, reward: tuple[float, str]) -> None:
        for row in self._of_shape(seed, settings):
            row["reward"], row["reward_model"] = reward

    def write(self) -> None:
        rows = [self.rows[key] for key in sorted(self.rows)]
        frame = pd.DataFrame(rows, columns=list(self.COLUMNS))
        write_with(self.path, lambda temporary: frame.to_parquet(temporary, index=False))


def file_of(folder: Path, seed: int, kind: str) -> Path:
    return folder / f"seed{seed:04d}{SUFFIX[kind]}"


class NotFinite(ValueError):
    """A seed for which a generator gives no numbers."""


class Shape:
    """One seed's planes, and from them whatever is asked for, each thing made once."""

    def __init__(self, G: Any, seed: int, settings: Settings, folder: Path) -> None:
        import torch

        from sigmaflow.fields.slab import latents

        self.G, self.seed, self.settings, self.folder = G, seed, settings, folder
        device = next(G.parameters()).device
        z = latents([seed], G.z_dim).to(device)
        with torch.no_grad():
            ws = G.mapping(z, G.canonical_label().to(device), truncation_psi=settings.psi)
            self.planes = G.planes(ws)
        if not bool(torch.isfinite(self.planes).all()):
            raise self._not_finite("planes")
        self._mesh: Any = None  # a Mesh, or the error of there being none
        self._frames: list[np.ndarray] | None = None

    def _not_finite(self, what: str) -> NotFinite:
        return NotFinite(f"seed {self.seed}: the generator's {what} hold NaN or infinity; take a"
                         " checkpoint from before its training diverged")  # fmt: skip

    @property
    def length(self) -> float:
        return float(self.G.rendering_kwargs["box_warp"])

    def reward(self, model: Any) -> float:
        """Score of the slab that the model was trained on."""
        import torch

        with torch.no_grad():
            slab = self.G.sigma_grid(self.planes, model.config.grid)
            if not bool(torch.isfinite(slab).all()):
                raise self._not_finite("densities")
            return float(model(slab)[0])

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """The cube in x-slabs; the generator's own where it can make them.

        Raises NotFinite where it holds NaN or infinity.
        """
        for start, block in self._sampled():
            if not np.isfinite(block).all():
                raise self._not_finite("densities")
            yield start, block

    def _sampled(self) -> Iterator[tuple[int, np.ndarray]]:
        import torch

        from sigmaflow.fields.grid import Grid
        from sigmaflow.fields.streamed import blocks_of

        grid = Grid(resolution=self.settings.resolution, kind=self.settings.grid,
                    length=self.length)  # fmt: skip
        with torch.no_grad():
            if hasattr(self.G, "sigma_blocks"):
                for start, block in self.G.sigma_blocks(self.planes, grid):
                    block = block[0] if block.dim() == 4 else block
                    yield start, block.cpu().numpy()
            else:
                cube = self.G.sigma_grid(self.planes, grid)[0].cpu().numpy()
                yield from blocks_of(cube, PLANES)

    def mesh(self, blocks: Iterator[tuple[int, np.ndarray]] | None = None) -> Any:
        """The surface in world units. Raises EmptySurface, every time it is asked."""
        from sigmaflow.fields.mesh import EmptySurface
        from sigmaflow.fields.streamed import mesh_of_blocks

        s = self.settings
        if self._mesh is None:
            try:
                self._mesh = mesh_of_blocks(blocks or self.blocks(), s.resolution, s.level,
                                            self.length, s.border)  # fmt: skip
            except EmptySurface as error:
                self._mesh = error
        if isinstance(self._mesh, EmptySurface):
            raise self._mesh
        return self._mesh

    def write(self, kind: str) -> Path:
        """The file of one format. Raises EmptySurface where there is none to write."""
        path = file_of(self.folder, self.seed, kind)
        self._writers()[kind](path)
        return path

    def _writers(self) -> dict[str, Callable[[Path], None]]:
        return {
            "ply": self._ply, "glb": self._glb, "mrc": self._mrc, "png": self._png,
            "mp4": self._mp4, "webp": self._webp, "depth": self._depth, "points": self._points,
        }  # fmt: skip

    def _ply(self, path: Path) -> None:
        from sigmaflow.fields.mesh import write_ply

        write_ply(path, self._oriented())

    def _glb(self, path: Path) -> None:
        from sigmaflow.fields.glb import write_glb

        write_glb(path, self._oriented())

    def _oriented(self) -> Any:
        from sigmaflow.fields.released import released_axes

        if self.settings.orientation == "world":
            return self.mesh()
        return released_axes(self.mesh(), self.settings.resolution, self.length)

    def _mrc(self, path: Path) -> None:
        """The cube goes to the disk plane by plane, and the mesh is made from there."""
        from sigmaflow.fields.mesh import EmptySurface
        from sigmaflow.fields.mrc import map_mrc, write_mrc
        from sigmaflow.fields.released import released_blocks
        from sigmaflow.fields.streamed import blocks_of

        n = self.settings.resolution
        released = self.settings.orientation == "released"
        world = path.with_name(f"{TEMPORARY}{path.name}") if released else path
        try:
            write_mrc(world, self.blocks(), (n, n, n), self.length)
            cube = map_mrc(world)
            try:
                self.mesh(blocks_of(cube, PLANES))
            except EmptySurface:
                pass  # the cube is there all the same
            if released:
                write_mrc(path, released_blocks(cube), (n, n, n), None, released=True)
        finally:
            if released:
                world.unlink(missing_ok=True)

    def _png(self, path: Path) -> None:
        from sigmaflow.figures.turntable import view_strip, write_png

        write_png(path, view_strip(self.mesh()))

    def _mp4(self, path: Path) -> None:
        from sigmaflow.figures.turntable import write_mp4

        write_mp4(path, self._turn())

    def _webp(self, path: Path) -> None:
        from sigmaflow.figures.turntable import write_webp

        write_webp(path, self._turn())

    def _turn(self) -> list[np.ndarray]:
        from sigmaflow.figures.turntable import turntable

        if self._frames is None:
            self._frames = list(turntable(self.mesh()))
        return self._frames

    def _depth(self, path: Path) -> None:
        """Three views, float32 `[3, 128, 128]`, yaw +1, 0, -1 rad."""
        import io

        import torch

        from sigmaflow.fields.depth import depth_of_planes, view_labels

        with torch.no_grad():
            depth = self._finite(depth_of_planes(self.G, self.planes, view_labels(self.G)))[0]
        stream = io.BytesIO()
        np.save(stream, depth.cpu().numpy(), allow_pickle=False)
        write_bytes(path, stream.getvalue())

    def _finite(self, depth: Any) -> Any:
        if not bool(depth.isfinite().all()):
            raise self._not_finite("depths")
        return depth

    def _points(self, path: Path) -> None:
        """The canonical view's 128 x 128 points, world units, as PLY without faces."""
        import torch

        from sigmaflow.fields.depth import SINGLE, depth_of_planes, view_labels
        from sigmaflow.fields.mesh import Mesh, write_ply
        from sigmaflow.fields.points import depth_points

        c = view_labels(self.G, SINGLE)
        with torch.no_grad():
            depth = self._finite(depth_of_planes(self.G, self.planes, c))
            points = depth_points(depth[:, 0], c)[0]
        write_ply(path, Mesh(points.cpu().numpy(), np.empty((0, 3), np.int32)))
