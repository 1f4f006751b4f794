"""Figure 17 on fields whose histogram is known."""

import numpy as np
import pytest
import torch

from sigmaflow.analyses.sigma_histogram import ANALYSIS, HistogramSettings
from sigmaflow.analysing import Subject
from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.measuring import Measured, measure
from sigmaflow.quantities import sigma_histogram
from sigmaflow.quantities.sigma_histogram import QUANTITY, edges

SLAB = Grid(resolution=12, kind="released", pads=SLAB_ENTIRE)


class Ramp(torch.nn.Module):
    """Sigma is -1 in the left half of the box and a power of ten in the right, by the seed."""

    z_dim, rendering_kwargs = 4, {"box_warp": 1.0}

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def canonical_label(self):
        return torch.zeros(1, 25)

    def mapping(self, z, c, truncation_psi=1.0, truncation_cutoff=None):
        return z * truncation_psi

    def planes(self, ws, noise_mode="const"):
        return ws

    def sigma_grid(self, planes, grid):
        x = grid.points("cpu")[:, 0].reshape(grid.shape)
        value = 10.0 ** (planes[:, 0] > 0).float() * 30
        return torch.where(x < 0, -1.0, value.reshape(-1, 1, 1, 1))


def test_counts_maxima_and_shares_of_a_known_field():
    settings = QUANTITY.settings(resolution=8, grid=SLAB)
    found = measure(QUANTITY, Ramp(), range(0, 6), 1.0, settings)
    first = [np.random.RandomState(s).randn(1, 4)[0, 0] > 0 for s in range(6)]
    assert found["box_max"].tolist() == [300.0 if up else 30.0 for up in first]
    assert found["box_positive"].tolist() == [0.5] * 6
    assert found["box_counts"].shape == (6, 80) and set(found["box_counts"].sum(1)) == {256}
    for counts, up in zip(found["box_counts"], first):
        (place,) = np.flatnonzero(counts)
        assert edges()[place] <= (300 if up else 30) < edges()[place + 1]
    assert (found["slab_counts"].sum(1) < np.prod(SLAB.shape)).all()
    mean = measure(QUANTITY, Ramp(), range(0, 6), 0.0, settings)
    assert set(mean["box_max"]) == {30.0}


def test_small_values_are_in_no_bin():
    class Faint(Ramp):
        def sigma_grid(self, planes, grid):
            return torch.full((len(planes), *grid.shape), 1e-3)

    found = measure(QUANTITY, Faint(), range(4), 1.0, QUANTITY.settings(resolution=8, grid=SLAB))
    assert found["box_points"].tolist() == [512] * 4 and not found["box_counts"].any()
    bounds = edges()
    assert len(bounds) == 81 and (bounds[0], bounds[-1]) == (pytest.approx(0.01), 1e6)
    assert np.allclose(bounds[10] / bounds[0], 10)


def test_densities_integrate_to_one_and_maxima_have_intervals():
    counts = np.zeros((3, 80), dtype=np.int64)
    counts[0, 30], counts[1, 30], counts[1, 40], counts[2, 40] = 10, 5, 5, 20
    measured = {"sigma": Measured((1, 2, 3), {
        **{f"{r}_counts": counts for r in sigma_histogram.REGIONS},
        **{f"{r}_max": np.array([1.0, 2.0, 6.0]) for r in sigma_histogram.REGIONS},
        **{f"{r}_points": np.array([10.0, 20.0, 20.0]) for r in sigma_histogram.REGIONS},
        **{f"{r}_positive": np.array([0.1, 0.2, 0.3]) for r in sigma_histogram.REGIONS},
    })}  # fmt: skip
    subject = Subject("tuned", range(1, 4), 0.7)
    found = ANALYSIS.rows(measured, HistogramSettings(), subject)
    box, slab = found["sigma_histogram"]
    assert (box.region, box.resolution, slab.region, slab.resolution) == ("box", 128, "slab", 0)
    assert (box.n, box.max_mean, box.positive, box.paper_max) == (3, 3.0, pytest.approx(0.2), 430)
    assert box.max_high - box.max_mean == pytest.approx(4.302653 * (7 / 3) ** 0.5, rel=1e-6)
    bins = [one for one in found["sigma_bins"] if one.region == "box"]
    # Of the second shape half of the points of positive sigma are in no bin.
    assert sum(one.density * (one.high - one.low) for one in bins) == pytest.approx(2.5 / 3)
    assert bins[30].density * (bins[30].high - bins[30].low) == pytest.approx(1.25 / 3)
