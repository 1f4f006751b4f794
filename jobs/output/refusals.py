"""How a command that was given bad input, or Ctrl-C, ends."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from jobs.sweep.config import ConfigError


def answered(command: Callable[[], int]) -> int:
    """What the command returns; 2 for a ConfigError and 130 on Ctrl-C, with a word on stderr."""
    errors = Console(stderr=True)
    try:
        return command()
    except ConfigError as error:
        errors.print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        errors.print("stopped; the same command goes on from here", style="yellow")
        return 130
