"""What a GPU does with the project in ten minutes: python benchmarks/gpu.py --out FOLDER

In turn: ``doctor --gpu``; a sweep, by default the training of the mini generator, until it must
stop; the other benchmarks that end quickly. FOLDER gets the log of each, and what the sweep has
finished and last saved (without the pictures it rendered) as ``results.tar.000``, ``.001``, ... of
at most 16 MiB. Elsewhere, `--unpack FOLDER --runs RUNS` adds them to a results folder, where the
same command of the sweep goes on. The last line is one JSON object: how each part ended, its
seconds, and the last step of each training with its kimg an hour.

Everything ends within --minutes, however slow a part is. --device cpu rehearses on any machine.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PART = 16 * 2**20
SAVING = 40.0  # seconds that a training has to save after it was asked to stop
BENCHMARKS = {  # seconds at most
    "sampling": (["--quick", "--no-unet"], 60),
    "field": (["--quick"], 45),
    "finetune": (["--quick", "--part", "b"], 60),
}


def main(argv: Sequence[str] | None = None) -> int:
    """0, also where a part failed: its log and the JSON say so; 2 for a damaged --unpack."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for logs and results")
    parser.add_argument("--minutes", type=float, default=9.5, help="for everything (default 9.5)")
    parser.add_argument("--sweep", default="sweeps/pretrain_mini.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--on", default="local", help="profile of the sweep (default: local)")
    parser.add_argument("--device", default="cuda", help="of doctor --gpu (default: cuda)")
    parser.add_argument("--runs", type=Path, help="results folder (default: one that goes)")
    parser.add_argument("--unpack", type=Path, metavar="FOLDER", help="add its results to --runs")
    parser.add_argument("--no-benchmarks", action="store_true", help="leave the others out")
    args = parser.parse_args(argv)
    if args.unpack is not None:
        if args.runs is None:
            parser.error("--unpack needs --runs: the results folder that it adds to")
        try:
            print(f"{unpack(args.unpack, args.runs)} files added to {args.runs}")
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
        return 0
    if args.out is None:
        parser.error("--out FOLDER is needed")
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as room:
        print(json.dumps(measure(args, args.runs or Path(room) / "runs")))
    return 0


def measure(args: argparse.Namespace, runs: Path) -> dict[str, object]:
    """All parts; what the last line says."""
    end = time.monotonic() + 60 * args.minutes
    spare = 0.0 if args.no_benchmarks else min(120.0, 12 * args.minutes)
    python, log = sys.executable, args.out / "doctor.md"
    doctor = [python, "-m", "jobs.doctor", "--gpu", "--device", args.device]
    parts = {"doctor": part(doctor, log, min(120.0, 15 * args.minutes))}
    sweep = [python, "-m", "jobs.launch", args.sweep, "--on", args.on, "--runs", str(runs),
             "--track", "later", *(f"--set={pair}" for pair in args.set)]  # fmt: skip
    before = time.monotonic()
    parts["sweep"] = part(sweep, args.out / "sweep.log", end - spare - SAVING - before, SAVING)
    hours = (time.monotonic() - before) / 3600
    packed = pack(runs / "store", args.out)
    for name, (options, limit) in {} if args.no_benchmarks else BENCHMARKS.items():
        command = [python, str(ROOT / "benchmarks" / f"{name}.py"), *options]
        parts[name] = part(command, args.out / f"{name}.log", min(limit, end - time.monotonic()))
    return {"parts": parts, "trainings": dict(trainings(runs / "store", hours)), "files": packed}


