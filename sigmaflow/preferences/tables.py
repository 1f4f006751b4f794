"""CSV files of rankings and answers, read line by line: a fault in one line spoils no other."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

MOST_BYTES = 64 * 2**20
MOST_LINES = 1_000_000
MOST_CHARACTERS = 10_000  # of a line
BOM = "\ufeff"
Report = Callable[[int, str, object, str, str], None]
"""Takes line (from 1; 0 is the file), column, value, message and remedy."""
_END = re.compile(r"\r\n|\r|\n")
_FIELD = r'(?: *"(?:[^"]|"")*"|[^"{0}]*)'
_ROW = {mark: re.compile(f"{_FIELD}(?:{mark}{_FIELD})*".replace("{0}", mark)) for mark in ",;"}


def read_table(path: str | Path, report: Report) -> list[tuple[int, list[str]]]:
    """Rows of a CSV file as (line, cells without spaces around them); the first is the header.

    Fields are divided by commas, or by semicolons where the header has those alone. Quotes must
    enclose a whole field and close in their line. A byte order mark is dropped from any line, since
    files are put below each other. Everything wrong goes to ``report``: a file that cannot be read,
    is empty, too large or no UTF-8; a line that is too long or has a stray quote; a last line
    without an end, which may be cut off within a number. Of lines that are too long or have a stray
    quote no row is given; where it is the header, none at all.
    """
    lines = _lines(Path(path), report)
    mark = ";" if lines and ";" in lines[0] and "," not in lines[0] else ","
    rows = []
    for number, line in enumerate(lines, start=1):
        if len(line) > MOST_CHARACTERS:
            said = f"the line has {len(line)} characters, of {MOST_CHARACTERS} at most"
            report(number, "", line, said, "restore or remove the line")
        elif "\0" in line or not _ROW[mark].fullmatch(line):
            report(number, "", line, "a quote or a NUL stands where none may",
                   "take it out, or put quotes around the whole field")  # fmt: skip
        else:
            parsed = csv.reader([line], delimiter=mark, strict=True, skipinitialspace=True)
            rows.append((number, [cell.strip() for cell in next(parsed, ()) or [""]]))
    return rows if rows and rows[0][0] == 1 else []  # nothing can be said without a header


def whole_number(text: str, most: int) -> int | None:
    """A number from 0 to ``most`` (below 10^10) in decimal digits; None for any other text."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= most):
        return None
    return int(text)


def _lines(path: Path, report: Report) -> list[str]:
    text = _text(path, report)
    if not text:
        return []
    lines = [line.removeprefix(BOM) for line in _END.split(text)]
    if not lines[-1]:
        return lines[:-1]
    report(len(lines), "", lines[-1],
           "the last line has no end, so the file may be cut off within a number",
           "restore the file, or end the line if it is complete")  # fmt: skip
    return lines


def _text(path: Path, report: Report) -> str:
    """The file's text; empty where something was reported."""
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        report(0, "", path.name, f"cannot be read: {error.strerror}", "check the path")
        return ""
    lines = data.count(b"\n") + data.count(b"\r")
    if len(data) > MOST_BYTES or lines > 2 * MOST_LINES:
        report(0, "", path.name, f"is larger than {MOST_BYTES} bytes or {MOST_LINES} lines",
               "give a file of rankings or answers alone")  # fmt: skip
        return ""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        report(0, "", f"byte {error.start}", "is not UTF-8 text", "save it as a UTF-8 CSV")
        return ""
    if not text.strip(BOM + " \t\r\n"):
        report(1, "", "", "the file is empty", "give the header and at least one line below it")
        return ""
    return text
