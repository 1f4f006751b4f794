"""No secret ends in a file or a line of ours."""

import io
import logging
import os
import subprocess
import sys

import pytest
import yaml
from launches import launch
from toys import COUNT

from cluster.profile import SlurmProfile, SlurmWorkersProfile
from jobs import logs, status
from jobs.launch import _arguments, main, read_sweep
from jobs.output import redact
from jobs.store.ledger import Ledger
from jobs.store.stage import Stage, Task
from jobs.sweep.config import ConfigError
from jobs.track import ingest, provenance
from sweeps import write_sweep

SECRET, PASSWORD = 'hunter2-öäü/"quoted"', "pass+word%20here"
LEAK = Stage("leak", 1, "test_redact:leak", torch=False)


def leak(ctx):
    """A stage whose error tells all it knows."""
    ctx.note(f"logging in with {os.environ['LAB_TOKEN']}")
    raise ValueError(
        f"401 for {os.environ['LAB_TOKEN']} at http://me:{os.environ['DB_PASSWORD']}@host/x, "
        f"{os.environ['LAB_TOKEN']!r}"
    )


@pytest.fixture(autouse=True)
def planted(monkeypatch):
    monkeypatch.setenv("LAB_TOKEN", SECRET)
    monkeypatch.setenv("DB_PASSWORD", PASSWORD)


def holds(data: bytes) -> list[str]:
    """Planted secrets in some bytes, in any form."""
    forms = [SECRET, PASSWORD, "hunter2", repr(SECRET)[1:-1], "word%20here"]
    return [form for form in forms if form.encode() in data]


def clean(folder):
    found = {str(p): holds(p.read_bytes()) for p in folder.rglob("*") if p.is_file()}
    assert found, "nothing was written"
    return {name: forms for name, forms in found.items() if forms}


@pytest.mark.parametrize(
    "name", ["TOKEN", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "db_password", "APIKEY", "X_API_KEY",
             "WANDB_API_KEYS", "MLFLOW_TRACKING_PASSWORD", "SIGMAFLOW_WEBHOOK", "SLACK_WEBHOOK_URL",
             "PGPASSWORD", "TOKEN2", "SLURM_JWT", "CI_JOB_JWT_V2", "GITHUB_PAT", "MYSQL_PWD",
             "AZURE_STORAGE_CONNECTION_STRING", "SQL_CONN_STR", "REDISCLI_AUTH", "SLACK_HOOK",
             "BASIC_AUTH_HEADER", "AWS_SAS", "BEARER"]
)  # fmt: skip
def test_names_that_mean_a_secret(name):
    assert redact.is_secret(name)


@pytest.mark.parametrize(
    "name", ["PATH", "PWD", "HOME", "KEYBOARD", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "HOSTNAME",
             "SSH_AUTH_SOCK", "TOKENIZERS_PARALLELISM", "PYTEST_CURRENT_TEST", "OLDPWD", "PATTERN",
             "GIT_AUTHOR_NAME", "AUTHOR", "CONDA_PATH", "XAUTHORITY", "SASL_TYPE"]
)  # fmt: skip
def test_names_that_do_not(name):
    assert not redact.is_secret(name)


def test_values_after_such_a_name_leave_a_command_line():
    said = ["--set", "site.auth=abcdef", "db_pwd=abcdef", "SLURM_JWT=abcdef", "paths=abcdef"]
    assert redact.command(said) == [
        "--set", "site.auth=***", "db_pwd=***", "SLURM_JWT=***", "paths=abcdef"
    ]  # fmt: skip


def test_every_form_of_a_value_goes():
    import json
    from urllib.parse import quote

    for form in (
        SECRET,
        repr(SECRET),
        json.dumps(SECRET),
        quote(SECRET),
        quote(SECRET, safe=""),
        json.dumps(SECRET, ensure_ascii=False),
    ):
        assert not holds(redact.text(f"a {form} b").encode()), form
        assert redact.text(f"a {form} b").startswith("a ")
    assert redact.text("see postgres://me:pw@host/db and http://x/y@z") == (
        "see postgres://***@host/db and http://x/y@z"
    )
    assert redact.text("nothing here") == "nothing here"


def test_short_values_are_left(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "1")
    assert redact.text("step 1 of 11") == "step 1 of 11"


