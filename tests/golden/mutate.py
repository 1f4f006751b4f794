"""Damages pickles on purpose and reads each within limits of memory and time; run as a script.

    python mutate.py FILE SEED COUNT FOLDER

prints one JSON object: how many were parsed, how many refused by what, and every breach.
"""

import json
import pickletools
import random
import resource
import signal
import struct
import sys
from collections import Counter
from pathlib import Path

SECONDS, EXTRA_MEMORY = 5, 512 << 20  # of CPU and beyond what torch has taken, for one mutant
LENGTHS = {"SHORT_BINUNICODE": 1, "BINUNICODE": 4, "BINBYTES": 4, "SHORT_BINBYTES": 1, "FRAME": 8,
           "LONG1": 1}  # fmt: skip
MEMO = {"BINGET": 1, "LONG_BINGET": 4, "BINPUT": 1, "LONG_BINPUT": 4}
INTEGERS = ("BININT", "BININT1", "BININT2", "LONG1")
ODD = (0, 1, 2, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
HOSTILE = (("os", "system"), ("builtins", "eval"), ("torch", "load"), ("torch", "FloatStorage"),
           ("builtins", "getattr"), ("pickle", "loads"), ("collections", "OrderedDict"),
           ("torch._utils", "_rebuild_tensor_v2"), ("numpy", "dtype"), ("builtins", "set"),
           ("torch_utils.persistence", "_reconstruct_persistent_obj"),
           ("training.triplane", "OSGDecoder"), ("_codecs", "encode"))  # fmt: skip
PUSHES = (b"N", b"]", b"}", b")", b"(", b"\x8f", b"K\x07", b"J\xff\xff\xff\xff", b"2", b"0", b"1",
          b"\x85", b"\x86", b"\x87", b"t", b"l", b"d", b"e", b"u", b"s", b"a", b"\x90", b"R", b"b",
          b"\x81", b"\x92", b"\x94", b".", b"r\xff\xff\xff\x7f", b"h\x00", b"j\x05\x00\x00\x00",
          b"Q", b"\x82\x01", b"\x97", b"\x98", b"(" * 600, b"]" * 3000,
          b"\x95" + b"\xff" * 8, b"B\xff\xff\xff\xff", b"\x8d" + b"\xff" * 8)  # fmt: skip


class Mutator:
    """Damage of one pickle, directed by its opcodes."""

    def __init__(self, raw: bytes, seed: int):
        self.raw, self.random = raw, random.Random(seed)
        ops = list(pickletools.genops(raw))
        ends = [pos for _, _, pos in ops[1:]] + [len(raw)]
        self.ops = [(o.name, arg, pos, end) for (o, arg, pos), end in zip(ops, ends)]
        self.by: dict[str, list] = {}
        for op in self.ops:
            self.by.setdefault(op[0], []).append(op)
        self.kinds = [self.opcode, self.byte, self.bits, self.truncated, self.length, self.memo,
                      self.name, self.inserted, self.doubled, self.moved, self.removed,
                      self.storage, self.storage_size, self.integer, self.spliced]  # fmt: skip

    def make(self) -> tuple[str, bytes]:
        kind = self.random.choice(self.kinds)
        made = kind()
        return kind.__name__, self.raw[:50] if made is None else made

    def _with(self, start: int, end: int, new: bytes) -> bytes:
        return self.raw[:start] + new + self.raw[end:]

    def _any(self, names) -> tuple | None:
        present = [n for n in names if n in self.by]
        return self.random.choice(self.by[self.random.choice(present)]) if present else None

    def _odd(self, width: int) -> bytes:
        value = self.random.choice((*ODD, self.random.getrandbits(8 * width)))
        return (value % 256**width).to_bytes(width, "little")

    def opcode(self):
        at = self.random.choice(self.ops)[2]
        return self._with(at, at + 1, bytes([self.random.randrange(256)]))

    def byte(self):
        at = self.random.randrange(len(self.raw))
        return self._with(at, at + 1, bytes([self.random.randrange(256)]))

    def bits(self):
        new = bytearray(self.raw)
        for _ in range(self.random.randrange(1, 9)):
            _, _, start, end = self.random.choice(self.ops)
            new[self.random.randrange(start, min(end, start + 12))] ^= 1 << self.random.randrange(8)
        return bytes(new)

    def truncated(self):
        return self.raw[: self.random.randrange(len(self.raw))]

    def length(self):
        name, _, start, _ = self._any(LENGTHS)
        width = LENGTHS[name]
        return self._with(start + 1, start + 1 + width, self._odd(width))

    def memo(self):
        name, _, start, _ = self._any(MEMO)
        width = MEMO[name]
        if self.random.random() < 0.5:  # another index that exists, so that another thing is met
            index = self.random.randrange(min(256**width, 3000))
            return self._with(start + 1, start + 1 + width, index.to_bytes(width, "little"))
        return self._with(start + 1, start + 1 + width, self._odd(width))

    def name(self):
        module, name = self.random.choice(HOSTILE)
        if "GLOBAL" in self.by:
            _, _, start, end = self.random.choice(self.by["GLOBAL"])
            return self._with(start, end, f"c{module}\n{name}\n".encode())
        _, _, start, end = self.random.choice(self.by["STACK_GLOBAL"])
        words = b"".join(b"X" + struct.pack("<I", len(w)) + w.encode() for w in (module, name))
        return self._with(start, end, b"\x93" if self.random.random() < 0.1 else words + b"\x93")

    def inserted(self):
        at = self.random.choice(self.ops)[2]
        return self._with(at, at, self.random.choice(PUSHES) * self.random.choice((1, 1, 1, 2, 50)))

    def _chunk(self) -> tuple[int, int]:
        first = self.random.randrange(len(self.ops))
        last = min(first + self.random.choice((1, 2, 5, 40, 300)), len(self.ops) - 1)
        return self.ops[first][2], self.ops[last][3]

    def doubled(self):
        start, end = self._chunk()
        return self._with(end, end, self.raw[start:end] * self.random.choice((1, 2, 20)))

    def moved(self):
        start, end = self._chunk()
        chunk, rest = self.raw[start:end], self._with(start, end, b"")
        at = min(self.random.choice(self.ops)[2], len(rest))
        return rest[:at] + chunk + rest[at:]

    def removed(self):
        return self._with(*self._chunk(), b"")

    def _storage(self) -> tuple | None:
        big = [op for n in ("BINBYTES", "SHORT_BINBYTES") for op in self.by.get(n, ())
               if op[1][:2] == b"\x80\x02"]  # fmt: skip
        return self.random.choice(big) if big else None

    def _restored(self, found: tuple, blob: bytes) -> bytes:
        return self._with(found[2], found[3], b"B" + struct.pack("<I", len(blob)) + blob)

    def storage(self):
        found = self._storage()
        if found is None:
            return self.bits()
        blob = bytearray(found[1])
        for _ in range(self.random.choice((1, 1, 2, 4))):
            blob[self.random.randrange(min(len(blob), 340))] = self.random.randrange(256)
        return self._restored(found, bytes(blob))

    def storage_size(self):
        found = self._storage()
        if found is None:
            return self.integer()
        blob = found[1]
        at = self.random.randrange(len(blob))
        other = ((b"cpu", b"xla"), (b"Float", b"Double"), (b"FloatStorage", b"Tensor"))
        cut = [blob[:at], blob + b"\0" * 9, blob * 2, b"", blob[at:]]
        cut += [blob.replace(old, new) for old, new in other]
        return self._restored(found, self.random.choice(cut))

    def integer(self):
        _, _, start, end = self._any(INTEGERS)
        value = self.random.choice((-1, 0, 1, 3, 2**31 - 1, 2**40, 2**62, -(2**63), 2**64, 2**120))
        size = value.bit_length() // 8 + 1
        new = b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
        return self._with(start, end, new)

    def spliced(self):
        """One operand in the place of another of its kind."""
        name = self.random.choice([n for n in self.by if len(self.by[n]) > 1])
        one, two = (self.random.choice(self.by[name]) for _ in range(2))
        return self._with(one[2], one[3], self.raw[two[2] : two[3]])


def _late(*_):
    raise KeyboardInterrupt("took too long")


def main(file: str, seed: str, count: str, folder: str) -> None:
    from sigmaflow.generators import CheckpointError
    from sigmaflow.generators.pickles import read_snapshot
    from sigmaflow.generators.pickles.build import build_networks

    try:  # what torch imports at its first use is no mutant's doing
        build_networks(read_snapshot(file))
    except CheckpointError:
        pass
    mutator = Mutator(Path(file).read_bytes(), int(seed))
    path = Path(folder) / f"mutant-{Path(file).stem}-{seed}.pkl"
    held = 1024 * int(next(
        line.split()[1] for line in open("/proc/self/status") if line.startswith("VmSize")
    ))  # fmt: skip
    resource.setrlimit(resource.RLIMIT_AS, (held + EXTRA_MEMORY,) * 2)
    signal.signal(signal.SIGPROF, _late)
    refused, parsed, breaches = Counter(), Counter(), []
    for number in range(int(count)):
        kind, data = mutator.make()
        path.write_bytes(data)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            snapshot = read_snapshot(path)
            for network in snapshot.networks.values():
                network.state()
            parsed[kind] += 1
            try:
                build_networks(snapshot)
            except CheckpointError as error:
                assert str(path) in str(error), f"does not name the file: {error}"
        except CheckpointError as error:
            refused[kind] += 1
            if str(path) not in str(error):
                breaches.append(f"{kind} does not name the file: {error}")
        except BaseException as error:  # that is what a breach is
            breaches.append(f"{Path(file).name} seed {seed} #{number} {kind}: {error!r}")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    path.unlink()
    print(json.dumps({"refused": refused, "parsed": parsed, "breaches": breaches}))


if __name__ == "__main__":
    main(*sys.argv[1:])
