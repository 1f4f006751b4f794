"""StyleGAN and EG3D snapshot pickles, read as data: nothing in a file is executed or imported."""

from .errors import PickleError
from .snapshot import Network, Snapshot, read_snapshot

__all__ = ["Network", "PickleError", "Snapshot", "read_snapshot"]
