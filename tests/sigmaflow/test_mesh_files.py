"""GLB and MRC against what the libraries of the field read from them."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from sigmaflow.fields.glb import write_glb
from sigmaflow.fields.mesh import Mesh, extract_mesh
from sigmaflow.fields.mrc import HEADER, map_mrc, write_mrc
from sigmaflow.fields.released import released_cube
from sigmaflow.fields.streamed import blocks_of


@pytest.fixture(scope="module")
def cube():
    """A long lump away from the centre, so that every mix-up of axes shows."""
    x, y, z = np.meshgrid(*[np.linspace(-0.5, 0.5, 24)] * 3, indexing="ij")
    distance = np.sqrt((x - 0.1) ** 2 * 4 + (y + 0.15) ** 2 + ((z - 0.05) / 1.3) ** 2)
    return (10 + 100 * (0.25 - distance)).astype(np.float32)


@pytest.fixture(scope="module")
def surface(cube):
    return extract_mesh(cube)


# GLB


def parts_of(path):
    raw = path.read_bytes()
    magic, version, size = struct.unpack_from("<4sII", raw)
    length, kind = struct.unpack_from("<I4s", raw, 12)
    scene = json.loads(raw[20 : 20 + length])
    binary, kind2 = struct.unpack_from("<I4s", raw, 20 + length)
    assert (magic, version, size) == (b"glTF", 2, len(raw)) and (kind, kind2) == (b"JSON", b"BIN\0")
    assert length % 4 == 0 and binary % 4 == 0
    return scene, raw[28 + length :]


def test_glb_has_one_buffer_with_positions_normals_and_faces(tmp_path, surface):
    write_glb(tmp_path / "a.glb", surface)
    scene, data = parts_of(tmp_path / "a.glb")
    assert len(scene["buffers"]) == 1 and scene["buffers"][0]["byteLength"] == len(data)
    arrays = []
    for view, accessor in zip(scene["bufferViews"], scene["accessors"]):
        kind = "<f4" if accessor["componentType"] == 5126 else "<u4"
        array = np.frombuffer(data, kind, view["byteLength"] // 4, view["byteOffset"])
        arrays.append(array.reshape(-1, 3))
    positions, normals, faces = arrays
    assert np.array_equal(positions, surface.vertices) and np.array_equal(faces, surface.faces)
    assert scene["accessors"][0]["min"] == positions.min(0).tolist()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    corners = positions[faces]
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((normals[faces].mean(1) * outward).sum(1) > 0).mean() > 0.99


def test_trimesh_reads_the_glb(tmp_path, surface):
    trimesh = pytest.importorskip("trimesh")
    write_glb(tmp_path / "a.glb", surface)
    scene = trimesh.load(tmp_path / "a.glb")
    (mesh,) = scene.geometry.values()
    np.testing.assert_array_equal(mesh.vertices, surface.vertices)
    assert np.array_equal(mesh.faces, surface.faces)
    assert mesh.is_watertight and mesh.volume == pytest.approx(surface.volume, rel=1e-5)


def test_an_empty_mesh_is_no_glb(tmp_path):
    with pytest.raises(ValueError, match=r"a\.glb: the mesh has no faces"):
        write_glb(tmp_path / "a.glb", Mesh(np.zeros((0, 3), "f4"), np.zeros((0, 3), "i4")))
    assert not list(tmp_path.iterdir())


# MRC


def test_mrc_reads_back_and_does_not_depend_on_blocks(tmp_path, cube):
    write_mrc(tmp_path / "a.mrc", blocks_of(cube, 5), cube.shape)
    write_mrc(tmp_path / "b.mrc", blocks_of(cube, 24), cube.shape)
    back = map_mrc(tmp_path / "a.mrc")
    assert np.array_equal(back, cube) and not back.flags.writeable
    a, b = ((tmp_path / n).read_bytes() for n in ("a.mrc", "b.mrc"))
    assert a[HEADER:] == b[HEADER:] and a[:76] == b[:76]


def test_mrcfile_reads_the_header_as_meant(tmp_path, cube):
    mrcfile = pytest.importorskip("mrcfile")
    write_mrc(tmp_path / "a.mrc", blocks_of(cube[:, 2:], 5), (24, 22, 24), length=2.0)
    assert mrcfile.validate(tmp_path / "a.mrc")
    with mrcfile.open(tmp_path / "a.mrc") as file:
        assert np.array_equal(file.data, cube[:, 2:]) and file.is_volume()
        head = file.header
        assert (head.mapc, head.mapr, head.maps) == (3, 2, 1)
        step = 2 / 23
        sizes = file.voxel_size
        for axis in "xyz":
            assert float(sizes[axis]) == pytest.approx(step, rel=1e-6)
            assert float(head.origin[axis]) == pytest.approx(-1)
        assert float(head.dmean) == pytest.approx(cube[:, 2:].mean(), rel=1e-5)
        assert float(head.rms) == pytest.approx(cube[:, 2:].std(), rel=1e-5)


def test_released_mrc_is_the_mirrored_cube(tmp_path, cube):
    mrcfile = pytest.importorskip("mrcfile")
    mirrored = released_cube(cube)
    write_mrc(tmp_path / "r.mrc", blocks_of(mirrored), cube.shape, released=True)
    assert mrcfile.validate(tmp_path / "r.mrc")
    with mrcfile.open(tmp_path / "r.mrc") as file:
        assert np.array_equal(file.data, mirrored)
        assert (file.header.mapc, file.header.mapr, file.header.maps) == (1, 2, 3)
        assert float(file.voxel_size.x) == 0


def test_bad_volumes_leave_nothing_behind(tmp_path, cube):
    with pytest.raises(ValueError, match="end at x = 20 of 24"):
        write_mrc(tmp_path / "a.mrc", blocks_of(cube[:20]), cube.shape)
    with pytest.raises(ValueError, match="comes where x = 0"):
        write_mrc(tmp_path / "a.mrc", [(3, cube[3:])], cube.shape)
    with pytest.raises(ValueError, match="NaN"):
        write_mrc(tmp_path / "a.mrc", blocks_of(cube * np.float32(np.nan)), cube.shape)
    assert not list(tmp_path.iterdir())
    write_mrc(tmp_path / "a.mrc", blocks_of(cube), cube.shape)
    (tmp_path / "a.mrc").write_bytes((tmp_path / "a.mrc").read_bytes()[:-4])
    with pytest.raises(ValueError, match="its header says"):
        map_mrc(tmp_path / "a.mrc")
