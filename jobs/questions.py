"""``python -m jobs.questions``: question pages for people, and their answers as rankings."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from jobs.output import redact
from jobs.output.refusals import answered
from jobs.shapes import BORDERS, LARGEST, checkpoint_folder, choice, number, writable
from jobs.sweep.config import ConfigError
from sigmaflow.jsontext import loads, read_json
from sigmaflow.seeds import MAX_SEED

FORMAT = 1
ENTRY = "sigmaflow-questions"  # of the PNG's text chunk
MOST = 100_000


@dataclass(frozen=True)
class Order:
    """Checked arguments of writing pages."""

    folder: Path
    out: Path
    count: int
    sizes: tuple[int, ...]
    catches: int
    seed: int
    first_seed: int
    psi: float
    lines: int
    resolution: int
    level: float
    border: str


def main(argv: Sequence[str] | None = None) -> int:
    """0 when all is written, 2 for bad input, 130 on Ctrl-C."""
    given = parser().parse_args(argv)
    return answered(
        lambda: _read(given, Console()) if given.read else _write(check(given), Console())
    )


def parser() -> argparse.ArgumentParser:
    """The command line; `check` takes what it parses."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.questions",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Write pages of questions about a generator's shapes, for people to order,\n"
        "and read their answers back as rankings. Pages that are there already are kept.",
        epilog="examples:\n  python -m jobs.questions mini --count 200 --out questions\n"
        "  python -m jobs.questions --read questions/answers.csv --rankings rankings.csv\n\n"
        "then: python -m jobs.launch SWEEP.yaml --set rankings.file=rankings.csv",
    )
    add = parser.add_argument
    add("checkpoint", metavar="CHECKPOINT", nargs="?", help="mini, or a checkpoint folder")
    add("--out", default="questions", metavar="FOLDER", help="of the pages (default: questions)")
    add("--count", default="100", metavar="N", help="questions (default: 100)")
    add("--sizes", default="2-6", metavar="LIST", help="shapes in a question, such as 2-6 or 3,4")
    add(
        "--catch",
        default="0",
        metavar="N",
        dest="catches",
        help="catch trials besides, in which an anchor (psi 0.25) should win (default: 0)",
    )
    add("--seed", default="0", metavar="N", help="of sizes and orders (default: 0)")
    add("--first-seed", default="20000", metavar="N", help="first seed of the shapes (20000)")
    add("--psi", default="1.0", metavar="X", help="truncation; rankings.psi of a sweep (1.0)")
    add("--lines", default="2", metavar="N", help="lines of cards on a page, 1 to 8 (default: 2)")
    add("--resolution", default="256", metavar="N", help="points an edge of the cube (256)")
    add("--level", default="10", metavar="X", help="raw sigma at the surface (10)")
    add(
        "--border",
        default="paper",
        metavar="NAME",
        help="cut off the cube before meshing: paper, released or thin (paper)",
    )
    add("--read", metavar="FILE", help="answers to read instead of writing pages")
    add("--questions", metavar="FOLDER", help="with --read: of the pages (the file's own folder)")
    add(
        "--rankings",
        default="rankings.csv",
        metavar="FILE",
        help="with --read: best and worst of every question, as the released file (rankings.csv)",
    )
    add("--orders", metavar="FILE", help="with --read: also whole orders with their annotators")
    return parser


def check(args: argparse.Namespace) -> Order:
    """Arguments as an `Order`. Raises ConfigError with all that is wrong. Loads no torch."""
    problems: list[str] = []
    if args.checkpoint is None:
        problems.append("say which generator: mini, or a checkpoint folder (or --read FILE)")
    folder = checkpoint_folder(args.checkpoint or "mini", problems)
    out = Path(os.path.abspath(args.out))
    problems += writable(args.out, out)
    sizes = _sizes(args.sizes, problems)
    whole = {
        name: _whole(option, given, low, high, problems)
        for name, option, given, low, high in (
            ("count", "--count", args.count, 1, MOST),
            ("catches", "--catch", args.catches, 0, 1000),
            ("seed", "--seed", args.seed, 0, MAX_SEED),
            ("first_seed", "--first-seed", args.first_seed, 0, MAX_SEED),
            ("lines", "--lines", args.lines, 1, 8),
            ("resolution", "--resolution", args.resolution, 16, LARGEST),
        )
    }
    psi = number("--psi", args.psi, problems, "such as 1.0")
    level = number("--level", args.level, problems, "such as 10")
    choice("--border", args.border, BORDERS, problems)
    if problems or psi is None or level is None:
        raise ConfigError(problems)
    return Order(folder, out, sizes=sizes, psi=psi, level=level, border=args.border, **whole)


def _whole(option: str, given: str, low: int, high: int, problems: list[str]) -> int:
    value = int(given) if re.fullmatch(r"\d{1,10}", given) else -1
    if not low <= value <= high:
        problems.append(f"{option} {given}: give a whole number from {low} to {high}")
    return value


