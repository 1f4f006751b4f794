"""Meshes of cubes in pieces against meshes of whole cubes, and the released axes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sigmaflow.fields.mesh import BORDER_VALUE, EmptySurface, extract_mesh
from sigmaflow.fields.released import (
    released_axes,
    released_blocks,
    released_border,
    released_cube,
)
from sigmaflow.fields.streamed import PLANES, blocks_of, mesh_of_blocks

ROOT = Path(__file__).resolve().parents[2]


def lumps(n, seed=0):
    """Smooth noise with many parts and holes; some values are the level itself."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).normal(size=(n, n, n))
    cube = (10 + 40 * gaussian_filter(noise, 1.5)).astype(np.float32)
    cube[np.random.default_rng(seed + 1).random(cube.shape) < 0.02] = 10
    return cube


def ball(n, radius=0.4):
    axis = np.linspace(-0.5, 0.5, n)
    distance = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    return (10 + 200 * (radius - distance)).astype(np.float32)


def euler(mesh):
    edges = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    edges, uses = np.unique(edges, axis=0, return_counts=True)
    return len(mesh.vertices) - len(edges) + len(mesh.faces), uses


@pytest.mark.parametrize("n", [12, PLANES, PLANES + 1, PLANES + 2, PLANES + 3, 3 * PLANES + 5])
@pytest.mark.parametrize("border", ["thin", "released", "paper"])
def test_pieces_give_the_whole_cubes_mesh(n, border):
    cube = lumps(n)
    whole = extract_mesh(cube, border=border)
    pieces = mesh_of_blocks(blocks_of(cube), n, border=border)
    assert len(whole.faces) > 50
    assert np.array_equal(pieces.faces, whole.faces)
    np.testing.assert_allclose(pieces.vertices, whole.vertices, rtol=0, atol=1.2e-7)
    assert np.array_equal(pieces.vertices[:, 1:], whole.vertices[:, 1:])


def test_how_blocks_are_cut_changes_no_bit():
    cube = lumps(2 * PLANES + 7)
    n = len(cube)
    first = mesh_of_blocks(blocks_of(cube, n), n)
    ragged = [(0, cube[:1]), (1, cube[1:2]), (2, cube[2:50]), (50, cube[50:])]
    for blocks in (blocks_of(cube, 1), blocks_of(cube, 5), ragged):
        mesh = mesh_of_blocks(blocks, n)
        assert np.array_equal(mesh.vertices, first.vertices)
        assert np.array_equal(mesh.faces, first.faces)


def test_a_ball_over_many_seams_is_closed_and_round():
    n = 3 * PLANES
    mesh = mesh_of_blocks(blocks_of(ball(n), 7), n, length=2.0)
    characteristic, uses = euler(mesh)
    assert characteristic == 2 and (uses == 2).all()
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices, axis=1), 0.8, atol=2e-3)
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.8**3, rel=0.01)


def test_lumps_keep_their_euler_characteristic():
    cube = lumps(2 * PLANES, seed=5)
    whole, pieces = extract_mesh(cube), mesh_of_blocks(blocks_of(cube, 3), len(cube))
    (a, uses_a), (b, uses_b) = euler(whole), euler(pieces)
    assert a == b and a < -100  # many handles
    assert np.array_equal(uses_a, uses_b)


def test_empty_slabs_before_between_and_after():
    n = 5 * PLANES
    cube = np.full((n, n, n), -5, np.float32)
    cube[40:44, 60:70, 60:70] = 50
    cube[120:124, 60:70, 60:70] = 50
    whole, pieces = extract_mesh(cube), mesh_of_blocks(blocks_of(cube, 10), n)
    assert np.array_equal(whole.faces, pieces.faces) and euler(pieces)[0] == 4
    largest = mesh_of_blocks(blocks_of(cube), n, largest=True)
    assert euler(largest)[0] == 2


def test_from_a_file(tmp_path):
    cube = lumps(40)
    np.save(tmp_path / "cube.npy", cube)
    mapped = np.load(tmp_path / "cube.npy", mmap_mode="r")
    mesh = mesh_of_blocks(blocks_of(mapped, 6), 40)
    assert np.array_equal(mesh.faces, extract_mesh(cube).faces)


