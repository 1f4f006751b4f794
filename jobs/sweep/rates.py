"""What a unit of work of each stage takes: a table of rough numbers, for the first estimate.

`jobs.sweep.cost` prefers what a store has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.stages.quantity import QUANTITIES
from jobs.sweep.estimates import gan_kimg, warm_kimg
from sigmaflow.fields.grid import Grid
from sigmaflow.rewards.config import REPRESENTATIONS, RewardConfig

Config = Mapping[str, Any]
Spec = Mapping[str, Any]  # as `Task.spec`
GB = 1e9


@dataclass(frozen=True)
class Rates:
    """One stage. Rates are (low, high) seconds a unit: ``mini`` on one CPU core, measured on
    ``sweeps/lambda.yaml`` and ``sweeps/pretrain_mini.yaml`` (an idle core to a busy one; rendering
    is a guess);
    ``paper`` on one RTX 4090, never measured: from the paper's own 5 to 10 h a training, and from
    published timings of FID in the StyleGAN line. Fine-tunes are counted instead
    (`jobs.sweep.estimates`) where the settings of their networks are known.
    """

    unit: Callable[[Spec], float]
    mini: tuple[float, float]
    paper: tuple[float, float]
    bytes: Callable[[Spec], float]
    alike: tuple[str, ...] = ()  #: dotted settings and inputs that history must share
    memory: Callable[[Spec], float] = lambda spec: 1.2 * GB  #: torch and a small network


def count(spec: Spec) -> int:
    """Seeds of a fan-out task."""
    c = spec["config"]
    if "part" in c:
        return c["part"][1] - c["part"][0]
    return len(c["seeds"])


def _cells(grid: Config) -> float:
    """Millions of voxels of a grid."""
    return Grid.from_dict(dict(grid)).size / 1e6


def _slab_voxels(spec: Spec) -> float:
    return count(spec) * _cells(spec["config"]["grid"])


def _reward_shapes(spec: Spec) -> float:
    inputs = spec["inputs"]
    tasks = inputs.get("slabs") or inputs.get("views") or ()
    return sum(spec.get("shapes", {}).values()) or 64.0 * len(tasks)


# Of one voxel, pixel or coordinate, in those of the U-Net: measured on one core at mini sizes.
WORK = {
    "resnet3d": 0.1,
    "projections": 0.1,
    "voxnet": 0.5,
    "resnet18": 4.0,
    "resnet50": 14.0,
    "vggface": 20.0,
    "vgg4096": 20.0,
    "pointnet": 5.0,
    "pointnet2": 3.0,
    "curvenet": 27.0,
}


def _reward_cells(network: Config) -> float:
    """Millions of values of one shape that a reward holds: voxels, or pixels or points."""
    kind = REPRESENTATIONS[network.get("backbone", "unet3d")]
    if kind == "sigma":
        return _cells(network["grid"])
    settings = {name: network.get(name, RewardConfig.model_fields[name].default)
                for name in ("yaws", "image_size", "points")}  # fmt: skip
    if kind == "depth":
        return len(settings["yaws"]) * settings["image_size"] ** 2 / 1e6
    return 3 * settings["points"] / 1e6


def _reward_voxels(spec: Spec) -> float:
    """Millions of voxels (pixels, coordinates) that training looks at, in work of the U-Net's."""
    c = spec["config"]
    work = WORK.get(c["network"].get("backbone", "unet3d"), 1.0)
    work *= 0.2 + 0.8 * c.get("share", 1.0)  # validation and test stay
    return _reward_shapes(spec) * c["train"]["epochs"] * _reward_cells(c["network"]) * work


def _rays(spec: Spec) -> float:
    """Millions of rays of depth maps."""
    c = spec["config"]
    return count(spec) * len(c["yaws"]) * c["resolution"] ** 2 / 1e6


def _shapes_bytes(spec: Spec) -> float:
    """float16 cubes, pictures and meshes of an evaluation."""
    c = spec["config"]
    return 2.0 * c["seeds"] * c["consistency_resolution"] ** 3 + 5e5


