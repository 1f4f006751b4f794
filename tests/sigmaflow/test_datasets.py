import json
import os
import zipfile

import numpy as np
import pytest
import torch

from sigmaflow.datasets import faces, headlatent
from sigmaflow.datasets.images import ImageZip
from sigmaflow.fields import raycast

FRONT, INTRINSICS = faces._camera(0.0, 0.0)


def sphere(radius=0.3, rows=60, columns=120):
    polar = np.linspace(0, np.pi, rows)
    turn = np.arange(columns) / columns * 2 * np.pi
    p, t = np.meshgrid(polar, turn, indexing="ij")
    vertices = radius * np.stack([np.sin(p) * np.sin(t), np.cos(p), np.sin(p) * np.cos(t)], -1)
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    return vertices.reshape(-1, 3), np.stack([a, c, d, a, d, b], -1).reshape(-1, 3)


def write_set(path, count=4, seed=0, side=16):
    pixels = np.random.RandomState(seed).randint(0, 256, (count, side, side, 3), np.uint8)
    with faces.ZipWriter(path) as out:
        for i in range(count):
            out.add(faces.encode(pixels[i]), "png", faces.view_label(seed, i), seed + i)
    return pixels


def rewrite(path, change):
    """Copy a zip with ``change(name, bytes) -> bytes or None``."""
    with zipfile.ZipFile(path) as source:
        members = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(path, "w") as target:
        for name, data in members.items():
            data = change(name, data)
            if data is not None:
                target.writestr(name, data)


def test_rays_meet_a_sphere_where_geometry_says():
    vertices, mesh = sphere()
    random = np.random.RandomState(0)
    offset = random.uniform(-0.35, 0.35, (2000, 2))
    origins = np.concatenate([offset, np.full((2000, 1), 2.0)], 1)
    directions = np.tile([0, 0, -1.0], (2000, 1))
    triangle, bary, distance = raycast.cast(vertices, mesh, origins, directions)
    inside = np.linalg.norm(offset, axis=1)
    clear = np.abs(inside - 0.3) > 0.002
    assert ((triangle >= 0) == (inside < 0.3))[clear].all()
    hit = (triangle >= 0) & (inside < 0.28)
    expected = 2.0 - np.sqrt(0.09 - inside[hit] ** 2)
    assert np.abs(distance[hit] - expected).max() < 2e-3
    points = (vertices[mesh[triangle[hit]]] * bary[hit][..., None]).sum(1)
    along = origins[hit] - np.array([0, 0, 1.0]) * distance[hit][:, None]
    assert np.abs(points - along).max() < 1e-5
    assert np.isinf(distance[triangle < 0]).all() and (bary[triangle < 0] == 0).all()
    normals = raycast.vertex_normals(vertices, mesh)
    used = np.unique(mesh)
    assert (normals * vertices / 0.3).sum(1)[used].min() > 0.99


def test_a_rendered_sphere_has_the_projected_size_and_is_lit_from_its_light():
    vertices, mesh = sphere(0.2)
    image = raycast.render_mesh(
        vertices,
        mesh,
        FRONT,
        INTRINSICS,
        64,
        light=(1, 0, 0),
        background=(0, 0, 1.0),
        supersample=2,
    )
    assert image.shape == (64, 64, 3) and image.dtype == np.uint8
    covered = (image[..., 0] > 10).sum() / 64**2
    tangent = 0.2 / np.sqrt(2.7**2 - 0.2**2)
    assert covered == pytest.approx(np.pi * (4.2647 * tangent) ** 2, rel=0.05)
    middle = image[32].astype(int)
    assert middle[44, 0] > middle[20, 0] + 20  # +x of the world is image right
    coloured = raycast.render_mesh(
        vertices,
        mesh,
        FRONT,
        INTRINSICS,
        32,
        light=None,
        colors=np.where(vertices[:, 1:2] > 0, [1, 0, 0], [0, 1, 0]),
    )
    assert coloured[10, 16, 0] > 150 > coloured[10, 16, 1]  # +y of the world is up
    assert coloured[22, 16, 1] > 150 > coloured[22, 16, 0]


def test_an_empty_mesh_and_bad_meshes():
    nothing = raycast.render_mesh(np.zeros((0, 3)), np.zeros((0, 3), int), FRONT, INTRINSICS, 4)
    assert (nothing == 255).all()
    with pytest.raises(ValueError, match="vertex 0..3"):
        raycast.Scene(np.zeros((3, 3)), [[0, 1, 3]])
    with pytest.raises(ValueError, match="NaN"):
        raycast.Scene(np.full((3, 3), np.nan), [[0, 1, 2]])
    with pytest.raises(ValueError, match=r"\[N, 3\]"):
        raycast.cast(*sphere(), np.zeros((2, 3)), np.zeros((3, 3)))


