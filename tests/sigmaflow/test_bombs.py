"""Small files that ask for much: every reader refuses them within bounds of memory and time."""

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sigmaflow.generators.cameras import frontal_label
from sigmaflow.numbertable import read_numbers
from sigmaflow.zipdir import directory_size

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60  # of CPU, imports included
SPARE = 300 * 2**20  # bytes over what the imports take

CHILD = """
import resource, sys
{imports}
with open("/proc/self/statm") as file:
    held = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + {spare}, held + {spare}))
resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
for path in sys.argv[1:]:
    try:
        {call}
    except (ValueError, ConfigError) as error:
        print("refused:", str(error).replace("\\n", " "))
    else:
        print("read")
"""
READERS = {
    "images": ("from sigmaflow.datasets.images import ImageZip; from PIL import Image;"
               "import PIL.PngImagePlugin, PIL.JpegImagePlugin, PIL.WebPImagePlugin",
               "ImageZip(path).load_all()"),
    "npz": ("from sigmaflow.metrics.reference import source_of", "source_of(path)"),
    "ticks": ("import pandas; from sigmaflow.numbertable import read_numbers",
              "read_numbers(path, ('images_seen', 'seed', 'reward'))"),
    "torch": ("import torch; from sigmaflow.generators.pickles.torchfile import read_torch_file",
              "read_torch_file(path)"),
    "csv": ("from sigmaflow.preferences.orders import read_preferences", "read_preferences(path)"),
    "sweep": ("from jobs.sweep.config import load_kind; from jobs.sweep.kinds import KINDS",
              "load_kind(path, KINDS)"),
    "checkpoint": ("from sigmaflow.generators import load_generator", "load_generator(path)"),
    "set": ("from jobs.sweep.lines import scalar", "scalar(open(path).read())"),
}  # fmt: skip


def refused(kind, path, *words):
    all_refused(kind, {path: words})


def all_refused(kind, files):
    """Reads files in one child process; each must be refused in words."""
    imports, call = READERS[kind]
    code = CHILD.format(imports=f"{imports}\nfrom jobs.sweep.config import ConfigError",
                        spare=SPARE, seconds=SECONDS, call=call)  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert len(lines) == len(files), (done.stdout[-500:], done.stderr[-2000:])
    for line, words in zip(lines, files.values()):
        assert line.startswith("refused:") and len(line) < 3000
        for word in words:
            assert word in line, line


def image_set(path, picture=b"", labels=None):
    label = frontal_label()[0].double().tolist()
    text = labels if labels is not None else json.dumps({"labels": [["a.png", label]]})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dataset.json", text)
        archive.writestr("a.png", picture)
    return path


