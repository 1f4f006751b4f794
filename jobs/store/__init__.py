"""Stages, tasks and their keys, and finished ones on disk: claims, digests, ledgers."""
