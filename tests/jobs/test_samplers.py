"""Every sampler proposes the same whatever the order of finishing, kills and the journal."""

import random

import pytest
from test_search import drive

from jobs.search.samplers import NAMES, generations
from jobs.search.search import Search

SPACE = {
    "lambda_r": {"low": 0.0, "high": 20.0},
    "lambda_c": {"low": 1e-3, "high": 1.0, "log": True},
    "batch": {"low": 4.0, "high": 16.0, "step": 4.0, "int": True},
    "aug_p": {"low": 0.0, "high": 1.0, "step": 0.25},
    "noise_mode": {"choices": ["random", "const"]},
    "reward.train.mirror": {"choices": [True, False]},
    "reward.f_maps": {"choices": [[8, 16], [8, 16, 32]]},
    "clamp": {"choices": [10.0, {"deviations": 1.5}]},
}
FIRST = [
    {
        "lambda_r": 10.0,
        "lambda_c": 0.01,
        "batch": 16,
        "aug_p": 0.5,
        "noise_mode": "const",
        "reward.train.mirror": False,
        "reward.f_maps": [8, 16, 32],
        "clamp": {"deviations": 1.5},
    }
]
COUNT = 14


def search(path, sampler, **changes):
    settings = dict(
        space=SPACE, seed=3, parallelism=3, enqueue=FIRST, startup=4, sampler=sampler,
        population=3, objectives={"gain": "maximize", "fid": "minimize"}, limits={"fid": 1},
    )  # fmt: skip
    return Search(path, **{**settings, **changes})


def outcome(params):
    """Failed, or objectives and how far a bound is overstepped."""
    if params["lambda_r"] > 19:
        return None, None
    gain = params["lambda_r"] - params["lambda_c"] + 3 * params["reward.train.mirror"]
    fid = params["lambda_r"] ** 2 + params["batch"] + len(params["reward.f_maps"])
    return (gain, fid), {"fid max": fid - 150.0}


def run(one, rng=None, stop_after=10**6):
    return drive(one, COUNT, rng, stop_after, outcome)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samplers")
    return {name: run(search(folder / name, name)) for name in NAMES}


@pytest.mark.parametrize("sampler", NAMES)
def test_mixed_parameters_stay_in_range_and_in_type(expected, sampler):
    assert expected[sampler][0] == FIRST[0]
    for params in expected[sampler]:
        assert list(params) == list(SPACE)
        assert type(params["lambda_r"]) is float and 0 <= params["lambda_r"] <= 20
        assert type(params["batch"]) is int and params["batch"] in (4, 8, 12, 16)
        assert params["aug_p"] in (0.0, 0.25, 0.5, 0.75, 1.0)
        assert params["noise_mode"] in ("random", "const")
        assert type(params["reward.train.mirror"]) is bool
        assert params["clamp"] in (10.0, {"deviations": 1.5})
        assert params["reward.f_maps"] in ([8, 16], [8, 16, 32])
    assert len({p["lambda_r"] for p in expected[sampler]}) > COUNT // 3  # genes are inherited


@pytest.mark.parametrize("sampler", NAMES)
@pytest.mark.parametrize("order", range(2))
def test_the_order_of_finishing_does_not_matter(tmp_path, expected, sampler, order):
    one = search(tmp_path / "j.log", sampler)
    assert run(one, random.Random(order)) == expected[sampler]


@pytest.mark.parametrize("sampler", NAMES)
def test_neither_kills_nor_the_journal_matter(tmp_path, expected, sampler):
    path = tmp_path / "j.log"
    for stop in (2, 9):
        one = search(path, sampler)
        run(one, random.Random(5), stop_after=stop)
        one.close()
    path.write_bytes(path.read_bytes()[:-40])  # a torn line, as a kill leaves
    again = search(path, sampler)
    assert run(again) == expected[sampler]
    again.close()
    path.unlink()
    assert run(search(path, sampler), random.Random(6)) == expected[sampler]


def test_samplers_differ_and_all_but_random_learn(tmp_path, expected):
    assert len({repr(trials) for trials in expected.values()}) == len(NAMES)
    for name in NAMES:
        other = search(tmp_path / name, name)
        for number in range(COUNT):
            params = other.ask(number)
            other.tell(number, (-params["lambda_r"], float(number)), {"fid max": -1.0})
        assert (other.trials == expected[name]) == (name == "random")


@pytest.mark.parametrize("sampler, count", [("tpe", 40), ("gp", 16), ("nsga2", 60)])
def test_constraints_reach_the_samplers(tmp_path, sampler, count):
    """The same objectives and another bound: other proposals, and more of them within it."""
    space = {"x": {"low": 0.0, "high": 1.0}, "y": {"low": 0.0, "high": 1.0}}

    def trials(bound):
        one = search(
            tmp_path / f"{bound}",
            sampler,
            space=space,
            enqueue=[],
            parallelism=1,
            population=5,
            seed=1,
        )
        for n in range(count):
            p = one.ask(n)
            one.tell(n, (p["x"], 1 - p["x"]), {"y min": bound - p["y"]})
        return one.trials

    free, tight = trials(-1.0), trials(0.7)
    assert free != tight
    late = [sum(p["y"] >= 0.7 for p in some[count // 2 :]) for some in (free, tight)]
    assert late[1] > late[0]


def test_generations_by_hand():
    # Two of a generation must have ended well, and are seen two trials later.
    assert generations([True] * 7, 2, 2) == [0, 0, 0, 1, 1, 1, 2, 2]
    assert generations([True, False, True, True], 1, 2) == [0, 0, 0, 1, 1]
    assert generations([], 3, 2) == [0]
    assert generations([False] * 4, 1, 2) == [0] * 5


def test_the_front_is_of_feasible_trials(tmp_path):
    one = search(tmp_path / "j.log", "random", parallelism=4)
    for number, (values, over) in enumerate([((9, 1), 1.0), ((2, 2), 0.0), ((1, 1), -3.0)]):
        one.ask(number)
        one.tell(number, values, {"fid max": over, "saturation min": -1.0})
    assert one.pareto() == [1, 2]


def test_an_unknown_sampler(tmp_path):
    with pytest.raises(ValueError, match="'cmaes' must be one of tpe, gp, nsga2, random"):
        search(tmp_path / "j.log", "cmaes")