def _sizes(given: str, problems: list[str]) -> tuple[int, ...]:
    found = re.fullmatch(r"([2-6])-([2-6])", given)
    listed = re.fullmatch(r"[2-6](,[2-6])*", given)
    if found and found[1] <= found[2]:
        return tuple(range(int(found[1]), int(found[2]) + 1))
    if listed:
        return tuple(int(part) for part in given.split(","))
    problems.append(f"--sizes {given}: give numbers from 2 to 6, such as 2-6 or 3,4")
    return ()


def _write(order: Order, console: Console) -> int:
    from jobs.output.shapefiles import checkpoint_digest
    from sigmaflow.atomic import write_text
    from sigmaflow.figures.pages import in_lines
    from sigmaflow.preferences.asking import answer_sheet, ask

    try:
        asked = ask(order.count, order.sizes, order.seed, order.first_seed, order.catches)
    except ValueError as error:
        raise ConfigError([f"--count {order.count}: {error}"]) from error
    packed = in_lines([len(a.seeds) for a in asked], order.lines)
    rising = iter(range(1, len(asked) + 1))  # numbers rise as people read
    pages = [[[replace(asked[at], number=next(rising)) for at in line] for line in page]
             for page in packed]  # fmt: skip
    recipe = {
        "checkpoint": checkpoint_digest(order.folder), "psi": order.psi, "level": order.level,
        "resolution": order.resolution, "border": order.border, "anchor_psi": _anchor_psi(),
    }  # fmt: skip
    cards = [_card(recipe, i, len(pages), page) for i, page in enumerate(pages, start=1)]
    order.out.mkdir(parents=True, exist_ok=True)
    _no_others(order.out, cards)
    todo = [i for i, card in enumerate(cards) if not _done(order.out, card)]
    if len(todo) < len(pages):
        console.print(f"[dim]{len(pages) - len(todo)} of {len(pages)} pages are there already[/]")
    _draw(order, [(cards[i], pages[i]) for i in todo], console)
    answers = order.out / "answers.csv"
    if not answers.exists():  # it may be filled in by now
        write_text(answers, answer_sheet([a for page in pages for line in page for a in line]))
    console.print(f"[bold]{len(pages)}[/] pages with {len(asked)} questions, and answers.csv to "
                  f"fill in: {escape(str(order.out))}", highlight=False,
                  soft_wrap=True)  # fmt: skip
    return 0


def _anchor_psi() -> float:
    from sigmaflow.preferences.rankings import ANCHOR_PSI

    return ANCHOR_PSI


def _card(recipe: dict[str, Any], at: int, pages: int, lines: Sequence[Any]) -> dict[str, Any]:
    """What is recorded of a page, beside it and within it."""
    questions = [asdict(a) for line in lines for a in line]
    for question in questions:
        question["seeds"] = list(question["seeds"])
    return {
        "format": FORMAT, "page": at, "pages": pages, "recipe": recipe,
        "lines": [len(line) for line in lines], "questions": questions,
    }  # fmt: skip


def _stem(page: int) -> str:
    return f"page-{page:04d}"


def _done(out: Path, card: dict[str, Any]) -> bool:
    file = out / f"{_stem(card['page'])}.json"
    if not (file.is_file() and file.with_suffix(".png").is_file()):
        return False
    return read_json(file) == card


def _no_others(out: Path, cards: Sequence[dict[str, Any]]) -> None:
    """Raise ConfigError where the folder holds pages of other questions."""
    mine = {_stem(card["page"]): card for card in cards}
    for file in sorted(out.glob("page-*.json")):
        try:
            same = read_json(file) == mine.get(file.stem)
        except ValueError:
            same = False
        if not same:
            raise ConfigError([
                f"--out {out}: {file.name} is of other questions (another generator, seed or"
                " setting); give another folder, or remove these"
            ])  # fmt: skip


def _draw(order: Order, todo: list[tuple[dict[str, Any], Any]], console: Console) -> None:
    from rich.progress import track

    from jobs.output.shapefiles import NotFinite, Settings
    from jobs.stages.shapes import device
    from sigmaflow.generators import CheckpointError, load_generator

    if not todo:
        return
    try:
        G = load_generator(order.folder).to(device())
    except (CheckpointError, ValueError, FileNotFoundError) as error:
        raise ConfigError([str(error)]) from error
    plain = Settings("", order.psi, order.resolution, "regular", order.level, order.border, "world")
    high = replace(plain, psi=_anchor_psi())
    for card, lines in track(todo, "pages", console=console, transient=True,
                             disable=not console.is_terminal):  # fmt: skip
        try:
            _draw_page(order.out, card, lines, G, plain, high)
        except NotFinite as error:
            raise ConfigError([f"{order.folder}: {error}"]) from error


