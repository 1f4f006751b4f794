"""Keeps secrets out of all that we write: logs, ledgers, tracebacks, MLflow, diffs.

A secret is the value of an environment variable whose name says so (`TOKEN`, `PASSWORD`, `KEY`,
...), and whatever stands before the ``@`` of a URL. Files of ours name variables, never values.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO
from urllib.parse import quote, quote_plus, unquote

STARS = "***"
SHORTEST = 6  # characters of a value that is hidden; shorter ones would hide half of every text
_WORDS = (
    "TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PASS|CREDENTIAL|API_?KEY|KEY|WEBHOOK|DSN|COOKIE"
)  # fmt: skip
_WHOLE = (  # between underscores only: else PATH has a PAT in it, and PWD alone is a folder
    "JWT|PAT|AUTH|BEARER|HOOK|SAS|CONN(?:ECTION)?_?STR(?:ING)?|PRIVATE_PEM|(?<=_)PWD"
)
_SECRET = re.compile(rf"(?:^|_)\w*?(?:{_WORDS})S?(?:_|$|\d)|(?:^|_)(?:{_WHOLE})S?(?:_|$|\d)", re.I)
_HARMLESS = re.compile(r"_(?:PATH|FILE|DIR|MODE|NAME|TYPE|SOCK)$", re.I)
_URL = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*://)[^/\s\"'<>]+@")
_SAYS = re.compile(
    rf"^(?P<name>[\w.-]*(?:{_WORDS})S?[\w.-]*|(?:[\w.-]*[_.-])?(?:{_WHOLE})S?(?:[_.-][\w.-]*)?)="
    r"(?P<value>.+)$", re.I | re.S,
)  # fmt: skip
_PASSWORD = re.compile(r"://[^/\s\"'<>:@]*:([^/\s\"'<>]+)@")


def is_secret(name: str) -> bool:
    """Whether an environment variable of this name holds a secret."""
    return bool(_SECRET.search(name)) and not _HARMLESS.search(name)


def secrets(more: Sequence[str] = ()) -> dict[str, str]:
    """Secret values of the environment and the names of their variables, with passwords of URLs
    in any variable; ``more`` names variables that count as secret too."""
    found: dict[str, str] = {}
    for name, value in os.environ.items():
        if is_secret(name) or name in more:
            for one in {value, *value.splitlines()}:  # a key of many lines is shown line by line
                if len(one.strip()) >= SHORTEST:
                    found[one.strip()] = name
        for password in _PASSWORD.findall(value):
            if len(password) >= SHORTEST:
                found[password] = found[unquote(password)] = name
    return found


def text(said: str, more: Sequence[str] = ()) -> str:
    """``said`` with every secret replaced by stars, also where it is escaped for URLs or JSON."""
    if "://" in said:
        said = _URL.sub(rf"\g<scheme>{STARS}@", said)
    pattern = _pattern(tuple(secrets(more)))
    return pattern.sub(STARS, said) if pattern else said


def without_userinfo(url: str) -> str:
    """A URL without what stands before its ``@``."""
    return _URL.sub(r"\g<scheme>", url)


def has_password(url: str) -> bool:
    """Whether a URL carries one."""
    return bool(_PASSWORD.search(url))


@functools.lru_cache(maxsize=8)
def _pattern(values: tuple[str, ...]) -> re.Pattern[str] | None:
    forms = set()
    for one in values:
        forms |= {one, quote(one), quote(one, safe=""), quote_plus(one)}
        forms |= {json.dumps(one)[1:-1], json.dumps(one, ensure_ascii=False)[1:-1], repr(one)[1:-1]}
    if not forms:
        return None
    return re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True))))


def value(said: Any) -> Any:
    """`text` for every string inside a JSON value, names of fields too."""
    if isinstance(said, str):
        return text(said)
    if isinstance(said, Mapping):
        return {value(k): value(v) for k, v in said.items()}
    return [value(v) for v in said] if isinstance(said, (list, tuple)) else said


def command(argv: Sequence[str]) -> list[str]:
    """A command line: as `text`, and without the value of ``key=value`` where the key says that
    it is secret."""
    return [_SAYS.sub(rf"\g<name>={STARS}", text(one)) for one in argv]


def problems(config: Mapping[str, Any], what: str) -> list[str]:
    """Where a configuration holds a secret's value, in words that do not repeat it.

    It would end in job scripts, keys and tables, where nothing can be hidden any more.
    """
    known, found = secrets(), []
    for key, said in _strings(config):
        name = next((n for v, n in known.items() if v in said), None)
        if name is not None:
            found.append(
                f"{what}: {key}: holds the value of the environment variable {name}; "
                "files and --set may name a variable, never give its value"
            )
        elif has_password(said):
            found.append(
                f"{what}: {key}: holds a URL with a password; keep it in an environment "
                "variable, which jobs inherit"
            )
    return found


def _strings(said: Any, above: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(said, str):
        yield above, said
    elif isinstance(said, Mapping):
        for key, one in said.items():
            yield from _strings(one, f"{above}.{key}" if above else str(key))
    elif isinstance(said, (list, tuple)):
        for i, one in enumerate(said):
            yield from _strings(one, f"{above}[{i}]")


class Stream:
    """A text stream that lets no secret through; in all else it is the one below.

    What cannot be written any more (its reader has gone, its disk is full) raises BrokenPipeError,
    or where `goes_on` is lost. `failed` is that error.
    """

    def __init__(self, below: TextIO, goes_on: bool = False) -> None:
        self._below, self._goes_on = below, goes_on
        self.failed: OSError | None = None

    def write(self, said: str) -> int:
        self._safely(self._below.write, text(said))
        return len(said)

    def flush(self) -> None:
        self._safely(self._below.flush)

    def _safely(self, function: Callable[..., Any], *args: Any) -> None:
        if self.failed is not None and self._goes_on:
            return
        try:
            function(*args)
        except OSError as error:
            self.failed = error
            if not self._goes_on:
                raise BrokenPipeError(error.errno, error.strerror) from error
            if self is sys.stdout:
                unread()
                print(f"{_why(error)}; the work goes on", file=sys.stderr)

    def writelines(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)


def _why(error: OSError) -> str:
    if error.errno == errno.EPIPE:
        return "nobody reads the output any more"
    return f"the output cannot be written ({error.strerror})"


def install(goes_on: bool = False) -> None:
    """From now on all that this process prints is redacted; again does no harm.

    goes_on: what stdout does not take is lost, in place of an error.
    """
    for name, lose in (("stdout", goes_on), ("stderr", True)):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Stream):
            setattr(sys, name, Stream(stream, lose))


def shielded(function: Callable[..., Any], *args: Any) -> Any:
    """Call it; an error leaves as RuntimeError with the redacted traceback and nothing of the
    first, for others may keep it where we don't see it (a job's result, for one)."""
    try:
        return function(*args)
    except Exception:
        said = text(traceback.format_exc())
    raise RuntimeError(said)


def guarded(main: Callable[[], int], goes_on: bool = False) -> int:
    """Run a command's ``main`` with `install`; Ctrl-C and exits pass.

    A reader that goes (``| head``) ends a listing with 0. goes_on: the command does work beside
    what it prints, and ends it without a reader.
    """
    _fill_streams()
    install(goes_on)
    try:
        code = main()
        sys.stdout.flush()
        return code
    except (BrokenPipeError, SystemExit):  # rich turns the one into the other
        error = getattr(sys.stdout, "failed", None)
        if error is None:
            raise
        unread()
        if error.errno == errno.EPIPE:
            return 0
        print(_why(error), file=sys.stderr)
        return 1


def _fill_streams() -> None:
    """Open what is closed (``>&-``) on nothing, or the next file that is opened takes its place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            setattr(sys, name, open(os.devnull, "r+" if number else "r"))


def unread() -> None:
    """Let what is still written to stdout go nowhere, since nobody reads it any more."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.__stdout__.fileno() if sys.__stdout__ else 1)
        os.close(nowhere)
