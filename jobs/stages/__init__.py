"""The stages of a trial, one module each."""

from jobs.stage import Stage

ALL: tuple[Stage, ...] = ()