def test_the_frontal_camera_and_the_spread_of_views():
    assert np.allclose(FRONT[:3, :3], np.diag([1, -1, -1]))
    assert np.allclose(FRONT[:3, 3], [0, 0, 2.7])
    labels = np.stack([faces.view_label(s, k) for s in range(100) for k in range(5)])
    assert labels.shape == (500, 25) and labels.dtype == np.float32
    position = labels[:, :16].reshape(-1, 4, 4)[:, :3, 3]
    assert np.allclose(np.linalg.norm(position, axis=1), 2.7, atol=1e-5)
    yaw = np.arctan2(position[:, 0], position[:, 2])
    assert 0.28 < yaw.std() < 0.40 and abs(yaw.mean()) < 0.06 and np.abs(yaw).max() < 0.91


def test_views_from_all_sides_look_at_the_middle_of_the_head():
    labels = np.stack([faces.around_label(s, 0) for s in range(300)])
    pose = labels[:, :16].reshape(-1, 4, 4).astype(float)
    position = pose[:, :3, 3]
    assert np.allclose(np.linalg.norm(position, axis=1), 2.7, atol=1e-5)
    yaw = np.arctan2(position[:, 0], position[:, 2])
    assert np.abs(np.histogram(yaw, 4, (-np.pi, np.pi))[0] - 75).max() < 30
    assert np.abs(pose[:, :3, 2] + position / 2.7).max() < 1e-5  # the optical axis meets 0
    assert np.array_equal(labels[7], faces.around_label(7, 0))
    assert not np.array_equal(faces.around_label(7, 0), faces.around_label(7, 1))


def test_zip_round_trip(tmp_path):
    path = tmp_path / "set.zip"
    pixels = write_set(path)
    with ImageZip(path) as data:
        assert len(data) == 4 and data.resolution == 16 and data.labels.shape == (4, 25)
        assert data.names[1] == "00000/img00000001.png" and data.seeds.tolist() == [0, 1, 2, 3]
        image, label = data[2]
        assert image.dtype == torch.uint8 and image.shape == (3, 16, 16)
        assert np.array_equal(image.permute(1, 2, 0).numpy(), pixels[2])
        assert np.array_equal(label.numpy(), faces.view_label(0, 2))
        assert torch.equal(data.load_all()[2], image)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "folder")
    folder = ImageZip(tmp_path / "folder")
    assert torch.equal(folder.load_all(), ImageZip(path).load_all())
    assert np.array_equal(folder.labels, ImageZip(path).labels)


def test_bytes_depend_on_content_alone_and_merge_keeps_order(tmp_path):
    for name, seed in [("a", 0), ("b", 9), ("again", 0)]:
        write_set(tmp_path / name, seed=seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "again").read_bytes()
    faces.merge_zips([tmp_path / "a", tmp_path / "b"], tmp_path / "both.zip")
    faces.merge_zips([tmp_path / "a", tmp_path / "b"], tmp_path / "twice.zip")
    assert (tmp_path / "both.zip").read_bytes() == (tmp_path / "twice.zip").read_bytes()
    both, b = ImageZip(tmp_path / "both.zip"), ImageZip(tmp_path / "b")
    assert both.seeds.tolist() == [0, 1, 2, 3, 9, 10, 11, 12]
    assert torch.equal(both[5][0], b[1][0]) and np.array_equal(both.labels[5], b.labels[1])


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "set.zip"
    write_set(path)
    before = path.read_bytes()
    with pytest.raises(RuntimeError), faces.ZipWriter(path) as out:
        out.add(b"x", "png", np.zeros(25))
        raise RuntimeError
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["set.zip"]


def test_jpeg_is_close_to_the_pixels(tmp_path):
    ramp = np.stack([np.tile(np.arange(64) * 4, (64, 1))] * 3, -1).astype(np.uint8)
    with faces.ZipWriter(tmp_path / "j.zip") as out:
        out.add(faces.encode(ramp, "jpeg"), "jpg", faces.view_label(0, 0))
    data = ImageZip(tmp_path / "j.zip")
    assert data.seeds is None
    assert np.abs(data[0][0].permute(1, 2, 0).numpy().astype(int) - ramp).max() < 8
    with pytest.raises(ValueError, match="gif"):
        faces.encode(ramp, "gif")