def test_passwords_of_urls_in_any_variable_and_keys_of_many_lines(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:geheim%21x@host:5000")
    monkeypatch.setenv("SSH_KEY", "-----BEGIN-----\nabcdefgh\nijklmnop\n")
    assert redact.text("got geheim%21x and geheim!x") == "got *** and ***"
    assert redact.text("line abcdefgh ends") == "line *** ends"


def test_command_lines():
    assert redact.command(["x.yaml", "--set", "api_key=abc", f"a={SECRET}", "keys.low=1"]) == [
        "x.yaml", "--set", "api_key=***", "a=***", "keys.low=***",
    ]  # fmt: skip
    assert redact.command(["--set", "search.trials=4", "key", "--runs=x"]) == [
        "--set", "search.trials=4", "key", "--runs=x",
    ]  # fmt: skip


def test_streams_and_errors(capsys, monkeypatch):
    below = io.StringIO()
    stream = redact.Stream(below)
    print(f"a {SECRET}", file=stream)
    handler = logging.StreamHandler(stream)
    handler.emit(logging.LogRecord("x", 30, "", 0, f"b {SECRET}", (), None))
    assert below.getvalue() == "a ***\nb ***\n"
    with pytest.raises(RuntimeError) as error:
        redact.shielded(int, SECRET)
    assert "ValueError: invalid literal" in str(error.value) and error.value.__context__ is None
    assert not holds(str(error.value).encode())


def test_a_run_with_planted_secrets_leaves_none(tmp_path, monkeypatch, capfd):
    """In the environment, an error, the command line; then every file and every line."""
    runs = tmp_path / "runs"
    task = Task(LEAK, {"threads": 1})
    launch(runs, "toy", task, Task(COUNT, {"threads": 1, "steps": 3}))
    with Ledger(runs, "toy2", "p", kind="sweep", scale="mini") as ledger:
        provenance.write(ledger.folder, ["x.yaml", "--set", f"token={SECRET}"], "inline")
    with pytest.raises(RuntimeError), Ledger(runs, "toy3", "p", kind="s", scale="mini"):
        raise RuntimeError(f"cannot log in with {SECRET}")
    assert ingest.main([str(runs)]) == 0
    assert logs.main(["toy", "--runs", str(runs)]) == 0
    assert status.main(["--runs", str(runs)]) == 0
    said = capfd.readouterr()
    assert "401 for ***" in said.out and not holds((said.out + said.err).encode())
    assert clean(runs) == {}


def test_a_whole_sweep_with_planted_secrets_leaves_none(tiny_sweep, runs, monkeypatch, capfd):
    """A stage that fails with them, a server whose address holds one and that is away."""

    def tells(ctx):
        raise RuntimeError(f"no login with {os.environ['LAB_TOKEN']} and {SECRET!r}")

    monkeypatch.setattr("jobs.stages.finetune.run_finetune", tells)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{PASSWORD}@127.0.0.1:9")
    code = main([str(tiny_sweep.sweep), "--runs", str(runs), "--on", "inline",
                 "--set", "finetune.kimg=0.008"])  # fmt: skip
    said = capfd.readouterr()
    assert code == 1 and "no login with ***" in said.out
    assert "MLflow at http://***@127.0.0.1:9" in said.out + said.err
    assert logs.main(["tiny", "--runs", str(runs)]) == 0
    more = capfd.readouterr()
    assert not holds((said.out + said.err + more.out + more.err).encode())
    assert clean(runs) == {}
    (launched,) = [
        p for p in (runs / "sweeps" / "tiny").glob("*/launch.json") if '"failed"' in p.read_text()
    ]
    assert '"track": "http://127.0.0.1:9"' in launched.read_text()


def test_the_uncaught_error_of_a_command(tmp_path):
    code = (
        "import os; from jobs.output import redact\n"
        "def main(): raise ValueError(os.environ['LAB_TOKEN'])\n"
        "redact.guarded(main)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == 1 and b"ValueError: ***" in done.stderr and not holds(done.stderr)


def test_the_diff_of_a_dirty_tree_is_redacted_and_bounded(tmp_path, monkeypatch):
    root = tmp_path / "checkout"
    (root / "jobs" / "track").mkdir(parents=True)
    for name in ("track/provenance.py", "other.py"):
        (root / "jobs" / name).write_text("a = 1\n")
    for words in (
        ("init", "-q"),
        ("add", "-A"),
        ("-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "first"),
    ):
        subprocess.run(["git", "-C", str(root), *words], check=True)
    (root / "jobs" / "other.py").write_text(f"token = {SECRET!r}\n" + "b = 2\n" * 1000)
    (root / "new.py").write_text("x")
    made = tmp_path / "launch"
    made.mkdir()
    monkeypatch.setattr(provenance, "LONGEST", 2000)
    provenance.write(made, ["x.yaml"], "inline", root)
    diff = (made / provenance.DIFF).read_text()
    assert "+token = '***'" in diff and "more characters" in diff and len(diff) < 2100
    import json

    git = json.loads((made / provenance.PROVENANCE).read_text())["git"]
    assert git["dirty"] and git["untracked"] == ["new.py"] and len(git["commit"]) == 40
    assert any(
        line.startswith("numpy==")
        for line in (made / provenance.ENVIRONMENT).read_text().splitlines()
    )
    assert clean(made) == {}


# ---------------------------------------------------------------------- configuration


@pytest.fixture
def sweep(tmp_path, tiny_checkpoint, tiny_images):
    return write_sweep(tmp_path, tiny_checkpoint, tiny_images)


@pytest.mark.parametrize("form", ["--set", "profile", "comment"])
def test_a_value_in_a_configuration_is_refused(sweep, tmp_path, monkeypatch, form, capfd):
    monkeypatch.setenv("LAB_TOKEN", "hunter2-plain")
    profile = tmp_path / "p.yaml"
    more = {"setup": ["export LAB=hunter2-plain"]} if form == "profile" else {}
    if form == "comment":
        more = {"setup": ["export https_proxy=http://me:abcd@proxy"]}
    profile.write_text(yaml.safe_dump({"kind": "slurm", **more}))
    words = [str(sweep), "--on", str(profile), "--dry-run", "--runs", str(tmp_path / "runs")]
    if form == "--set":
        words += ["--set", "name=hunter2-plain"]
    assert main(words) == 2
    said = capfd.readouterr()
    assert "hunter2" not in said.out + said.err and "abcd" not in said.out + said.err
    assert ("LAB_TOKEN" if form != "comment" else "URL with a password") in said.err


def test_a_bad_value_is_not_repeated(sweep, tmp_path, capfd):
    assert main([str(sweep), "--set", f"search.trials={SECRET}", "--runs", str(tmp_path)]) == 2
    said = capfd.readouterr()
    assert "search.trials" in said.err and not holds((said.out + said.err).encode())


def test_a_tracking_server_with_a_password_is_refused(sweep, tmp_path, capfd):
    assert main([str(sweep), "--track", f"http://me:{PASSWORD}@there", "--runs",
                 str(tmp_path / "runs")]) == 2  # fmt: skip
    said = capfd.readouterr()
    assert "MLFLOW_TRACKING_PASSWORD" in said.err and not holds((said.out + said.err).encode())


def test_a_webhook_is_named_never_given(sweep, tmp_path, monkeypatch):
    def problems(*words):
        with pytest.raises(ConfigError) as error:
            read_sweep(_arguments([str(sweep), "--runs", str(tmp_path), "--on", "inline", *words]))
        return str(error.value)

    assert "not its value" in problems("--notify", "https://hooks.example/T0/abc")
    assert "NO_SUCH_HOOK" in problems("--notify", "NO_SUCH_HOOK")
    monkeypatch.setenv("HOOK", "http://127.0.0.1:1/")
    args = _arguments([str(sweep), "--runs", str(tmp_path), "--on", "slurm", "--notify", "HOOK"])
    assert read_sweep(args)[1].notify == "HOOK"


@pytest.mark.parametrize(
    "profile",
    [SlurmProfile(kind="slurm", notify="LAB_WEBHOOK"), SlurmWorkersProfile(kind="slurm_workers")],
)
def test_scripts_for_slurm_hold_no_secret(profile, tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    from cluster.slurm import script

    monkeypatch.setenv("LAB_WEBHOOK", f"https://hooks/{SECRET}")
    text = script(profile, "sigmaflow-x", tmp_path)
    assert "#SBATCH" in text and not holds(text.encode())
