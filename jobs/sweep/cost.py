"""What a task will take: from finished tasks like it, else from a table of rough numbers.

Seconds and bytes grow with one obvious size of a stage (voxels, kimg, images). Where the store has
finished tasks of that stage on like inputs, their rates are used; else those of `MODEL`.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.store.stage import Task, canonical
from jobs.store.store import MARKER, SHORT, SPEC
from jobs.sweep.estimates import finetune_estimate, gan_kimg, warm_kimg
from sigmaflow.fields.grid import Grid
from sigmaflow.rewards.config import REPRESENTATIONS, RewardConfig

Config = Mapping[str, Any]
Spec = Mapping[str, Any]  # as `Task.spec`
GB = 1e9
WARM = 60.0  # seconds of a first task that tell more of its work than of imports and compilation
SEEN = ("slabs", "views")  # stages, and inputs of a reward: what it sees of shapes


@dataclass(frozen=True)
class Span:
    """A number and the interval in which it is expected."""

    low: float = 0.0
    middle: float = 0.0
    high: float = 0.0

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.middle + other.middle, self.high + other.high)

    def __mul__(self, factor: float) -> Span:
        return Span(self.low * factor, self.middle * factor, self.high * factor)


@dataclass(frozen=True)
class Cost:
    """Of one task, or a sum of them; ``guessed`` where any part is from the table."""

    seconds: Span = Span()
    bytes: Span = Span()  #: left on the disk when done
    memory: float = 0.0  #: bytes of main memory, of the largest part
    gpu_memory: float = 0.0  #: bytes of a GPU's, of the largest part; 0 where nothing is known
    guessed: bool = False

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.seconds + other.seconds,
            self.bytes + other.bytes,
            max(self.memory, other.memory),
            max(self.gpu_memory, other.gpu_memory),
            self.guessed or other.guessed,
        )

    def __mul__(self, factor: float) -> Cost:
        return Cost(
            self.seconds * factor, self.bytes * factor, self.memory, self.gpu_memory, self.guessed
        )


@dataclass(frozen=True)
class Past:
    """What a finished task took; peaks of memory in bytes, 0 where they were not measured."""

    spec: Spec
    seconds: float
    bytes: float
    memory: int = 0
    gpu_memory: int = 0


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


def _count(spec: Spec) -> int:
    """Seeds of a fan-out task."""
    c = spec["config"]
    if "part" in c:
        return c["part"][1] - c["part"][0]
    return len(c["seeds"])


def _cells(grid: Config) -> float:
    """Millions of voxels of a grid."""
    return Grid.from_dict(dict(grid)).size / 1e6


def _slab_voxels(spec: Spec) -> float:
    return _count(spec) * _cells(spec["config"]["grid"])


def _reward_shapes(spec: Spec) -> float:
    inputs = spec["inputs"]
    tasks = inputs.get("slabs") or inputs.get("views") or ()
    return sum(spec.get("shapes", {}).values()) or 64.0 * len(tasks)


# Of one voxel, pixel or coordinate, in those of the U-Net: measured on one core at mini sizes.
WORK = {"resnet3d": 0.1, "projections": 0.1, "voxnet": 0.5, "resnet18": 4.0, "resnet50": 14.0,
        "vggface": 20.0, "vgg4096": 20.0, "pointnet": 5.0, "pointnet2": 3.0, "curvenet": 27.0}


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
    return _count(spec) * len(c["yaws"]) * c["resolution"] ** 2 / 1e6


def _shapes_bytes(spec: Spec) -> float:
    """float16 cubes, pictures and meshes of an evaluation."""
    c = spec["config"]
    return 2.0 * c["seeds"] * c["consistency_resolution"] ** 3 + 5e5


def _wide(spec: Spec) -> int:
    """Features of an image: Inception has 2048."""
    return 64 if spec["config"]["protocol"]["name"] == "mini" else 2048


def _features_bytes(spec: Spec) -> float:
    """float32 features of a shard, and the float64 nodes of its moments (one in the best case)."""
    return 4.0 * _count(spec) * _wide(spec) + 8.0 * (_wide(spec) ** 2 + _wide(spec))


def _slab_bytes(spec: Spec) -> float:
    return 4e6 * _slab_voxels(spec) + 8 * _count(spec) + 256


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
    "measures": Rates(lambda s: _count(s) * _cells(s["config"]["view"]), (0.7, 4.0), (0.5, 3.0),
                      lambda s: 5e3 + 60.0 * _count(s), ("view", "generator")),
    "rankings": Rates(lambda s: 1.0, (0.05, 5.0), (1.0, 20.0),
                      lambda s: 6e3 + 65.0 * s["config"]["questions"], ()),
    "slabs": Rates(_slab_voxels, (1.0, 10.0), (0.02, 0.15), _slab_bytes, ("grid", "generator")),
    "reward": Rates(_reward_voxels, (1.0, 4.0), (0.09, 0.18), _large(2e6, 6e7),
                    ("network.grid", "network.f_maps", "network.backbone"),
                    lambda s: 1.2 * GB + 4e6 * _reward_shapes(s)
                    * _reward_cells(s["config"]["network"])),
    "calibration": Rates(_reward_shapes, (0.0002, 0.02), (0.001, 0.05), lambda s: 1e4,
                         ("reward",), lambda s: 1.2 * GB),
    "views": Rates(_rays, (10.0, 60.0), (0.5, 3.0), lambda s: 4e6 * _rays(s) + 8 * _count(s) + 700,
                   ("resolution", "yaws", "generator")),
    "comparison": Rates(lambda s: len(s["config"]["candidates"]), (0.02, 0.5), (0.1, 2.0),
                        lambda s: 2e4 + 300.0 * len(s["config"]["candidates"])),
    "real": Rates(lambda s: 1.0, (9.0, 31.0), (700.0, 2800.0),
                  lambda s: 2.5e5 if _wide(s) == 64 else 1.2e9, ("protocol.extractor", "images")),
    "finetune": Rates(lambda s: s["config"]["finetune"]["kimg"], (360.0, 1200.0), (900.0, 1800.0),
                      _large(7.6e6, 5e8),
                      ("finetune.batch", "grid", "generator", "view_resolution"),
                      lambda s: 1.6 * GB),
    "features": Rates(_count, (0.06, 0.13), (0.012, 0.042), _features_bytes,
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
    "card_samples": Rates(_count, (0.06, 0.3), (0.02, 0.2), lambda s: 8e2 * _count(s),
                          ("generator",)),
    "card_views": Rates(_count, (0.5, 3.0), (1.0, 6.0), lambda s: 1.3e4 * _count(s),
                        ("generator",)),
    "card_meshes": Rates(_count, (0.2, 1.0), (1.0, 4.0), lambda s: 1e6 * len(s["config"]["lit"]),
                         ("resolution", "generator")),
    "card_truth": Rates(_count, (1.0, 10.0), (2.0, 20.0), lambda s: 4e3 + 100 * _count(s)),
    "card_shapes": Rates(lambda s: 1.0, (5.0, 30.0), (20.0, 200.0), lambda s: 2.5e7),
    "card_sheets": Rates(_count, (0.3, 2.0), (1.0, 6.0), lambda s: 1e5 * _count(s)),
    "card": Rates(lambda s: 1.0, (40.0, 200.0), (60.0, 400.0), lambda s: 8e6),
}  # fmt: skip


class Costs:
    """Estimates against the history of one store. Reads a stage's history once."""

    def __init__(self, root: str | Path, scale: str) -> None:
        self._root, self._scale = Path(root), scale
        self._history: dict[str, list[Past]] = {}

    def of(self, task: Task, left: float = 1.0) -> Cost:
        """Of a task of which the share ``left`` is still to be done. Nothing is known of stages
        that are in neither table nor store."""
        spec = self.told(task)
        rates = MODEL.get(task.stage.name)
        unit = rates.unit(spec) if rates else 1.0
        size = rates.bytes(spec) if rates else 0.0
        like = self.like(task)
        memory = max((one.memory for one in like), default=0) or self.memory(task)
        gpu_memory = max((one.gpu_memory for one in like), default=0)
        past = [
            (one.seconds / (rates.unit(one.spec) if rates else 1.0),
             one.bytes / rates.bytes(one.spec) if rates else one.bytes)
            for one in like
        ]  # fmt: skip
        low, high = getattr(rates, self._scale) if rates else (0.0, 0.0)
        guess = Span(low, (low * high) ** 0.5, high)
        if past:
            seconds = _span([rate for rate, _ in past])
            warmed = len(like) > 1 or like[0].seconds >= WARM or not high
            if not warmed:
                seconds = _both(seconds, guess)
            on_disk = _span([share for _, share in past])
            return Cost(
                seconds * (unit * left), on_disk * (size or 1.0), memory, gpu_memory, not warmed
            )
        if self._scale == "paper" and (counted := finetune_estimate(task)) is not None:
            guess = Span(*counted.estimate.seconds_per_kimg)
            gpu_memory = counted.memory
        return Cost(
            guess * (unit * left), Span(0.5, 1.0, 2.0) * size, memory, gpu_memory, True
        )

    def like(self, task: Task) -> list[Past]:
        """Finished tasks of the same stage and version with like settings and inputs."""
        spec, rates = self.told(task), MODEL.get(task.stage.name)
        alike = rates.alike if rates else ()
        return [
            one for one in self.history(task.stage.name)
            if one.spec["version"] == task.stage.version and _alike(one.spec, spec, alike)
        ]  # fmt: skip

    def memory(self, task: Task) -> float:
        """Bytes of main memory by the table; 0 of stages that are not in it."""
        rates = MODEL.get(task.stage.name)
        return rates.memory(self.told(task)) if rates else 0.0

    def kind(self, task: Task) -> str:
        """Equal for tasks that are alike, in the sense of `like`."""
        spec, rates = self.told(task), MODEL.get(task.stage.name)
        fields = [_field(spec, name) for name in (rates.alike if rates else ())]
        return canonical([task.stage.name, task.stage.version, fields])

    def history(self, stage: str) -> list[Past]:
        """Every finished task of a stage."""
        if stage not in self._history:
            found = []
            for path in sorted(self._root.glob(f"{stage}/[!.]*/{MARKER}")):
                try:
                    marker = json.loads(path.read_bytes())
                    spec = json.loads((path.parent / SPEC).read_bytes())
                    on_disk = sum(entry["size"] for entry in marker["files"].values())
                    peak = marker.get("peak", {})
                    found.append(Past(
                        self._whole(spec), float(marker["seconds"]), float(on_disk),
                        int(peak.get("memory", 0)), int(peak.get("gpu_memory", 0)),
                    ))  # fmt: skip
                except (AttributeError, OSError, ValueError, KeyError, TypeError):
                    continue
            self._history[stage] = found
        return self._history[stage]

    def _whole(self, spec: Spec) -> Spec:
        """As `told`, of a finished task."""
        shapes = {}
        for name in SEEN:
            for key in spec["inputs"].get(name, ()):
                path = self._root / name / key[:SHORT] / SPEC
                shapes[key] = _count(json.loads(path.read_bytes()))
        return {**spec, "shapes": shapes}

    @staticmethod
    def told(task: Task) -> Spec:
        """A spec with what its own text leaves out: how many shapes its slabs or views hold."""
        slabs = {n.key: _count(n.spec()) for n in task.needs() if n.stage.name in SEEN}
        return {**task.spec(), "shapes": slabs}


