"""What users and files name is printed as it stands: in LaTeX, in the terminal, on one line."""

import io
import re
import shutil
import subprocess

import pandas as pd
import pytest
from rich.console import Console

from cluster.profile import SlurmProfile
from jobs.output.show import _plain
from jobs.output.tables import escape, tabular

NASTY = ["50% of lr", "a & b", "#1", "$x$", "{", "}", "~", "^2", "\\input{/etc/passwd}", "a_b",
         "[3] first", "*", "<a>", "two\nlines", "tab\there", "\\\\", "%", "-1"]  # fmt: skip


def test_every_special_character_is_escaped():
    assert escape("50% & #1 $x_2$ {~^}") == (
        r"50\% \& \#1 \$x\_2\$ \{\textasciitilde{}\textasciicircum{}\}"
    )
    assert escape("\\input{x}") == r"\textbackslash{}input\{x\}"
    assert escape("[3]") == "{[}3]" and escape("0.5 [0.4, 0.6]") == "0.5 [0.4, 0.6]"
    assert escape("two\nlines\x1b[31m") == "two lines [31m" and escape("<") == r"\textless{}"
    for text in NASTY:
        bare = re.sub(r"\\text[a-z]+\{\}|\\[&%$#_{}]|^\{[\[*]\}", "", escape(text))
        assert not set(bare) & set("\\&%$#_{}~^\n"), (text, bare)


def test_rows_and_captions_keep_their_numbers():
    frame = pd.DataFrame({"row_name": NASTY, "50%": range(len(NASTY))})
    text = tabular(frame, "FID of fid_mini at 95% & more")
    assert "\\caption{FID of fid\\_mini at 95\\% \\& more}" in text
    assert text.count(" \\\\\n") == len(NASTY) + 1
    assert all(re.search(rf"(?<!\\)& {i} \\\\", text) for i in range(len(NASTY)))


def test_latex_sets_it(tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    frame = pd.DataFrame({"row_name": NASTY, "50%": NASTY})
    page = "\\documentclass{article}\n\\begin{document}\n" + tabular(frame, " ".join(NASTY))
    (tmp_path / "t.tex").write_text(page + "\\end{document}\n")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "t.tex"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("text", ["[/]", "\\[/]", "[red]x", "a\\", "[link=x]y[/link]", "[[bold]]"])
def test_markup_is_printed_as_it_stands(text):
    stream = io.StringIO()
    Console(file=stream, width=100).print(f"[bold]{_plain(text)}[/] end", highlight=False)
    assert stream.getvalue() == f"{text} end\n"


@pytest.mark.parametrize("given,minutes", [
    ("4:00:00", 240), (240, 240), ("240", 240), ("1-02:30:00", 1590), ("1-02:30", 1590),
    ("00:00:30", 1), ("0:30:00", 30),
])  # fmt: skip
def test_times_are_read_as_sbatch_reads_them(given, minutes):
    assert SlurmProfile(time=given).time == minutes


@pytest.mark.parametrize("given", ["30:00", True, "1:60:00", "1:00:60", "1-24:00", "4h", "", 0])
def test_times_of_two_meanings_are_refused(given):
    with pytest.raises(ValueError, match="time"):
        SlurmProfile(time=given)


def test_a_time_in_a_profile_needs_no_quotes(tmp_path):
    from cluster.profile import KINDS
    from jobs.sweep.config import ConfigError, load_kind

    path = tmp_path / "site.yaml"
    path.write_text("kind: slurm_workers\ntime: 4:00:00\n")
    assert load_kind(path, KINDS).time == 240
    for text in ("yes", "30:00"):
        path.write_text(f"kind: slurm_workers\ntime: {text}\n")
        with pytest.raises(ConfigError, match="site.yaml:2: time: .*give minutes"):
            load_kind(path, KINDS)
