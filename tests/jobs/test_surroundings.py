"""What lies around a launch: its reader, its disk, its shell, its colleagues."""

import os
import shlex
import subprocess
import sys
import time

import pytest
import toys
from launches import launch

from cluster import ray_local
from jobs import ui
from jobs.launch import _arguments, read_sweep
from jobs.output.notify import outcome
from jobs.output.partial import PARTIAL
from jobs.report import drop_partial, publish
from jobs.run import stop
from jobs.status import look
from jobs.sweep.config import ConfigError, load
from jobs.sweep.kinds import PretrainConfig
from jobs.sweep.lines import spread
from jobs.sweep.outside import NO_NETWORKS
from jobs.track.ingest import current, local_uri, warning
from sigmaflow.atomic import write_json
from sweeps import SCALES, write_sweep

# ---------------------------------------------------------------------- readers

SAY = """
import sys
from jobs.output import redact
from jobs.output.show import Show, Terminal

def main():
    if sys.argv[1] == "listing":
        for n in range(100_000):
            print(n)
        return 0
    if sys.argv[1] == "table":
        from rich.console import Console
        for n in range(2_000):
            Console().print("line" * 25)
        return 0
    if sys.argv[1] == "work":
        for n in range(2_000):
            print("line" * 25)
        open(sys.argv[2], "w").write("went on")
        return 0
    show = Show(Terminal())
    for n in range(20_000):
        show.say(f"line {n}")
    open(sys.argv[2], "w").write("went on")
    return 0

sys.exit(redact.guarded(main, goes_on=sys.argv[1] == "work"))
"""


@pytest.mark.parametrize("what", ["listing", "table", "launch", "work"])
def test_a_reader_that_goes_ends_a_listing_and_no_launch(tmp_path, what):
    process = subprocess.Popen([sys.executable, "-c", SAY, what, str(tmp_path / "end")],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read().decode()
    assert process.wait() == 0, said
    assert "Traceback" not in said and "BrokenPipe" not in said
    assert (tmp_path / "end").exists() == (what in ("launch", "work"))
    assert ("the launch goes on" in said) == (what == "launch")
    assert ("the work goes on" in said) == (what == "work")


@pytest.mark.parametrize("what, code, told", [
    ("listing", 1, "the output cannot be written (No space left on device)"),
    ("table", 1, "the output cannot be written (No space left on device)"),
    ("launch", 0, "the launch goes on"),
    ("work", 0, "the output cannot be written (No space left on device); the work goes on"),
])  # fmt: skip
def test_a_full_disk_below_the_output_is_no_traceback(tmp_path, what, code, told):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", SAY, what, str(tmp_path / "end")],
                              stdout=full, stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert (done.returncode, done.stderr) == (code, f"{done.stderr.splitlines()[0]}\n")
    assert told in done.stderr
    assert (tmp_path / "end").exists() == (what in ("launch", "work"))


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_closed_stream_is_nothing_and_no_file_takes_its_place(tmp_path, closed):
    """Without that, the first file that is opened would be written what is printed."""
    code = (f"import os, sys; from jobs.output import redact\n"
            f"def main():\n"
            f"    with open({str(tmp_path / 'file')!r}, 'w') as file:\n"
            f"        print('said'); print('said', file=sys.stderr)\n"
            f"        os.system('echo said')\n"
            f"        return 0 if file.fileno() > 2 else 3\n"
            f"sys.exit(redact.guarded(main))")  # fmt: skip
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert (tmp_path / "file").read_text() == ""


# ---------------------------------------------------------------------- names and places


def result(folder, *names):
    for kind in ("tables", "figures"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / "tables" / name).write_text(name)
    return folder


def test_the_end_of_a_sweep_removes_only_what_a_report_wrote(tmp_path):
    runs = tmp_path / "runs"
    publish(result(tmp_path / "other", "trials.parquet"), runs, "x-partial")
    (runs / "tables" / "x+partial-fid.parquet").write_text("of a report")
    write_json(runs / "tables" / PARTIAL.format("x"), {"files": [
        "tables/x+partial-fid.parquet", "tables/x+partial-gone.tex", "tables/y-trials.parquet",
        "../x+partial-outside"]})  # fmt: skip
    (runs / "tables" / "y-trials.parquet").write_text("of another")
    (tmp_path / "x+partial-outside").write_text("outside")
    publish(result(tmp_path / "own", "trials.parquet"), runs, "x")
    assert sorted(p.name for p in (runs / "tables").iterdir()) == [
        "x-partial-trials.parquet", "x-trials.parquet", "y-trials.parquet"]  # fmt: skip
    assert (tmp_path / "x+partial-outside").exists()


@pytest.mark.parametrize("text", ["[]", "{", '{"files": 3}', '{"files": [3, null]}'])
def test_a_list_that_is_damaged_removes_nothing(tmp_path, text):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / PARTIAL.format("x")).write_text(text)
    (tmp_path / "tables" / "x+partial-trials.tex").write_text("")
    drop_partial(tmp_path, "x")
    assert (tmp_path / "tables" / "x+partial-trials.tex").exists()