def _alike(one: Spec, other: Spec, fields: tuple[str, ...]) -> bool:
    return all(_field(one, name) == _field(other, name) for name in fields)


def _field(spec: Spec, name: str) -> Any:
    """An input, or a dotted setting; None where there is none."""
    if name in spec["inputs"]:
        return spec["inputs"][name]
    value: Any = spec["config"]
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _span(rates: list[float]) -> Span:
    """Median and range of what was seen, at least 20 % either way; of one, half to twice."""
    middle = statistics.median(rates)
    if len(rates) == 1:
        return Span(middle / 2, middle, middle * 2)
    return Span(min(*rates, 0.8 * middle), middle, max(*rates, 1.25 * middle))


def _both(one: Span, other: Span) -> Span:
    """Where neither is known well."""
    return Span(min(one.low, other.low), (one.middle * other.middle) ** 0.5,
                max(one.high, other.high))


def hours(span: Span) -> str:
    """ "2 h 10 min (1 h 30 min to 4 h)"; seconds below a minute."""
    return f"{_time(span.middle)} ({_time(span.low)} to {_time(span.high)})"


def size(count: float) -> str:
    """ "9.3 MB"."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if count >= unit:
            return f"{count / unit:.{0 if count >= 100 * unit else 1}f} {name}"
    return f"{count:.0f} B"


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 360000 else f"{seconds / 86400:.0f} days"
