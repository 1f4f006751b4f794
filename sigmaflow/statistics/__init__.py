"""Numbers of the paper from plain vectors and shapes: intervals, slopes, shares, distances."""