def test_reader_names_what_is_wrong(tmp_path):
    path = tmp_path / "set.zip"

    def labels(edit):
        def change(name, data):
            if name != "dataset.json":
                return data
            meta = json.loads(data)
            edit(meta)
            return json.dumps(meta).encode()

        return change

    cases = [
        (lambda n, d: None if n == "dataset.json" else d, "set.zip: dataset.json: missing"),
        (lambda n, d: b"{" if n == "dataset.json" else d, "dataset.json"),
        (labels(lambda m: m.pop("labels")), "dataset.json"),
        (labels(lambda m: m.update(labels=None)), "dataset.json"),
        (labels(lambda m: m.update(labels=[])), "names no images"),
        (labels(lambda m: m["labels"][1][1].pop()), "img00000001.png: its label has shape"),
        (labels(lambda m: m["labels"][1].__setitem__(1, ["x"] * 25)), "img00000001.png"),
        (labels(lambda m: m["seeds"].pop()), "seeds"),
        (lambda n, d: None if n.endswith("2.png") else d, "img00000002.png: named in"),
    ]
    for change, message in cases:
        write_set(path)
        rewrite(path, change)
        with pytest.raises(ValueError, match=message):
            ImageZip(path)
    for spoil in (
        lambda d: d[:40],
        lambda d: b"not a picture",
        lambda d: faces.encode(np.zeros((8, 8, 3), np.uint8)),
    ):
        write_set(path)
        rewrite(path, lambda n, d, spoil=spoil: spoil(d) if n.endswith("2.png") else d)
        with pytest.raises(ValueError, match=r"set\.zip: 00000/img00000002\.png"):
            ImageZip(path).load_all()
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a readable zip"):
        ImageZip(path)
    with pytest.raises(ValueError, match="no such file"):
        ImageZip(tmp_path / "absent.zip")


def test_damaged_stored_bytes_are_noticed(tmp_path):
    path = tmp_path / "set.zip"
    write_set(path)
    data = bytearray(path.read_bytes())
    at = data.find(b"IDAT", data.find(b"img00000003.png")) + 60
    data[at] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match="img00000003.png: cannot be read"):
        ImageZip(path).load_all()


def test_latent_to_look_is_smooth_bounded_and_ignores_length():
    for seed in range(40):
        z = headlatent.latent(seed)
        phenotypes, changes, actions = headlatent.shape_inputs(z)
        assert all(0 <= v <= 1 for v in phenotypes.values())
        assert 0.45 <= phenotypes["age"] <= 0.95
        assert all(abs(v) <= 0.55 for v in changes.values())
        assert all(0 <= v <= 0.7 for v in actions.values())
        look, longer = headlatent.look_of(z), headlatent.look_of(3 * z)
        near = headlatent.look_of(z + 1e-4)
        for name in ("skin", "lip", "hair", "iris"):
            colour = getattr(look, name)
            assert colour.shape == (3,) and (colour >= 0).all() and (colour <= 1).all()
            assert np.allclose(colour, getattr(longer, name), atol=1e-9)
            assert np.abs(colour - getattr(near, name)).max() < 2e-3
        assert np.linalg.norm(look.light) == pytest.approx(1)
    for bad in (np.zeros(64), np.ones(63), np.full(64, np.nan)):
        with pytest.raises(ValueError, match="64"):
            headlatent.look_of(bad)


def test_glasses_beards_and_expressions_are_frequent():
    told = [headlatent.traits(headlatent.latent(seed)) for seed in range(1000)]
    share = {name: np.mean([t[name] for t in told]) for name in told[0]}
    for name in (
        "glasses",
        "beard",
        "long_hair",
        "fringe",
        "smile",
        "frown",
        "open_mouth",
        "raised_brows",
        "lowered_brows",
        "squint",
    ):
        assert 0.05 < share[name] < 0.6, name
    first = next(s for s in range(99) if told[s]["glasses"] and not told[s]["beard"])
    look = headlatent.look_of(headlatent.latent(first))
    assert look.glasses > 0.5 > look.beard


@pytest.mark.slow
def test_heads_are_aligned_inside_the_box_and_rendered_alike_twice(tmp_path):
    pytest.importorskip("anny")
    from sigmaflow.datasets import heads

    a = heads.anatomy()
    for seed in range(4):
        head = heads.build_head(heads.latent(seed))
        assert np.abs(head.vertices).max() <= 0.5
        left, right = (head.vertices[e].mean(0) for e in a.eyes)
        assert np.abs((left + right)[:2] / 2).max() < 0.01
        assert left[0] - right[0] == pytest.approx(heads.EYE_SPAN, abs=0.01)
        assert head.vertices[:, 1].min() > -0.40 and head.vertices[:, 1].max() < 0.32
        label = faces.view_label(seed, 0)
        picture = faces.render_view(head, label, 64)
        assert (picture[0] == 255).all() and (picture[0, 0] == 255).all()  # exactly white
    for name in ("a.zip", "b.zip"):
        faces.render_faces([3], 2, tmp_path / name, resolution=32)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    pixels = ImageZip(tmp_path / "a.zip").load_all().float()
    assert pixels.std() > 20