def test_errors_are_those_of_the_whole_cube():
    cube = ball(40)
    with pytest.raises(EmptySurface) as whole:
        extract_mesh(cube, level=500, border="paper")
    with pytest.raises(EmptySurface) as pieces:
        mesh_of_blocks(blocks_of(cube), 40, level=500, border="paper")
    assert str(whole.value) == str(pieces.value)
    with pytest.raises(EmptySurface, match="nothing"):
        mesh_of_blocks(blocks_of(cube), 40, border=((0.6, 0.6), (0, 0), (0, 0)))
    bad = cube.copy()
    bad[39, 0, 0] = np.inf
    with pytest.raises(ValueError, match="NaN or infinity"):
        mesh_of_blocks(blocks_of(bad), 40)
    with pytest.raises(ValueError, match="end at x = 39 of 40"):
        mesh_of_blocks(blocks_of(cube[:39]), 40)
    with pytest.raises(ValueError, match=r"block 8\.\.16 comes where x = 0 of 40"):
        mesh_of_blocks([(8, cube[8:16])], 40)
    with pytest.raises(ValueError, match=r"\[4, 40, 39\], not \[n, 40, 40\]"):
        mesh_of_blocks([(0, cube[:4, :, :39])], 40)


# The released axes


def test_released_mesh_is_the_scripts_turned_and_not_mirrored():
    from scipy.spatial import cKDTree
    from skimage.measure import marching_cubes

    cube, n = lumps(48, seed=3), 48
    script = released_cube(cube).transpose(2, 1, 0)
    expected, faces, _, _ = marching_cubes(script, 10.0)
    world = extract_mesh(cube, border="released", length=3.0)
    ours = released_axes(world, n, length=3.0)

    for a, b in ((ours.vertices, expected), (expected, ours.vertices)):
        away = cKDTree(a).query(b)[0]
        assert (away > 1e-4).mean() < 1e-3 and away.max() < 1  # in ambiguous cells
    assert abs(len(ours.faces) - len(faces)) <= 0.01 * len(faces)
    round_ = extract_mesh(ball(n), border="released", length=3.0)
    turned = released_axes(round_, n, length=3.0)
    assert turned.volume == pytest.approx(round_.volume * (47 / 3) ** 3, rel=1e-4)
    assert turned.volume > 0  # faces outward still, so it is a rotation


def test_released_border_and_its_trap():
    cube = np.ones((32, 32, 32), np.float32)
    cube[0] = 7
    out = released_cube(cube)
    assert released_border(32) == 3 and (out[3:-3, 3:-3, 3:-3] == 1).all()
    assert (out == BORDER_VALUE).sum() == 32**3 - 26**3
    assert (released_cube(cube[:8, :8, :8]) == BORDER_VALUE).all()
    cube[10] = 5
    assert (released_cube(cube)[21, 3:-3, 3:-3] == 5).all()  # mirrored in x
    pieces = [(start, block.shape[0]) for start, block in released_blocks(cube, 10)]
    assert pieces == [(0, 10), (10, 10), (20, 10), (30, 2)]
    cut = np.concatenate([block for _, block in released_blocks(cube, 10)])
    assert np.array_equal(cut, released_cube(cube)) and cut.dtype == cube.dtype
    with pytest.raises(ValueError, match=r"\[N, N, N\]"):
        released_cube(cube[:5])


@pytest.mark.parametrize("name", ["eg3d_p64", "eg3d_p256"])
def test_golden_cube(reference, name):
    d = np.load(reference / "golden" / name / "cases.npz")
    before, after = d["grid_sigma_before"], d["grid_sigma_after"]
    assert np.array_equal(released_cube(before), after)


# Size

MEASURE = """
import json, resource, sys, time
import numpy as np
from sigmaflow.fields.streamed import mesh_of_blocks
n = int(sys.argv[1])
axis = np.linspace(-0.5, 0.5, n, dtype=np.float32)
mesh_of_blocks([(0, np.full((8, 8, 8), 20.0))], 8)  # loads what is needed
def blocks():
    for x in range(0, n, 16):
        a = axis[x:x + 16, None, None] ** 2 + axis[:, None] ** 2 + axis**2
        yield x, 10 + 300 * (0.35 + 0.04 * np.cos(40 * axis)[None, None] - np.sqrt(a))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
cpu = time.process_time()
mesh = mesh_of_blocks(blocks(), n)
print(json.dumps({"kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before,
                  "cpu": time.process_time() - cpu, "faces": len(mesh.faces)}))
"""


def measured(n):
    out = subprocess.run([sys.executable, "-c", MEASURE, str(n)], cwd=ROOT, check=True,
                         capture_output=True, text=True).stdout  # fmt: skip
    return json.loads(out)


@pytest.mark.slow
def test_512_cubed_in_a_fraction_of_its_size():
    found = measured(512)
    assert found["faces"] > 500_000
    assert found["kib"] * 1024 < 0.5 * 4 * 512**3, found