def part(command: list[str], log: Path, limit: float, saving: float = 5.0) -> dict[str, object]:
    """Run `command` for at most `limit` seconds, asked to stop then and killed `saving` later."""
    print(f"== {' '.join(command)}  (at most {limit:.0f} s)", flush=True)
    if limit <= 0:
        return {"ended": "no time left", "seconds": 0.0}
    began = time.monotonic()
    with open(log, "wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT,
                                   start_new_session=True)  # fmt: skip
        ended = "by itself"
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            ended = "when asked"
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(saving)
            except subprocess.TimeoutExpired:
                ended = "killed"
        try:  # what it left behind, too
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        code = process.wait()
    seconds = round(time.monotonic() - began, 1)
    print(f"   {ended}, code {code}, after {seconds} s", flush=True)
    return {"ended": ended, "code": code, "seconds": seconds}


def trainings(store: Path, hours: float) -> Iterator[tuple[str, dict[str, object]]]:
    """Of each training in the store: its last metrics, and kimg an hour of the whole sweep."""
    for file in sorted(store.rglob("metrics.jsonl")):
        lines = file.read_text(encoding="utf-8").splitlines()
        if lines:
            last = json.loads(lines[-1])
            rate = last.get("step", 0) / 1000 / max(hours, 1e-9)
            yield str(file.parent.relative_to(store)), {**last, "kimg_an_hour": round(rate, 2)}


def keep(file: Path, store: Path) -> bool:
    """Whether a file of the store travels: no rendered pictures, claims or older checkpoints."""
    stage = file.relative_to(store).parts[0]
    if stage in ("render", "faces") or file.name.startswith((".claim", ".lock")):
        return False
    if file.parent.name == "checkpoint":
        newest = max(f.name for f in file.parent.iterdir() if f.suffix == "")
        return file.name.split(".")[0] == newest
    return True


class Parts(io.RawIOBase):
    """A stream that is written to numbered files of at most `size` bytes, with their SHA-256."""

    def __init__(self, folder: Path, size: int = PART) -> None:
        self.folder, self.size = folder, size
        self.sums: dict[str, str] = {}
        self._buffer = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:  # type: ignore[no-untyped-def, override]
        self._buffer += data
        while len(self._buffer) >= self.size:
            self._flush_part()
        return len(data)

    def _flush_part(self) -> None:
        data, name = bytes(self._buffer[: self.size]), f"results.tar.{len(self.sums):03d}"
        (self.folder / name).write_bytes(data)
        self.sums[name] = hashlib.sha256(data).hexdigest()
        del self._buffer[: self.size]

    def finish(self) -> None:
        if self._buffer:
            self._flush_part()
        text = "".join(f"{digest}  {name}\n" for name, digest in self.sums.items())
        (self.folder / "SHA256SUMS").write_text(text, encoding="ascii")


def pack(store: Path, out: Path, size: int = PART) -> int:
    """Write what `keep` keeps of a store to parts in `out`; how many."""
    stream = Parts(out, size)
    with tarfile.open(fileobj=stream, mode="w|") as archive:  # type: ignore[call-overload]
        for file in sorted(store.rglob("*")):
            if file.is_file() and not file.is_symlink() and keep(file, store):
                archive.add(file, str(Path("store") / file.relative_to(store)), recursive=False)
    stream.finish()
    return len(stream.sums)


def unpack(folder: Path, runs: Path) -> int:
    """Add the files of `folder`'s parts to the results folder `runs`; how many were not there.

    Raises:
        ValueError: a part is missing or damaged; nothing was written then.
    """
    sums = folder / "SHA256SUMS"
    if not sums.is_file():
        raise ValueError(f"{sums}: not there; is {folder} what --out was?")
    data = bytearray()
    for line in sums.read_text(encoding="ascii").splitlines():
        digest, name = line.split("  ")
        file = folder / name
        if not file.is_file() or hashlib.sha256(bytes_ := file.read_bytes()).hexdigest() != digest:
            raise ValueError(f"{file}: missing or damaged; copy it again")
        data += bytes_
    added = 0
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for member in archive:
            if not (runs / member.name).exists():
                archive.extract(member, runs, filter="data")
                added += 1
    return added


if __name__ == "__main__":
    sys.exit(main())
