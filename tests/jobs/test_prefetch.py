"""What a run needs from outside, and what is wrong with it."""

import hashlib
import io
import shutil
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from jobs import prefetch
from sweeps import write_sweep

MINI = {"extractor": "stlpips-alex", "fid_images": 100}


@contextmanager
def served(data):
    """A web server on the loopback address that gives these bytes for every path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if data is not None else 404)
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/file"
    finally:
        server.shutdown()
        server.server_close()


def said(capsys, sweep, *more):
    code = prefetch.main([str(sweep), *more])
    caught = capsys.readouterr()
    return code, caught.out.splitlines(), caught.err


def test_all_there(tmp_path, tiny_checkpoint, tiny_images, capsys):
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images, evaluation=MINI)
    code, lines, _ = said(capsys, sweep)
    assert code == 0 and lines[-1].endswith("has all it needs")
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["ok", "images:"], ["ok", "checkpoint:"], ["ok", "evaluation.extractor:"],
    ]  # fmt: skip
    assert "24 pictures" in lines[0]


def test_everything_missing_is_said_at_once(tmp_path, capsys):
    (tmp_path / "rankings.csv").write_text(",rank1,rank2\n0,5,5\n")
    sweep = write_sweep(
        tmp_path, tmp_path / "gan", tmp_path / "none.zip",
        rankings={"file": str(tmp_path / "rankings.csv")},
        evaluation={"extractor": "clean-fid-inception",
                    "extractor_weights": str(tmp_path / prefetch.INCEPTION)},
    )  # fmt: skip
    code, lines, _ = said(capsys, sweep, "--offline")
    assert code == 1 and lines[-1].endswith("lacks 4")
    assert all(line.startswith("MISSING") for line in lines[:-1])
    assert "no such file or folder; give a zip or folder in EG3D's layout" in lines[0]
    assert "no config.json, G_ema.safetensors" in lines[1] and "jobs.convert" in lines[1]
    assert "against itself" in lines[2]
    assert f"curl -fLo {prefetch.INCEPTION} {prefetch.INCEPTION_URL}" in lines[3]


def test_a_bad_sweep(tmp_path, tiny_checkpoint, tiny_images, capsys):
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images, finetune={"bacth": 1})
    code, _, error = said(capsys, sweep)
    assert code == 2 and 'did you mean "batch"' in error
    assert said(capsys, tmp_path / "none.yaml")[0] == 2


def test_paper_scale_asks_for_what_it_needs(tmp_path, capsys):
    sweep = write_sweep(tmp_path, "mini", "mini", scale="paper",
                        evaluation={"extractor": "clean-fid-inception"})  # fmt: skip
    code, lines, _ = said(capsys, sweep)
    assert code == 1 and lines[-1].endswith("lacks 3")
    assert "--set evaluation.extractor_weights=" in lines[2]


@pytest.mark.parametrize("name", ["G.safetensors", "config.json"])
def test_files_that_were_cut_off(tmp_path, tiny_checkpoint, tiny_images, capsys, name):
    gan = shutil.copytree(tiny_checkpoint, tmp_path / "gan")
    data = (gan / name).read_bytes()
    (gan / name).write_bytes(data[: len(data) // 2])
    code, lines, _ = said(capsys, write_sweep(tmp_path, gan, tiny_images, evaluation=MINI))
    assert code == 1 and name in lines[1]


def test_images_that_were_cut_off(tmp_path, tiny_checkpoint, tiny_images, capsys):
    (tmp_path / "cut.zip").write_bytes(tiny_images.read_bytes()[:-100])
    sweep = write_sweep(tmp_path, tiny_checkpoint, tmp_path / "cut.zip", evaluation=MINI)
    code, lines, _ = said(capsys, sweep)
    assert code == 1 and lines[0].startswith("MISSING  images")


def test_weights_are_fetched_whole_or_not_at_all(
    tmp_path, tiny_checkpoint, tiny_images, capsys, monkeypatch
):
    weights = tmp_path / "weights" / prefetch.INCEPTION
    sweep = write_sweep(
        tmp_path, tiny_checkpoint, tiny_images,
        evaluation={"extractor": "clean-fid-inception", "extractor_weights": str(weights)},
    )  # fmt: skip
    data = b"weights" * 1000
    monkeypatch.setattr(prefetch, "INCEPTION_SHA256", hashlib.sha256(data).hexdigest())
    for answer in (None, data[:-1]):
        with served(answer) as url:
            monkeypatch.setattr(prefetch, "INCEPTION_URL", url)
            code, lines, _ = said(capsys, sweep)
        assert code == 1 and "extractor_weights" in lines[2]
        assert not list(weights.parent.iterdir())
    assert "gave other bytes" in lines[2]
    with served(data) as url:
        monkeypatch.setattr(prefetch, "INCEPTION_URL", url)
        code, lines, _ = said(capsys, sweep)
    assert code == 0 and "fetched, " in lines[2] and weights.read_bytes() == data
    code, lines, _ = said(capsys, sweep, "--offline")
    assert code == 0 and "fetched, " not in lines[2]
    weights.write_bytes(data[:-1])
    code, lines, _ = said(capsys, sweep, "--offline")
    assert code == 1 and "remove it" in lines[2]


@pytest.mark.parametrize("extractor", ["clean-fid-inception", "nvidia-inception"])
def test_the_digest_of_the_weights_is_kept_beside_them(
    tmp_path, tiny_checkpoint, tiny_images, capsys, monkeypatch, extractor
):
    weights = tmp_path / prefetch.INCEPTION
    sweep = write_sweep(
        tmp_path, tiny_checkpoint, tiny_images,
        evaluation={"extractor": extractor, "extractor_weights": str(weights)},
    )  # fmt: skip
    data = b"weights" * 1000
    digest = hashlib.sha256(data).hexdigest()
    monkeypatch.setattr(prefetch, "INCEPTION_SHA256", digest)
    with served(data) as url:
        monkeypatch.setattr(prefetch, "INCEPTION_URL", url)
        assert said(capsys, sweep)[0] == 0
    assert (tmp_path / f"{prefetch.INCEPTION}.sha256").read_text().split() == [
        digest, prefetch.INCEPTION,
    ]  # fmt: skip


def test_published_statistics_are_pinned_at_their_first_fetch(
    tmp_path, tiny_checkpoint, tiny_images, capsys, monkeypatch
):
    name = "ffhq_clean_trainval70k_1024.npz"
    path, sweep = tmp_path / name, None
    stream = io.BytesIO()
    np.savez(stream, mu=np.zeros(4), sigma=np.eye(4))
    data = stream.getvalue()

    def fetched(answer, *more):
        with served(answer) as url:
            monkeypatch.setattr(prefetch, "STATISTICS_URL", url + "/")
            code, lines, _ = said(capsys, sweep, *more)
        return code, lines[-2]

    sweep = write_sweep(
        tmp_path, tiny_checkpoint, tiny_images, evaluation={**MINI, "fid_reference": str(path)}
    )
    code, line = fetched(data, "--offline")
    assert code == 1 and f"no such file; on a machine with a network: curl -fLo {name} " in line
    assert fetched(None)[0] == 1 and not path.exists()
    code, line = fetched(data)
    assert code == 0 and "statistics of clean-fid:" in line and path.read_bytes() == data
    path.unlink()
    code, line = fetched(data + b"other")
    assert code == 1 and "gave other bytes" in line and not path.exists()
    assert fetched(data)[0] == 0
    path.write_bytes(data[:-1])
    code, line = fetched(data)
    assert code == 1 and "remove it" in line


def test_an_own_file_of_statistics(tmp_path, tiny_checkpoint, tiny_images, capsys):
    path = tmp_path / "own.npz"
    evaluation = {**MINI, "fid_reference": str(path)}
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images, evaluation=evaluation)
    code, lines, _ = said(capsys, sweep)
    assert code == 1 and "no such file; make it: python -m jobs.reference" in lines[-2]
    path.write_bytes(b"half a file")
    code, lines, _ = said(capsys, sweep)
    assert code == 1 and "no .npz of statistics" in lines[-2]


def test_a_download_that_was_cut_off_is_no_first_fetch(tmp_path):
    class Short(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"x" * 60)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Short)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(ValueError, match="cut off after 60 of 100 bytes"):
            prefetch.fetch(f"http://127.0.0.1:{server.server_address[1]}/x", tmp_path / "x", None)
    finally:
        server.shutdown()
        server.server_close()
    assert not list(tmp_path.iterdir())
