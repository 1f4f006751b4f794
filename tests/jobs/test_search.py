import itertools
import random

import pytest

from jobs.search.search import Search

SPACE = {
    "lambda_r": {"low": 0.0, "high": 20.0},
    "lambda_c": {"low": 1e-3, "high": 1.0, "log": True},
    "backbone": {"choices": ["a", "b"]},
}
FIRST = [
    {"lambda_r": 10, "lambda_c": 0.01, "backbone": "a"},
    {"lambda_r": 0, "lambda_c": 0.01, "backbone": "a"},
]


def search(path, **changes):
    settings = dict(
        space=SPACE, seed=7, parallelism=3, enqueue=FIRST, startup=4,
        objectives={"gain": "maximize", "fid": "minimize"},
    )  # fmt: skip
    return Search(path, **{**settings, **changes})


def outcome(params):
    if params["lambda_r"] > 18:
        return None  # a failed trial
    return params["lambda_r"] - params["lambda_c"], params["lambda_r"] ** 2 + params["lambda_c"]


def drive(one, count, rng=None, stop_after=10**6, outcome=lambda params: (outcome(params),)):
    """Up to P trials at a time, finishing in an order of ``rng``'s liking."""
    flying, done = [], 0
    for number in itertools.count():
        while len(one.trials) < count and one.can_ask() and len(flying) < one.parallelism:
            flying.append((len(one.trials), one.ask(len(one.trials))))
        if not flying or done == stop_after:
            return one.trials
        number, params = flying.pop(rng.randrange(len(flying)) if rng else 0)
        one.tell(number, *outcome(params))
        done += 1


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return drive(search(tmp_path_factory.mktemp("s") / "j.log"), 12)


def test_first_trials_are_exactly_as_given_then_in_range(expected):
    assert expected[:2] == FIRST
    for params in expected[2:]:
        assert 0 <= params["lambda_r"] <= 20 and 1e-3 <= params["lambda_c"] <= 1
    assert len({p["lambda_r"] for p in expected}) == 12


def test_later_proposals_learn_from_results_and_seeds_differ(tmp_path, expected):
    other = search(tmp_path / "a.log")
    for number in range(12):
        assert other.ask(number)
        other.tell(number, (-number, number))
    assert other.trials[:6] == expected[:6] and other.trials[7:] != expected[7:]
    assert drive(search(tmp_path / "b.log", seed=8), 12)[2:] != expected[2:]


def test_parameters_come_back_from_the_journal_in_type(tmp_path):
    one = search(tmp_path / "j.log")
    first = one.ask(0)
    one.close()
    again = search(tmp_path / "j.log").ask(0)
    assert repr(first) == repr(again) == repr({**FIRST[0], "lambda_r": 10.0})


@pytest.mark.parametrize("order", range(3))
def test_the_order_of_finishing_does_not_matter(tmp_path, expected, order):
    assert drive(search(tmp_path / "j.log"), 12, random.Random(order)) == expected


def test_a_restart_goes_on_where_it_was(tmp_path, expected):
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    for stop in (0, 3, 7):
        one = search(tmp_path / "j.log")
        drive(one, 12, random.Random(1), stop_after=stop)
        one.close()
    assert drive(search(tmp_path / "j.log"), 12) == expected
    (study,) = JournalStorage(JournalFileBackend(str(tmp_path / "j.log"))).get_all_studies()
    trials = JournalStorage(JournalFileBackend(str(tmp_path / "j.log"))).get_all_trials(
        study._study_id
    )
    assert [t.params for t in trials] == expected
    assert {t.state.name for t in trials} <= {"COMPLETE", "FAIL"}


@pytest.mark.parametrize("damage", [b'{"op_code": 4, "st', b"not json\n", b'{"op_code": 999}\n'])
def test_a_damaged_journal_is_moved_aside_and_written_anew(tmp_path, expected, damage, caplog):
    path = tmp_path / "j.log"
    one = search(path)
    drive(one, 12, stop_after=5)
    one.close()
    with open(path, "ab") as file:
        file.write(damage)
    assert drive(search(path), 12) == expected


