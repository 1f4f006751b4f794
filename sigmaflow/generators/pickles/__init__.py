"""StyleGAN and EG3D snapshot pickles, read as data: nothing in a file is executed or imported."""

from .build import Conversion, convert_pickle, load_pickle, load_pickle_generator
from .errors import PickleError
from .snapshot import Network, Snapshot, read_snapshot

__all__ = [
    "Conversion",
    "Network",
    "PickleError",
    "Snapshot",
    "convert_pickle",
    "load_pickle",
    "load_pickle_generator",
    "read_snapshot",
]
