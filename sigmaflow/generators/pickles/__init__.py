"""StyleGAN and EG3D snapshot pickles, read as data: nothing in a file is executed or imported."""

from .build import convert_pickle, load_pickle
from .errors import PickleError
from .snapshot import Network, Snapshot, read_snapshot

__all__ = [
    "Network", "PickleError", "Snapshot", "convert_pickle", "load_pickle", "read_snapshot",
]
