"""Figures of the paper and of a sweep: functions that take data and return a matplotlib Figure."""

from sigmaflow.figures.pareto import pareto_front
from sigmaflow.figures.rewards import final_against_initial, reward_histograms, trajectories
from sigmaflow.figures.search import importances, slices
from sigmaflow.figures.seeds import repeats
from sigmaflow.figures.sheets import image_grid, mesh_table, sample_sheet
from sigmaflow.figures.style import save

__all__ = [
    "final_against_initial",
    "image_grid",
    "importances",
    "mesh_table",
    "pareto_front",
    "repeats",
    "reward_histograms",
    "sample_sheet",
    "save",
    "slices",
    "trajectories",
]
