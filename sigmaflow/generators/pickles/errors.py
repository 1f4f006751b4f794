"""The one error of reading somebody else's checkpoint, and what a file may ask of this machine."""

from __future__ import annotations

from dataclasses import dataclass

from ..checkpoint import CheckpointError

DAMAGED = "the file is damaged or no snapshot of StyleGAN or EG3D; get it again from its publisher"
UNTRUSTED = "load it with nothing else either, and ask where it comes from"


class PickleError(CheckpointError):
    """A pickle that is refused; the text says which file, where in it, what, and what to do."""


@dataclass
class Budget:
    """What is left to one file; shared by all that is read from it.

    A real snapshot has 50,000 opcodes however large its tensors are. The limits leave room for
    twenty times that, and keep what a small file can make this process hold to some hundred MB.
    """

    opcodes: int = 1_000_000
    stack: int = 100_000
    marks: int = 500
    copied: int = 0  # bytes that may be copied out of the file, set from its size


MAX_FILE = 8 << 30
MAX_NAME = 200  # characters of the name of a class, a function or a tensor
MAX_INT_BYTES = 16
LONG_TEXT = 1 << 16  # from here on a text is left undecoded; nothing but source text is longer


def shown(value: object, most: int = 80) -> str:
    """A value of the file for a message: short, and nothing that a terminal obeys."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
