"""Image sets of EG3D's layout: what is refused before work begins, and batches read ahead."""

import io
import itertools
import json
import multiprocessing
import threading
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from sigmaflow.datasets.images import ImageZip
from sigmaflow.datasets.index import ImageIndex
from sigmaflow.datasets.labels import mirror_name, mirrored
from sigmaflow.finetune.images import MemoryImages, StreamedImages, open_images, reading
from sigmaflow.finetune.state import shuffled
from sigmaflow.generators.cameras import frontal_label

SIDE = 16


def picture(seed, suffix="png", turned=False):
    pixels = np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels[:, ::-1] if turned else pixels).save(stream, suffix)
    return stream.getvalue()


def members(count=6, mirror=True):
    """Files of a set as EG3D's scripts leave it: originals, then their mirrored copies."""
    labels, files = [], {}
    for i in range(count):
        name = f"0000{i // 4}/img{i:08d}.png"
        label = frontal_label(yaw=0.1 * i - 0.2, pitch=0.05)[0].double().numpy()
        labels.append([name, label.tolist()])
        files[name] = picture(i)
        if mirror:
            files[mirror_name(name)] = picture(i, turned=True)
    if mirror:
        labels += [[mirror_name(n), mirrored(np.array(c)).tolist()] for n, c in labels]
    return files, labels


