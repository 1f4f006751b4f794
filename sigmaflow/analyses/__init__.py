"""Analyses: a file each, which defines `ANALYSIS` (see `sigmaflow.analysing`)."""