def _draw_page(out: Path, card: dict[str, Any], lines: Any, G: Any, plain: Any, high: Any) -> None:
    import io

    from PIL.PngImagePlugin import PngInfo

    from sigmaflow.atomic import write_bytes, write_json
    from sigmaflow.figures.pages import Card, page

    shown = [
        [Card(a.number, [_mesh(G, s, high if s == a.catch else plain, out) for s in a.seeds])
         for a in line]
        for line in lines
    ]  # fmt: skip
    numbers = [q["number"] for q in card["questions"]]
    title = f"Questions {numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else "Question 1"
    picture = page(shown, title, f"page {card['page']} of {card['pages']}")
    text = PngInfo()
    text.add_text(ENTRY, json.dumps(card, sort_keys=True))
    stream = io.BytesIO()
    picture.save(stream, "PNG", pnginfo=text, optimize=True)
    write_bytes(out / f"{_stem(card['page'])}.png", stream.getvalue())
    write_json(out / f"{_stem(card['page'])}.json", card)


def _mesh(G: Any, seed: int, settings: Any, folder: Path) -> Any:
    from jobs.output.shapefiles import Shape
    from sigmaflow.fields.mesh import EmptySurface

    try:
        return Shape(G, seed, settings, folder).mesh()
    except EmptySurface:
        return None


def recorded(folder: Path) -> Iterator[Any]:
    """The questions of the pages in a folder, from the files beside them or from within them.

    Raises ConfigError where there are none, or where they cannot be read.
    """
    from sigmaflow.preferences.asking import Asked

    stems = sorted({f.stem for ext in ("json", "png") for f in folder.glob(f"page-*.{ext}")})
    if not stems:
        raise ConfigError([f"--questions {folder}: no pages there; give the folder that "
                           "python -m jobs.questions has written"])  # fmt: skip
    for stem in stems:
        file = folder / f"{stem}.json"
        try:
            if file.is_file():
                card = read_json(file)
            else:
                from sigmaflow.datasets.pictures import text_of

                file = folder / f"{stem}.png"
                card = loads(text_of(file.read_bytes(), ENTRY))
            if card["format"] != FORMAT:
                raise ValueError(f"format {card['format']}, this version reads {FORMAT}")
            for q in card["questions"]:
                catch = None if q["catch"] is None else int(q["catch"])
                seeds = tuple(int(s) for s in q["seeds"])
                if not all(0 <= s <= MAX_SEED for s in seeds):
                    raise ValueError(f"seeds {seeds} are not all from 0 to {MAX_SEED}")
                yield Asked(int(q["number"]), seeds, catch)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError([f"{file}: not a page of questions ({error})"]) from error


def _read(args: argparse.Namespace, console: Console) -> int:
    from sigmaflow.preferences.agreement import agreement
    from sigmaflow.preferences.asking import consensus, read_answers
    from sigmaflow.preferences.orders import write_orders
    from sigmaflow.preferences.rankings import RankingsError, write_rankings

    path = Path(args.read)
    problems = [p for file in (args.rankings, args.orders) if file
                for p in writable(file, Path(os.path.abspath(file)).parent)]  # fmt: skip
    if problems:
        raise ConfigError(problems)
    asked = list(recorded(Path(args.questions) if args.questions else path.parent))
    try:
        answers = read_answers(path, asked)
    except RankingsError as error:
        raise ConfigError([str(problem) for problem in error.problems]) from error
    rankings, tied = consensus(answers.orders, asked)
    if not len(rankings):
        raise ConfigError([f"{path}: in every question the best or the worst is a tie"])
    write_rankings(args.rankings, rankings)
    if args.orders:
        write_orders(args.orders, answers.orders)

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    for who, (right, n) in sorted(answers.caught.items()):
        say(f"{escape(who or 'catch trials')}: {right} of {n} anchors were seen to be best")
    people = len(set(answers.orders.annotators))
    if people > 1:
        try:
            found = agreement(answers.orders)
            kappa = "" if math.isnan(found.kappa) else f"Fleiss' kappa {found.kappa:.3f}, "
            say(f"{people} annotators, {found.pairs} pairs ordered by two or more: alike in"
                f" {found.share:.1%}, {kappa}Krippendorff's alpha {found.alpha:.3f}")  # fmt: skip
        except ValueError:
            say(f"{people} annotators, none of whom answered the same question")
    if tied:
        say(f"[yellow]{len(tied)} questions are left out, their best or worst is a tie:[/] "
            + ", ".join(map(str, tied[:10])))  # fmt: skip
    say(
        f"[bold]{len(rankings)}[/] rankings ({answers.blank} lines blank): " + escape(args.rankings)
    )
    return 0


if __name__ == "__main__":
    sys.exit(redact.guarded(main, goes_on=True))
