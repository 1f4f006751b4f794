"""A pickle machine that builds inert values only.

It knows the opcodes that snapshots are made of and no others, imports nothing, calls nothing but
the constructors it was given, and checks every length against what is left of the file before any
memory is claimed. Large byte strings stay views of the file. Opcodes: Python's `pickletools`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from .errors import (
    DAMAGED,
    LONG_TEXT,
    MAX_INT_BYTES,
    MAX_NAME,
    UNTRUSTED,
    Budget,
    PickleError,
    shown,
)

Constructor = Callable[["Machine", tuple], Any]


class Global:
    """A name that files may ask for: what REDUCE and NEWOBJ make of it here, if anything."""

    __slots__ = ("name", "call", "new", "value")

    def __init__(
        self,
        name: str,
        call: Constructor | None = None,
        new: Constructor | None = None,
        value: Any = None,
    ):
        self.name, self.call, self.new, self.value = name, call, new, value


class Held:
    """An object of somebody's class: the class's name and the attributes, and no behaviour."""

    __slots__ = ("class_name", "state", "sealed")

    def __init__(self, class_name: str, state: dict | None = None):
        self.class_name = class_name
        self.state = {} if state is None else state
        self.sealed = state is not None  # BUILD may fill it once


class Text:
    """A text too long to be a name, undecoded."""

    __slots__ = ("raw",)

    def __init__(self, raw: memoryview):
        self.raw = raw


class Dtype:
    """A numpy dtype: the code, such as `f8`. Little-endian."""

    __slots__ = ("code", "sealed")

    def __init__(self, code: str):
        self.code, self.sealed = code, False


class Ordered(dict):
    """A collections.OrderedDict; torch hangs the versions of modules on it, which are left out."""


Admitted = Mapping[tuple[str, str], Global]


class Machine:
    """One pickle of `data` from `start` on. After `run`, `pos` is where it ended.

    name: how messages call the file. persistent: what BINPERSID makes of its argument; None
    refuses the opcode.
    """

    def __init__(
        self,
        data: memoryview,
        start: int,
        admitted: Admitted,
        budget: Budget,
        name: str,
        persistent: Callable[[Machine, Any], Any] | None = None,
    ):
        self.data, self.pos, self.end = data, start, len(data)
        self.admitted, self.budget, self.name = admitted, budget, name
        self.persistent = persistent
        self.at = start  # of the opcode at work
        self.frame_end = start
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: list[Any] = []

    def run(self) -> Any:
        """The value that the pickle describes; PickleError where it asks for what it mustn't."""
        budget, stack = self.budget, self.stack
        if self._take(1)[0] != 0x80:
            self.fail("does not begin as a pickle of protocol 2 to 5")
        self._proto()
        while True:
            self.at = self.pos
            code = self._take(1)[0]
            if code == 0x2E:  # STOP
                if self.marks or len(stack) != 1:
                    self.fail(f"stops with {len(stack)} values on its stack, not one")
                return stack[0]
            step = STEPS.get(code)
            if step is None:
                self._unknown(code)
            self.charge(1)
            step(self)
            if len(stack) > budget.stack or len(self.marks) > budget.marks:
                self.fail("is nested deeper than any checkpoint", UNTRUSTED)

    def charge(self, operations: int) -> None:
        """Count what is done; whatever copies a value counts its items too."""
        self.budget.opcodes -= operations
        if self.budget.opcodes < 0:
            self.fail("has more operations than any checkpoint needs", UNTRUSTED)

    def fail(self, what: str, remedy: str = DAMAGED) -> NoReturn:
        raise PickleError(f"{self.name}: byte {self.at}: {what}; {remedy}")

    # Bytes

    def _take(self, count: int) -> memoryview:
        start = self.pos
        if count > self.end - start:
            self.fail(f"wants {count} bytes where {self.end - start} are left")
        self.pos = start + count
        return self.data[start : self.pos]

    def _number(self, count: int) -> int:
        return int.from_bytes(self._take(count), "little")

    def _line(self) -> str:
        window = bytes(self.data[self.pos : min(self.pos + MAX_NAME + 1, self.end)])
        length = window.find(b"\n")
        if length < 0:
            self.fail("holds a name without an end")
        self.pos += length + 1
        return self._decode(window[:length])

    def _decode(self, raw: bytes | memoryview) -> str:
        try:
            return str(raw, "utf-8")
        except UnicodeDecodeError:
            self.fail("holds a text that is not UTF-8")

    def _unknown(self, code: int) -> NoReturn:
        named = {
            0x50: "PERSID", 0x51: "BINPERSID", 0x69: "INST", 0x6F: "OBJ", 0x32: "DUP",
            0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4", 0x92: "NEWOBJ_EX", 0x8B: "LONG4",
            0x96: "BYTEARRAY8", 0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER",
        }.get(code, "")  # fmt: skip
        self.fail(f"uses opcode {named or hex(code)}, which no checkpoint needs")

    # The stack

    def _pop(self) -> Any:
        floor = self.marks[-1] if self.marks else 0
        if len(self.stack) <= floor:
            self.fail("takes a value from an empty stack")
        return self.stack.pop()

    def _top(self) -> Any:
        floor = self.marks[-1] if self.marks else 0
        if len(self.stack) <= floor:
            self.fail("reads a value from an empty stack")
        return self.stack[-1]

    def _since_mark(self) -> list[Any]:
        if not self.marks:
            self.fail("looks for a mark that was not set")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    # Steps, one an opcode or a family

    def _proto(self) -> None:
        version = self._number(1)
        if not 2 <= version <= 5:
            self.fail(f"is a pickle of protocol {version}; 2 to 5 are read")

    def _frame(self) -> None:
        length = self._number(8)
        if self.at < self.frame_end:
            self.fail("begins a frame within a frame")
        if length > self.end - self.pos:
            self.fail(f"has a frame of {length} bytes where {self.end - self.pos} are left")
        self.frame_end = self.pos + length

    def _push_text(self, width: int) -> None:
        raw = self._take(self._number(width))
        self.stack.append(Text(raw) if len(raw) > LONG_TEXT else self._decode(raw))

    def _push_bytes(self, width: int) -> None:
        self.stack.append(self._take(self._number(width)))

    def _push_int(self, width: int, signed: bool) -> None:
        self.stack.append(int.from_bytes(self._take(width), "little", signed=signed))

    def _push_long(self) -> None:
        length = self._number(1)
        if length > MAX_INT_BYTES:
            self.fail(f"holds an integer of {length} bytes")
        self._push_int(length, True)

    def _push_float(self) -> None:
        self.stack.append(struct.unpack(">d", self._take(8))[0])

    def _put(self, index: int) -> None:
        if index != len(self.memo):
            self.fail(f"writes memo {index} where {len(self.memo)} is the next", UNTRUSTED)
        self.memo.append(self._top())

    def _get(self, index: int) -> None:
        if index >= len(self.memo):
            self.fail(f"reads memo {index} of {len(self.memo)}")
        self.stack.append(self.memo[index])

    def _tuple(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def _fill_dict(self, items: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, dict):
            self.fail("sets items of something that is no dictionary")
        if len(items) % 2:
            self.fail("has a key without a value")
        for key, value in zip(items[::2], items[1::2]):
            target[self._key(key)] = value

    def _key(self, key: Any) -> str | int:
        # Other keys would be hashed, and integers chosen for it collide: 2**61 - 1 and multiples.
        if type(key) is str or (type(key) is int and -(2**31) <= key < 2**31):
            return key
        self.fail(f"has a key of type {type(key).__name__}; names and small integers are keys")

    def _fill_list(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) is not list:
            self.fail("appends to something that is no list")
        target.extend(items)

    def _fill_set(self) -> None:
        items = self._since_mark()
        target = self._top()
        if type(target) is not set:
            self.fail("adds to something that is no set")
        target.update(self._key(item) for item in items)

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._fill_dict([key, value])

    def _global(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            self.fail("asks for something by a name that is no text", UNTRUSTED)
        found = self.admitted.get((module, name))
        if found is None:
            asked = shown(f"{module}.{name}", MAX_NAME)
            if module.startswith("dnnlib.tflib"):
                self.fail(
                    f"asks for {asked}: this is a network of TensorFlow",
                    "convert it to PyTorch first, as NVIDIA's legacy.py does",
                )
            self.fail(f"asks for {asked}, which no checkpoint needs", UNTRUSTED)
        self.stack.append(found)

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        self._global(module, name)

    def _construct(self, new: bool) -> None:
        args, target = self._pop(), self._pop()
        if type(target) is not Global or type(args) is not tuple:
            self.fail("calls something that is no class or function")
        make = target.new if new else target.call
        if make is None:
            self.fail(f"calls {target.name} in a way that no checkpoint does", UNTRUSTED)
        self.stack.append(make(self, args))

    def _build(self) -> None:
        state, target = self._pop(), self._top()
        if type(target) is Held and not target.sealed and type(state) is dict:
            target.state, target.sealed = state, True
        elif type(target) is Dtype and not target.sealed and type(state) is tuple:
            if len(state) < 2 or state[1] not in ("<", "|"):
                self.fail("holds a number of another byte order than little-endian")
            target.sealed = True
        elif not (type(target) is Ordered and _only_metadata(state)):
            self.fail("sets the state of something that has none", UNTRUSTED)

    def _persistent(self) -> None:
        if self.persistent is None:
            self._unknown(0x51)
        self.stack.append(self.persistent(self, self._pop()))


def _only_metadata(state: Any) -> bool:
    return type(state) is dict and len(state) == 1 and "_metadata" in state


Step = Callable[[Machine], None]


def _constant(value: Any) -> Step:
    return lambda m: m.stack.append(value)


STEPS: dict[int, Step] = {
    0x95: Machine._frame,
    0x4E: _constant(None),
    0x88: _constant(True),
    0x89: _constant(False),
    0x4A: lambda m: m._push_int(4, True),  # BININT
    0x4B: lambda m: m._push_int(1, False),  # BININT1
    0x4D: lambda m: m._push_int(2, False),  # BININT2
    0x8A: Machine._push_long,  # LONG1
    0x47: Machine._push_float,  # BINFLOAT
    0x8C: lambda m: m._push_text(1),  # SHORT_BINUNICODE
    0x58: lambda m: m._push_text(4),  # BINUNICODE
    0x8D: lambda m: m._push_text(8),  # BINUNICODE8
    0x43: lambda m: m._push_bytes(1),  # SHORT_BINBYTES
    0x42: lambda m: m._push_bytes(4),  # BINBYTES
    0x8E: lambda m: m._push_bytes(8),  # BINBYTES8
    0x7D: lambda m: m.stack.append({}),  # EMPTY_DICT
    0x5D: lambda m: m.stack.append([]),  # EMPTY_LIST
    0x8F: lambda m: m.stack.append(set()),  # EMPTY_SET
    0x29: _constant(()),  # EMPTY_TUPLE
    0x85: lambda m: m._tuple(1),
    0x86: lambda m: m._tuple(2),
    0x87: lambda m: m._tuple(3),
    0x28: lambda m: m.marks.append(len(m.stack)),  # MARK
    0x74: lambda m: m.stack.append(tuple(m._since_mark())),  # TUPLE
    0x73: Machine._set_item,  # SETITEM
    0x75: lambda m: m._fill_dict(m._since_mark()),  # SETITEMS
    0x61: lambda m: m._fill_list([m._pop()]),  # APPEND
    0x65: lambda m: m._fill_list(m._since_mark()),  # APPENDS
    0x90: Machine._fill_set,  # ADDITEMS
    0x71: lambda m: m._put(m._number(1)),  # BINPUT
    0x72: lambda m: m._put(m._number(4)),  # LONG_BINPUT
    0x94: lambda m: m._put(len(m.memo)),  # MEMOIZE
    0x68: lambda m: m._get(m._number(1)),  # BINGET
    0x6A: lambda m: m._get(m._number(4)),  # LONG_BINGET
    0x63: lambda m: m._global(m._line(), m._line()),  # GLOBAL
    0x93: Machine._stack_global,  # STACK_GLOBAL
    0x52: lambda m: m._construct(new=False),  # REDUCE
    0x81: lambda m: m._construct(new=True),  # NEWOBJ
    0x62: Machine._build,  # BUILD
    0x51: Machine._persistent,  # BINPERSID
}