def write(path, files, labels, pack=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", pack) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr("dataset.json", json.dumps({"labels": labels}))
    return path


@pytest.fixture
def mirrored_set(tmp_path):
    return write(tmp_path / "set.zip", *members())


def test_mirrored_copies_are_the_mirrored_scene(mirrored_set):
    data = ImageZip(mirrored_set)
    assert len(data) == 12 and data.names[6] == "00000/img00000000_mirror.png"
    for i in range(6):
        assert torch.equal(data[i + 6][0], data[i][0].flip(2))
        pose, other = (data[k][1][:16].reshape(4, 4).double().numpy() for k in (i, i + 6))
        point = np.array([0.1, 0.2, -0.05, 1.0])
        seen = np.linalg.inv(pose) @ point
        seen_mirrored = np.linalg.inv(other) @ (point * [-1, 1, 1, 1])
        # x of the camera turns round, so the picture is turned left for right
        assert np.allclose(seen_mirrored, seen * [-1, 1, 1, 1], atol=1e-6)
    assert torch.equal(data[3][1][16:], data[9][1][16:])


@pytest.mark.parametrize("pack", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_our_reading_of_zips_is_pythons(tmp_path, pack):
    path = write(tmp_path / "set.zip", *members(), pack)
    index = ImageIndex(path)
    with zipfile.ZipFile(path) as archive:
        assert set(index.members.names()) == set(archive.namelist())
        for name in archive.namelist():
            assert index.read(name) == archive.read(name)


def with_label(at, change):
    def spoil(files, labels):
        labels[at][1] = change(np.array(labels[at][1])).tolist()

    return spoil


def entry(at, value):
    def change(label):
        label[at] = value
        return label

    return change


def drop_label(files, labels):
    labels.pop(2)


def drop_file(files, labels):
    files.pop("00000/img00000002.png")


def empty_file(files, labels):
    files["00000/img00000002.png"] = b""


def twice(files, labels):
    labels.append(labels[2])


@pytest.mark.parametrize("spoil,said", [
    (with_label(2, lambda c: c[:24]), "img00000002.png: its label has shape"),
    (with_label(2, entry(5, float("nan"))), "img00000002.png: its label holds NaN"),
    (with_label(2, entry(5, 1.3)), "img00000002.png: .*no camera to world.*off by"),
    (with_label(2, entry(15, 0.0)), "img00000002.png: .*no camera to world"),
    (with_label(2, lambda c: c * ([-1, -1, -1, 1] * 3 + [1] * 13)), "no camera to world"),
    (with_label(2, entry(16, 2183.0)), "img00000002.png: .*2183.*units of the image's side"),
    (with_label(2, entry(18, 256.0)), "img00000002.png: .*units of the image's side"),
    (with_label(9, lambda c: np.array(members()[1][3][1])), "img00000003_mirror.png: its camera "
     "is not the mirrored one of 00000/img00000003.png"),
    (drop_label, "img00000002.png: has no label in dataset.json"),
    (drop_file, "img00000002.png: named in dataset.json but missing"),
    (empty_file, "img00000002.png: is empty; copy"),
    (twice, "img00000002.png: named twice"),
])  # fmt: skip
@pytest.mark.parametrize("folder", [False, True])
def test_a_bad_set_is_refused_before_a_picture_is_read(tmp_path, spoil, said, folder):
    files, labels = members()
    spoil(files, labels)
    path = write(tmp_path / "set.zip", files, labels)
    if folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(path := tmp_path / "set")
    with pytest.raises(ValueError, match=f"set.*: .*{said}"):
        ImageIndex(path)


def test_of_many_problems_the_first_and_how_many(tmp_path):
    files, labels = members(mirror=False)
    for label in labels[1:]:
        label[1][3] = float("inf")
    with pytest.raises(ValueError, match=r"img00000001.png: .*\(and 4 more problems\)"):
        ImageIndex(write(tmp_path / "set.zip", files, labels))


def test_a_zip_that_was_cut_off_or_packed_strangely(mirrored_set, tmp_path):
    data = mirrored_set.read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(data[:-400])
    with pytest.raises(ValueError, match="cut.zip: not a readable zip.*copy it again"):
        ImageIndex(cut)
    write(tmp_path / "odd.zip", *members(), zipfile.ZIP_LZMA)
    with pytest.raises(ValueError, match="odd.zip: dataset.json: .*method 14; pack the set stored"):
        ImageIndex(tmp_path / "odd.zip")


def test_a_damaged_member_is_named_with_reason_and_remedy(mirrored_set):
    data = bytearray(mirrored_set.read_bytes())
    data[data.find(b"IDAT", data.find(b"img00000003.png")) + 50] ^= 0xFF
    mirrored_set.write_bytes(bytes(data))
    images = StreamedImages(ImageZip(mirrored_set), workers=2)
    with pytest.raises(
        ValueError,
        match="img00000003.png: cannot be read .its checksum is wrong.; copy the set again",
    ):
        images.batch(np.arange(6))
    assert images.batch(np.array([0, 1]))[0].shape == (2, 3, SIDE, SIDE)
    images.close()


def digest(images, order):
    return [int(images[i][0].long().sum()) * 1000 + i for i in order]


def told(images, order, queue):
    queue.put(digest(images, order))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_reader_survives_processes(mirrored_set, method):
    """Forks share an open file: readers that seek in it would get each other's bytes."""
    images = ImageZip(mirrored_set)
    order = list(np.random.default_rng(0).permutation(12)) * 8
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    children = [context.Process(target=told, args=(images, order, queue)) for _ in range(2)]
    for child in children:
        child.start()
    mine = digest(images, order)
    found = [queue.get(timeout=60) for _ in children]
    for child in children:
        child.join()
    assert found == [mine, mine]
    images.close()
    with pytest.raises(ValueError, match="cannot be read"):
        images[0]


def run_of(images, seed, seen, batch, steps):
    images.expect(reading(seed, seen, batch, len(images)))
    return [
        images.batch(shuffled(seed, seen + batch * k, batch, len(images))) for k in range(steps)
    ]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_streamed_batches_are_those_of_the_plain_reader(mirrored_set, workers):
    source = ImageZip(mirrored_set)
    plain = MemoryImages(source)
    images = StreamedImages(source, workers)
    for seen in (0, 20):  # a resumed run reads on as if nothing had been
        for (pixels, labels), (same, same_labels) in zip(
            run_of(images, 3, seen, 5, 6), run_of(plain, 3, seen, 5, 6), strict=True
        ):
            assert torch.equal(pixels, same) and torch.equal(labels, same_labels)
    images.close()


def test_the_next_batches_are_decoded_before_they_are_asked_for(mirrored_set):
    source, seen = ImageZip(mirrored_set), []
    asked = threading.Event()
    read = source.read
    source.read = lambda name: (seen.append(name), len(seen) == 6 and asked.set(), read(name))[2]
    images = StreamedImages(source, workers=2)
    order = reading(0, 0, 2, len(source))
    batches = list(itertools.islice(reading(0, 0, 2, len(source)), 4))
    images.expect(order)
    images.batch(batches[0])
    assert asked.wait(30)  # its two, and four of the next two batches, though nobody asked
    assert set(seen) == {source.names[i] for i in np.concatenate(batches[:3])}
    images.close()


def test_what_was_not_announced_is_read_all_the_same(mirrored_set):
    source = ImageZip(mirrored_set)
    images = StreamedImages(source, workers=2)
    images.expect(np.array([[0, 1], [2, 3], [4, 5]]))
    assert torch.equal(images.batch(np.array([7, 2]))[0], torch.stack([source[7][0], source[2][0]]))
    assert torch.equal(images.batch(np.array([2, 3]))[0], torch.stack([source[2][0], source[3][0]]))
    images.close()
    with pytest.raises(RuntimeError):
        images.batch(np.array([0]))


def test_small_sets_are_held_and_large_ones_streamed(mirrored_set):
    assert isinstance(open_images(mirrored_set, workers=2), MemoryImages)
    large = open_images(mirrored_set, in_memory_bytes=100, workers=2)
    assert isinstance(large, StreamedImages) and len(large) == 12
    large.close()
    with pytest.raises(ValueError, match="workers must be 0 or more, got -1"):
        StreamedImages(ImageZip(mirrored_set), -1)