def _wide(spec: Spec) -> int:
    """Features of an image: Inception has 2048."""
    return 64 if spec["config"]["protocol"]["name"] == "mini" else 2048


def _features_bytes(spec: Spec) -> float:
    """float32 features of a shard, and the float64 nodes of its moments (one in the best case)."""
    return 4.0 * count(spec) * _wide(spec) + 8.0 * (_wide(spec) ** 2 + _wide(spec))


def _slab_bytes(spec: Spec) -> float:
    return 4e6 * _slab_voxels(spec) + 8 * count(spec) + 256


def _large(small: float, large: float) -> Callable[[Spec], float]:
    """Bytes of networks: by whether the slab is the paper's."""

    def size(spec: Spec) -> float:
        c = spec["config"]
        grid = c.get("grid") or c.get("network", {}).get("grid") or {}
        return large if grid.get("resolution", 0) >= 128 else small

    return size


def _networks_bytes(spec: Spec) -> float:
    """Of G, D and G_ema: by the size of the planes."""
    return 4e8 if spec["config"]["G"].get("plane_resolution", 256) >= 256 else 8e6


MODEL: dict[str, Rates] = {
    "measures": Rates(lambda s: count(s) * _cells(s["config"]["view"]), (0.7, 4.0), (0.5, 3.0),
                      lambda s: 5e3 + 60.0 * count(s), ("view", "generator")),
    "rankings": Rates(lambda s: 1.0, (0.05, 5.0), (1.0, 20.0),
                      lambda s: 6e3 + 65.0 * s["config"]["questions"], ()),
    "slabs": Rates(_slab_voxels, (1.0, 10.0), (0.02, 0.15), _slab_bytes, ("grid", "generator")),
    "reward": Rates(_reward_voxels, (1.0, 4.0), (0.09, 0.18), _large(2e6, 6e7),
                    ("network.grid", "network.f_maps", "network.backbone"),
                    lambda s: 1.2 * GB + 4e6 * _reward_shapes(s)
                    * _reward_cells(s["config"]["network"])),
    "calibration": Rates(_reward_shapes, (0.0002, 0.02), (0.001, 0.05), lambda s: 1e4,
                         ("reward",), lambda s: 1.2 * GB),
    "views": Rates(_rays, (10.0, 60.0), (0.5, 3.0), lambda s: 4e6 * _rays(s) + 8 * count(s) + 700,
                   ("resolution", "yaws", "generator")),
    "comparison": Rates(lambda s: len(s["config"]["candidates"]), (0.02, 0.5), (0.1, 2.0),
                        lambda s: 2e4 + 300.0 * len(s["config"]["candidates"])),
    "real": Rates(lambda s: 1.0, (9.0, 31.0), (700.0, 2800.0),
                  lambda s: 2.5e5 if _wide(s) == 64 else 1.2e9, ("protocol.extractor", "images")),
    "finetune": Rates(lambda s: s["config"]["finetune"]["kimg"], (360.0, 1200.0), (900.0, 1800.0),
                      _large(7.6e6, 5e8),
                      ("finetune.batch", "grid", "generator", "view_resolution"),
                      lambda s: 1.6 * GB),
    "features": Rates(count, (0.06, 0.13), (0.012, 0.042), _features_bytes,
                      ("protocol.extractor", "protocol.noise", "generator")),
    "fid": Rates(lambda s: 1.0, (1.0, 4.0), (60.0, 600.0),
                 lambda s: 3e3 + 8.0 * s["config"]["protocol"]["images"], ("protocol",),
                 lambda s: 0.7 * GB + 12.0 * s["config"]["protocol"]["images"] * _wide(s)),
    "evaluate": Rates(lambda s: s["config"]["seeds"], (0.1, 0.4), (0.5, 4.0),
                      _shapes_bytes, ("mesh_resolution", "view_resolution")),
    "judge": Rates(lambda s: s["config"]["seeds"] * len(s["config"]["judges"]), (0.005, 0.05),
                   (0.05, 0.5), lambda s: 8.0 * s["config"]["seeds"] * len(s["config"]["judges"])),
    "trial": Rates(lambda s: 1.0, (0.1, 3.0), (1.0, 60.0), lambda s: 4e3),
    "tables": Rates(lambda s: len(s["config"]["numbers"]), (1.4, 5.0), (5.0, 60.0),
                    lambda s: 1.2e6 * len(s["config"]["numbers"]) + 5e5),
    "scores": Rates(lambda s: s["config"]["mesh_seeds"], (2.0, 20.0), (10.0, 90.0),
                    lambda s: 3e6 * s["config"]["mesh_seeds"]),
    "render": Rates(lambda s: (s["config"]["seeds"][1] - s["config"]["seeds"][0])
                    * s["config"]["views"], (0.05, 1.0), (0.05, 1.0),
                    lambda s: 6e3 * (s["config"]["seeds"][1] - s["config"]["seeds"][0])
                    * s["config"]["views"], ("resolution", "views")),
    "faces": Rates(lambda s: len(s["inputs"]["parts"]), (0.1, 2.0), (0.1, 2.0),
                   lambda s: 3e6 * len(s["inputs"]["parts"])),
    "rehearsal": Rates(lambda s: 1.0, (0.5, 5.0), (5.0, 60.0), _networks_bytes),
    "warmstart": Rates(lambda s: warm_kimg(s["config"]["warmstart"]), (200.0, 450.0), (10.0, 100.0),
                       lambda s: 7.6e6, ("G",), lambda s: 1.6 * GB),
    "projected": Rates(lambda s: s["config"]["projected"]["kimg"], (280.0, 630.0), (10.0, 100.0),
                       lambda s: 7.6e6, ("projected.batch", "projected.identities"),
                       lambda s: 1.8 * GB),
    "adversarial": Rates(lambda s: gan_kimg(s["config"]["adversarial"]), (360.0, 1200.0),
                         (50.0, 400.0), lambda s: 7.6e6, ("adversarial.batch",),
                         lambda s: 1.6 * GB),
    "card_real": Rates(lambda s: 1.0, (10.0, 400.0), (100.0, 4000.0), lambda s: 1e6, ("images",)),
    "card_samples": Rates(count, (0.06, 0.3), (0.02, 0.2), lambda s: 8e2 * count(s),
                          ("generator",)),
    "card_views": Rates(count, (0.5, 3.0), (1.0, 6.0), lambda s: 1.3e4 * count(s),
                        ("generator",)),
    "card_meshes": Rates(count, (0.2, 1.0), (1.0, 4.0), lambda s: 1e6 * len(s["config"]["lit"]),
                         ("resolution", "generator")),
    "card_truth": Rates(count, (1.0, 10.0), (2.0, 20.0), lambda s: 4e3 + 100 * count(s)),
    "card_shapes": Rates(lambda s: 1.0, (5.0, 30.0), (20.0, 200.0), lambda s: 2.5e7),
    "card_sheets": Rates(count, (0.3, 2.0), (1.0, 6.0), lambda s: 1e5 * count(s)),
    "card": Rates(lambda s: 1.0, (40.0, 200.0), (60.0, 400.0), lambda s: 8e6),
}  # fmt: skip


def rates_of(stage: str) -> Rates | None:
    """Of a stage in `MODEL`, or one that follows from a file of quantities or analyses."""
    kind, _, name = stage.partition("_")
    if kind == "quantity":
        quantity = QUANTITIES[name]
        return Rates(_shapes, quantity.mini, quantity.paper,
                     lambda s: 3e3 + 8.0 * (1 + len(quantity.columns)) * _shapes(s),
                     ("settings", "samples.psi", "generator"))  # fmt: skip
    if kind in ("analysis", "report"):
        return Rates(lambda s: 1.0, (0.1, 2.0), (0.1, 5.0), lambda s: 2e5, ("analysis", "settings"))
    return MODEL.get(stage)


def _shapes(spec: Spec) -> float:
    """Shapes that a task of a quantity measures."""
    first, end = spec["config"]["samples"]["seeds"]
    return end - first
