"""Quantities: a file each, which defines `QUANTITY` (see `sigmaflow.measuring`)."""