def png(side, data=b""):
    def chunk(name, body):
        return (len(body).to_bytes(4, "big") + name + body
                + zlib.crc32(name + body).to_bytes(4, "big"))  # fmt: skip

    head = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    body = zlib.compress(bytes((side + 1) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + data + chunk(b"IDAT", body) + chunk(
        b"IEND", b"")  # fmt: skip


def test_pictures_and_labels_that_unpack_to_much(tmp_path):
    deep = '{"labels": ' + "[" * 100_000 + "]" * 100_000 + "}"
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n{ } loop\n"
    bombs = (
        (png(9000), None, "a.png: is 9000x9000 pixels"),
        (bytes(200 * 2**20), None, "a.png: has 209715200 bytes unpacked"),
        (png(4), b" " * (200 * 2**20), "dataset.json: has 209715200"),
        (png(4), deep, "dataset.json: has no list .labels. of .name, numbers. (JSON is nested"),
        (
            png(4),
            json.dumps({"labels": [["a.png", [float("nan")] * 25]]}),
            "a.png: its label holds NaN",
        ),
        (program, None, "a.png: is no PNG"),  # for PostScript, Pillow would start Ghostscript
    )
    files = {}
    for i, (picture, labels, said) in enumerate(bombs):
        said = said.replace(".labels.", '"labels"').replace(".name, numbers.", "[name, numbers]")
        files[image_set(tmp_path / f"{i}.zip", picture, labels)] = (f"{i}.zip: ", said)
    all_refused("images", files)


@pytest.mark.parametrize("size", [(2**27, 0), (2**40, 0), (2**20, 2**20, 0), (0, 2**27)])
def test_empty_tensors_make_no_lists(tmp_path, size):
    import torch

    from sigmaflow.generators.pickles.snapshot import plain
    from sigmaflow.generators.pickles.storages import Storage, Stored

    tensor = Stored(Storage(torch.float32, 0, memoryview(b"")), 0, size, (0,) * len(size))
    assert plain([tensor], "x") == ["<Stored>"]
    assert plain(Stored(tensor.storage, 0, (3, 0), (0, 0)), "x") == [[], [], []]


def npz(path, name, body, size=None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.npy", body)
    return path


def header(shape, dtype="<f8"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": dtype, "fortran_order": False, "shape": shape})  # fmt: skip
    return stream.getvalue()


def test_arrays_that_claim_more_than_they_hold(tmp_path):
    path = tmp_path / "s.npz"
    refused("npz", npz(path, "mean", header((2**40,))), "s.npz", "mean.npy", "its header tells")
    refused("npz", npz(path, "mean", header((10**9,)) + bytes(100)), "s.npz", "mean.npy")
    refused("npz", npz(path, "mean", header((2,), "|O") + bytes(16)), "s.npz", "objects")
    refused("npz", npz(path, "mean", b"no array"), "s.npz", "no whole .npz")
    path.write_bytes(path.read_bytes()[:60])
    refused("npz", path, "s.npz: no whole .npz")


def test_tables_of_long_cells_and_many_columns(tmp_path):
    path = tmp_path / "r.csv"
    head = "question,annotator,rank1,rank2,rank3,rank4,rank5,rank6\n"
    path.write_text(head + "0," + "x" * 200_000 + ",1,2,,,,\n")
    refused("csv", path, "r.csv:2", "of 10000 at most")
    path.write_text(",rank1,rank2" + ",x" * 10**7 + "\n0,1,2\n")
    refused("csv", path, "r.csv:1", "of 10000 at most")
    path.write_text('question,"' + "\n" * 1000 + "0,a,1,2,,,,\n")
    refused("csv", path, "r.csv:1", "a quote or a NUL")


LAUGHS = "kind: sweep\na0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize("text,words", [
    (LAUGHS, ["aliases counted"]),
    ("kind: sweep\na: &a\n  b: *a\n", ["s.yaml:2", "aliases counted"]),
    ("kind: sweep\na: " + "[" * 100_000, ["s.yaml:1", "nested deeper"]),
    ("kind: sweep\na: " + "[" * 60 + "]" * 60, ["s.yaml:2", "50 levels"]),
    ("kind: sweep\nseed: 1" + ":00" * 50_000 + "\n", ["s.yaml:2: seed"]),
    ("kind: sweep\nseed: " + "9" * 100_000 + "\n", ["s.yaml:2: seed", "cannot be understood"]),
    ("kind: sweep\n" + "#" * 2**20, ["s.yaml: more than 262144 bytes"]),
])  # fmt: skip
def test_yaml_that_grows_or_never_ends(tmp_path, text, words):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    refused("sweep", path, *words)


def test_values_of_the_command_line_are_bounded_too(tmp_path):
    path = tmp_path / "value"
    for text in ("[" * 50_000, "&a [*a]", "{low: .nan}", "[&a [x,x], &b [*a,*a], .inf]"):
        path.write_text(text)
        refused("set", path)


def test_a_checkpoint_that_asks_for_many_layers(tmp_path, tiny_checkpoint):
    good = json.loads((tiny_checkpoint / "config.json").read_text())
    files = {}
    for i, (change, said) in enumerate((
        ({"mapping_kwargs": {"num_layers": 10**6}}, "G.mapping_kwargs.num_layers is 1000000"),
        ({"channel_base": 2**18, "channel_max": 2**18, "w_dim": 2**16}, "more than"),
        ({"w_dim": 10**400}, "G.w_dim is"),
        ({"unheard_of": 1}, "G can't be built (TypeError"),
        (None, "not JSON (JSON is nested too deeply"),
    )):  # fmt: skip
        shutil.copytree(tiny_checkpoint, gan := tmp_path / f"gan{i}")
        text = json.dumps({**good, "G": {**good["G"], **change}}) if change else "[" * 100_000
        (gan / "config.json").write_text(text)
        files[gan] = f"gan{i}/config.json: ", said
    all_refused("checkpoint", files)


# ---------------------------------------------------------------------- tables and directories


def directory(path, entries, name=b"a%07d.png"):
    """A zip whose directory names very many files, all in one place."""
    central = bytearray()
    for i in range(entries):
        text = name % i
        central += struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(text),
                               0, 0, 0, 0, 0, 0) + text  # fmt: skip
    head = b"PK\3\4" + bytes(26)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(central), len(head), 0)
    path.write_bytes(head + central + end)
    return path