def test_a_pretraining_is_not_called_as_the_strongest_generator_of_a_sweep(tmp_path):
    """Both would lie in models/ and overwrite each other."""
    path = SCALES.parent / "pretrain_mini.yaml"
    for name in ("lambda-strongest", "lambda-reward.json"):
        with pytest.raises(ConfigError, match="ends as the models of another sweep"):
            load(path, PretrainConfig, None, [f"name={name}"], SCALES, NO_NETWORKS)
    load(path, PretrainConfig, None, ["name=lambda-strongest2"], SCALES, NO_NETWORKS)


def test_names_that_no_disk_takes_are_refused(tmp_path, tiny_checkpoint, tiny_images):
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images)
    with pytest.raises(ConfigError, match="at most 100 characters"):
        read_sweep(_arguments([str(sweep), "--set", f"name={'n' * 205}", "--runs",
                               str(tmp_path / "runs")]))  # fmt: skip


@pytest.mark.parametrize(("length", "short"), [(20, False), (60, True), (4, False)])
def test_a_long_temporary_folder_is_not_for_sockets(monkeypatch, length, short):
    place = "/" + "n" * (length - 1)
    monkeypatch.setattr("tempfile.gettempdir", lambda: place)
    assert ray_local.short_folder() == ("/tmp" if short else place)


@pytest.mark.parametrize(("name", "quoted"), [
    ("q?x", "q%3Fx"), ("main%2Ffix", "main%252Ffix"), ("a%20b", "a%2520b"), ("50%", "50%25"),
    ("a b", "a b"), ("it's", "it's"), ("#&;[]", "#&;[]"), ("runs", "runs"),
])  # fmt: skip
def test_the_database_lies_with_the_results_whatever_their_name(tmp_path, name, quoted):
    assert local_uri(tmp_path / name) == f"sqlite:///{tmp_path}/{quoted}/mlflow.db"


@pytest.mark.slow
def test_mlflow_leaves_no_folder_beside_results_of_an_odd_name(tmp_path):
    from jobs.track.ingest import ingest

    runs = tmp_path / "a%2Fb" / "q?x"
    runs.mkdir(parents=True)
    launch(runs, "toy", toys.counting())
    assert ingest(runs, "toy", local_uri(runs)) > 0
    assert (runs / "mlflow.db").is_file()
    assert list(tmp_path.iterdir()) == [tmp_path / "a%2Fb"]
    assert list((tmp_path / "a%2Fb").iterdir()) == [runs]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_weights_are_as_readable_as_all_else(tmp_path, umask):
    from sigmaflow.files import open_to_umask

    before = os.umask(umask)
    try:
        private = tmp_path / "private"
        os.close(os.open(private, os.O_CREAT | os.O_WRONLY, 0o600))
        open_to_umask(private)
        assert private.stat().st_mode & 0o777 == 0o666 & ~umask
        assert [p.name for p in tmp_path.iterdir()] == ["private"]
    finally:
        os.umask(before)


def test_exported_weights_can_be_read_by_others(tmp_path):
    import torch

    from sigmaflow.generators.export import write_state

    before = os.umask(0o022)
    try:
        for end in ("safetensors", "pt"):
            write_state({"x": torch.zeros(2)}, tmp_path / f"x.{end}")
            assert (tmp_path / f"x.{end}").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


# ---------------------------------------------------------------------- MLflow


