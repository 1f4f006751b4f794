"""Every value of a folder of golden vectors against this package: `pytest tests/golden`."""