def zip64(path, size):
    """A zip whose second end tells of a larger directory than its first."""
    head = b"PK\3\4" + bytes(26)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, len(head))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(head), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(head + end64 + locator + end)
    return path


@pytest.mark.parametrize(("kind", "entries"), [("npz", 300_000), ("torch", 400_000)])
def test_a_directory_of_very_many_files(tmp_path, kind, entries):
    refused(kind, directory(tmp_path / "large.npz", entries), "its directory has")


def test_a_directory_of_millions_of_pictures(tmp_path):
    refused("images", directory(tmp_path / "set.zip", 2_500_000), "set.zip", "its directory has",
            "give the set as a folder")  # fmt: skip


def test_the_larger_of_two_sizes_of_a_directory_counts(tmp_path):
    refused("images", zip64(tmp_path / "set.zip", 2**33), "its directory has 8589934592 bytes")


def test_a_table_of_very_many_rows_in_few_bytes(tmp_path):
    path = tmp_path / "ticks.parquet"
    one = pa.array(np.zeros(1_000_000, np.int64))
    schema = pa.schema([("images_seen", pa.int64()), ("seed", pa.int64()), ("reward", pa.int64())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for _ in range(60):
            writer.write_table(pa.table([one] * 3, schema=schema))
    assert path.stat().st_size < 1_000_000
    refused("ticks", path, "60000000 rows", "5000000")


def test_a_footer_longer_than_any(tmp_path):
    path = tmp_path / "ticks.parquet"
    path.write_bytes(b"PAR1" + (2**31).to_bytes(4, "little") + b"PAR1")
    refused("ticks", path, "a footer of 2147483648 bytes")


def test_a_column_of_texts_is_none_of_numbers(tmp_path):
    path = tmp_path / "ticks.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 1000), pa.array(["x" * 1000]))
    pq.write_table(pa.table({"images_seen": texts, "seed": [1] * 1000, "reward": [1] * 1000}), path)
    refused("ticks", path, "column images_seen is dictionary", "no numbers")


def test_a_plain_table_and_a_plain_directory_are_read(tmp_path):
    path = tmp_path / "ticks.parquet"
    pq.write_table(pa.table({"images_seen": [1, 2], "seed": [3, 4], "reward": [0.5, 1.5],
                             "note": ["a", "b"]}), path)  # fmt: skip
    assert read_numbers(path)["reward"].tolist() == [0.5, 1.5]
    assert list(read_numbers(path, ("seed",))) == ["seed"]
    small = directory(tmp_path / "small.zip", 10)
    with zipfile.ZipFile(small) as archive:
        assert directory_size(small) == archive.fp.seek(0, 2) - 22 - archive.start_dir
