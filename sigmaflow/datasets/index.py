"""The names and cameras of an image set, checked without decoding a picture."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sigmaflow.datasets.labels import label_problems, label_table
from sigmaflow.datasets.members import AGAIN, open_members
from sigmaflow.datasets.pictures import HEAD, MOST_BYTES, is_png, size, unequal
from sigmaflow.jsontext import loads
from sigmaflow.seeds import MAX_SEED

LABELS = "dataset.json"
LOOKED_AT = 2000  # pictures whose size is looked at before any work; others when they are read
MOST_LABELS = 256 * 2**20  # bytes of dataset.json, however many members a set claims
# Names of pictures, also of kinds that are refused: none is left out in silence.
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


class ImageIndex:
    """``dataset.json`` of a zip or folder, and the files that it names; pictures stay unread.

    Attributes: ``names`` in the file's order; ``labels`` float32 ``[n, 25]``; ``seeds`` int64
    ``[n]`` or None. Raises ValueError naming file, member, reason and remedy when ``dataset.json``
    is missing or malformed, labels are no cameras (`label_problems`), a picture is named twice,
    missing, empty, cut off or without a label.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.members = open_members(self.path)
        if LABELS not in self.members.names():
            raise self._error(
                LABELS, f"missing; give a set in EG3D's layout, pictures and {LABELS} at its top"
            )
        if trouble := self.members.trouble(LABELS, self._most_labels()):
            raise self._error(LABELS, trouble)
        try:
            meta = loads(self.read(LABELS), constants=True)  # label_problems names the picture
            entries = [(str(name), values) for name, values in meta["labels"]]
        except (ValueError, TypeError, KeyError) as error:
            raise self._error(
                LABELS, f'has no list "labels" of [name, numbers] ({error})'
            ) from error
        if not entries:
            raise self._error(LABELS, "names no images")
        self.names = [name for name, _ in entries]
        table = label_table([values for _, values in entries])
        if isinstance(table, tuple):
            raise self._error(self.names[table[0]], table[1])
        self._raise_if(label_problems(self.names, table))
        self._raise_if(self._file_problems())
        self.labels = table.astype(np.float32)
        self.seeds = self._read_seeds(meta)

    def _most_labels(self) -> int:
        """Bytes that labels may take: 25 numbers, a name and a seed for every member, and more."""
        return min(2**20 + 4096 * len(self.members.names()), MOST_LABELS)

    def _file_problems(self) -> Iterable[tuple[str, str]]:
        there, named = self.members.names(), set()
        for name in self.names:
            if name in named:
                yield name, f"named twice in {LABELS}; leave one out"
            named.add(name)
            if name not in there:
                yield name, f"named in {LABELS} but missing; add it or take its label out"
            elif trouble := self.members.trouble(name, MOST_BYTES):
                yield name, trouble
        for name in there:
            hidden = any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
            if name not in named and name.lower().endswith(PICTURES) and not hidden:
                yield name, f"has no label in {LABELS}; add one or take the picture out"

    def _raise_if(self, problems: Iterable[tuple[str, str]]) -> None:
        """One error for all of them: the first, and how many more."""
        found = iter(problems)
        if (first := next(found, None)) is not None:
            more = sum(1 for _ in found)
            raise self._error(first[0], first[1] + (f" (and {more} more problems)" if more else ""))

    def _error(self, member: str, what: str) -> ValueError:
        return ValueError(f"{self.path}: {member}: {what}")

    def _read_seeds(self, meta: dict) -> np.ndarray | None:
        if not meta.get("seeds"):
            return None
        try:
            known = {name: int(seed) for name, seed in meta["seeds"]}
            seeds = [known[name] for name in self.names]
            if not all(0 <= seed <= MAX_SEED for seed in seeds):
                raise ValueError(f"they go from 0 to {MAX_SEED}")
            return np.array(seeds, dtype=np.int64)
        except (OverflowError, KeyError, TypeError, ValueError) as error:
            raise self._error(LABELS, f'"seeds" does not fit the labels ({error!r})') from error

    def read(self, name: str) -> bytes:
        """The stored bytes of a member. ValueError naming it and the reason."""
        try:
            return self.members.read(name)
        except (OSError, KeyError, ValueError) as error:
            raise self._error(name, f"cannot be read ({error}); {AGAIN}") from error

    def side(self, most: int = LOOKED_AT) -> int:
        """Pixels a side of the pictures, by the first bytes of at most ``most``, evenly spread.

        Raises ValueError naming the first that is not square, of another size than the first one,
        or that `sigmaflow.datasets.pictures` refuses by its header.
        """
        side = 0
        for at in np.unique(np.linspace(0, len(self) - 1, min(most, len(self))).astype(int)):
            name = self.names[at]
            width, height = self._size(name)
            side = side or width
            if (width, height) != (side, side):
                raise self._error(name, unequal(width, height, side))
        return side

    def _size(self, name: str) -> tuple[int, int]:
        try:
            head = self.members.head(name, HEAD)
        except (OSError, KeyError, ValueError) as error:
            raise self._error(name, f"cannot be read ({error}); {AGAIN}") from error
        data = head if is_png(head) else self.read(name)
        try:
            return size(data)
        except ValueError as error:
            raise self._error(name, str(error)) from error

    def __len__(self) -> int:
        return len(self.names)

    def close(self) -> None:
        """Close the file; reading afterwards raises ValueError."""
        self.members.close()