def test_a_damaged_database_is_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(ui, "catch_up", lambda *_: None)
    (tmp_path / "mlflow.db").write_bytes(b"no database " * 1000)
    assert ui.main(["--runs", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "file is not a database" in said and "move it away" in said


def test_a_promise_is_made_only_where_it_is_kept(tmp_path):
    kept = warning(ConnectionError("refused"), "http://there")
    assert "the next launch or python -m jobs.report enters it" in kept and "move" not in kept
    assert "damaged: move it away, then" in warning(
        RuntimeError("(sqlite3.DatabaseError) file is not a database"), "sqlite:////x")  # fmt: skip
    (tmp_path / "ml%flow.db").mkdir()
    assert "damaged: move it away, then" in warning(
        RuntimeError("unable to open database file"), f"sqlite:///{tmp_path}/ml%25flow.db"
    )


@pytest.mark.slow
def test_a_deleted_experiment_comes_back(tmp_path):
    import mlflow

    from jobs.track.ingest import catch_up

    launch(tmp_path, "toy", toys.counting())
    uri = local_uri(tmp_path)
    catch_up(tmp_path, ["toy"], uri)
    client = mlflow.MlflowClient(uri)
    client.delete_experiment(client.get_experiment_by_name("toy").experiment_id)
    assert not current(tmp_path, "toy", uri)
    catch_up(tmp_path, ["toy"], uri)
    found = client.get_experiment_by_name("toy")
    assert found.lifecycle_stage == "active" and current(tmp_path, "toy", uri)
    whole = {run.info.run_id: run for run in client.search_runs([found.experiment_id])}
    parents = {run.data.tags["mlflow.parentRunId"] for run in whole.values()
               if "mlflow.parentRunId" in run.data.tags}  # fmt: skip
    child = next(number for number in whole if number not in parents)
    assert len(whole) > 1 and len(parents) == 1
    for number in (child, *parents):
        client.delete_run(number)
        assert not current(tmp_path, "toy", uri)
        catch_up(tmp_path, ["toy"], uri)
        again = client.search_runs([found.experiment_id])
        assert {run.info.run_id for run in again} == set(whole) and len(again) == len(whole)
        assert current(tmp_path, "toy", uri)


# ---------------------------------------------------------------------- the shell and the command


@pytest.mark.parametrize("on", ["local", "workstation", "inline", "slurm", "slurm_workers"])
def test_a_webhook_with_every_profile(tmp_path, tiny_checkpoint, tiny_images, on):
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images)
    words = [str(sweep), "--dry-run", "--on", on, "--runs", str(tmp_path / "runs"), "--notify"]
    assert read_sweep(_arguments([*words, "LAB_WEBHOOK"]))[1].notify == "LAB_WEBHOOK"
    with pytest.raises(ConfigError, match="give the name of an environment variable"):
        read_sweep(_arguments([*words, "https://there/x"]))


def test_what_slack_and_discord_read(tmp_path):
    launch(tmp_path, "toy", toys.counting())
    said = outcome(look(tmp_path, "toy"), "done", tmp_path)
    assert said["text"] == said["content"]
    assert said["text"].startswith("sigmaflow: toy done after ")


@pytest.mark.parametrize(("left", "heeded", "words"), [
    (-10, False, "lies in the past"), (10, True, "nothing is begun"), (3600, True, ""),
])  # fmt: skip
def test_the_end_of_a_batch_job(monkeypatch, caplog, left, heeded, words):
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time() + left)))
    assert (stop.deadline(60.0) is not None) == heeded
    assert words in caplog.text and bool(caplog.text) == bool(words)


@pytest.mark.parametrize("words", [
    ["x.yaml", "--set", "a=1", "b.c=2", "--dry-run"], ["--set", "a=1", "b.c=2", "x.yaml"],
    ["--set", "a=1", "--set", "b.c=2", "x.yaml"], ["--set=a=1", "b.c=2", "x.yaml"],
])  # fmt: skip
def test_set_takes_several(words):
    args = _arguments(words)
    assert (args.sweep, args.set) == ("x.yaml", ["a=1", "b.c=2"])


def test_a_file_with_a_sign_in_its_name_is_no_setting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.yaml").write_text("")
    assert spread(["--set", "a=1", "a=b.yaml"]) == ["--set", "a=1", "a=b.yaml"]
    assert spread(["a=b", "--set", "x"]) == ["a=b", "--set", "x"]
    assert SCALES.is_dir()


def test_the_end_does_not_wait_for_a_ledger_that_cannot_be_written(tmp_path, monkeypatch):
    """launch.json says "running" for ever then; the follower of MLflow hears the end otherwise."""
    from launches import SAID
    from toys import counting

    from jobs.store.ledger import Ledger
    from jobs.track import ingest

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(ingest, "AWAY", 60.0)
    with Ledger(tmp_path, "full", **SAID) as ledger:
        ledger.add(counting())
        follower = ingest.Follower(tmp_path, "full", ledger.folder, ingest.local_uri(tmp_path))
        follower.start()
        monkeypatch.setattr(Ledger, "_write", lambda self: None)  # as on a full disk
    assert "did not answer" not in follower.finish()
    assert (tmp_path / "mlflow.db").exists()