def test_a_second_driver_goes_without_the_journal(tmp_path, expected):
    holder = search(tmp_path / "j.log")
    assert drive(search(tmp_path / "j.log"), 12) == expected
    assert holder.trials == []


def test_asking_ahead_of_results_is_refused(tmp_path):
    one = search(tmp_path / "j.log")
    for number in range(3):
        one.ask(number)
    with pytest.raises(RuntimeError, match=r"results of trials \[0\]"):
        one.ask(3)
    one.tell(1, (1, 1))
    assert not one.can_ask()
    one.tell(0, None)
    assert one.can_ask() and one.ask(3) == one.ask(3)
    with pytest.raises(RuntimeError, match="before"):
        one.tell(1, (1, 2))
    with pytest.raises(ValueError, match="1 values"):
        one.tell(2, (1,))


def test_pareto(tmp_path):
    one = search(tmp_path / "j.log", parallelism=6)
    for number, values in enumerate([(1, 1), (2, 2), (1, 2), None, (2, 2), (0, 0)]):
        one.ask(number)
        one.tell(number, values)
    assert one.pareto() == [0, 1, 4, 5]


def test_a_digit_in_the_journal_is_noticed(tmp_path, expected, caplog):
    """A trial given in the file, one that was proposed; neither runs with other settings."""
    for name, before in (("first", "10.0"), ("proposed", repr(expected[4]["lambda_r"]))):
        path = tmp_path / f"{name}.log"
        one = search(path)
        drive(one, 12, stop_after=8)
        one.close()
        text = path.read_text()
        after = f"{'9' if before[0] != '9' else '8'}{before[1:]}"
        assert before in text
        path.write_text(text.replace(before, after, 1))
        caplog.clear()
        assert drive(search(path), 12) == expected
        assert "it is written anew" in caplog.text


def test_an_old_journal_without_digests_does_not_outvote_the_file(tmp_path, expected, caplog):
    import jobs.search.journal as journal

    path = tmp_path / "j.log"
    one = search(path)
    drive(one, 12, stop_after=3)
    one.close()
    path.write_text(path.read_text().replace(journal.DIGEST, "older").replace("10.0", "18.0"))
    assert drive(search(path), 12) == expected
    assert "goes on without it" in caplog.text


@pytest.mark.parametrize("fault", ["links", "folder", "read only", "long name"])
def test_a_search_needs_no_journal(tmp_path, expected, monkeypatch, fault, caplog):
    path = tmp_path / "optuna" / ("n" * 205 if fault == "long name" else "j.log")
    if fault == "folder":
        (path / "x").mkdir(parents=True)
    if fault == "read only":
        path.parent.write_text("")  # nothing can be made in it, root or not
    if fault == "links":

        def symlink(*_, **__):
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr("os.symlink", symlink)
    assert drive(search(path), 12) == expected
    assert path.is_file() == (fault != "read only")
    assert ("goes on without it" in caplog.text) == (fault == "read only")


@pytest.mark.parametrize("moment", [3, 8, 20])
def test_a_disk_that_fills_in_the_middle_ends_no_search(tmp_path, expected, monkeypatch, moment,
                                                        caplog):  # fmt: skip
    from optuna.storages.journal import JournalFileBackend

    append, calls = JournalFileBackend.append_logs, []

    def full(self, logs):
        calls.append(1)
        if len(calls) > moment:
            raise OSError(28, "No space left on device")
        append(self, logs)

    monkeypatch.setattr(JournalFileBackend, "append_logs", full)
    assert drive(search(tmp_path / "j.log"), 12) == expected
    assert "goes on without it" in caplog.text and len(calls) == moment + 1
    monkeypatch.undo()
    assert drive(search(tmp_path / "j.log"), 12) == expected
