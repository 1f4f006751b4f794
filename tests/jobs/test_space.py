"""What a search section may say, without Optuna; and the sweeps that ship."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from jobs.sweep.config import ConfigError, load
from jobs.sweep.graph import SweepGraph
from jobs.sweep.kinds import SweepConfig
from jobs.sweep.outside import NO_FILES
from jobs.sweep.sections import FinetuneSection, RewardSection
from jobs.sweep.settings import apply, check_values
from jobs.sweep.space import FIELDS, SearchSection
from sigmaflow.finetune.config import PAPER, RELEASED
from sweeps import SCALES, launch, write_sweep

SWEEPS = Path(__file__).resolve().parents[2] / "sweeps"
RANGE = {"low": 0.0, "high": 10.0}


def section(space, **more):
    return SearchSection.model_validate({"trials": 2, "space": space, **more})


@pytest.mark.parametrize(
    "said, space, more",
    [
        ("search.sampler|'tpe'", {"lambda_r": RANGE}, {"sampler": "cmaes"}),
        ("space.lamda_c .* did you mean lambda_c", {"lamda_c": RANGE}, {}),
        ("space.reward.trian.lr .* did you mean reward.train.lr", {"reward.trian.lr": RANGE}, {}),
        ("space.reward.heldout_seed is no setting", {"reward.heldout_seed": RANGE}, {}),
        ("low 3.0 must be below high 3.0", {"lambda_r": {"low": 3, "high": 3}}, {}),
        ("above 0 on a log scale", {"lambda_r": {**RANGE, "log": True}}, {}),
        ("give choices, or low and high", {"lambda_r": {**RANGE, "choices": [1]}}, {}),
        ("repeat a value", {"lambda_r": {"choices": [1, 2, 1]}}, {}),
        ("choices are empty", {"lambda_r": {"choices": []}}, {}),
        ("step goes with neither", {"lambda_c": {"low": 1, "high": 4, "log": True, "step": 1}}, {}),
        ("whole steps of 3", {"lambda_r": {**RANGE, "step": 3}}, {}),
        ("space.batch: 4.5 must be a whole number", {"batch": {"low": 4.5, "high": 8}}, {}),
        ("space.noise_mode is no number", {"noise_mode": RANGE}, {}),
        ("two ways to say the clamp", {"clamp": RANGE, "clamp.low": RANGE}, {}),
        ("trials is missing", {"lambda_r": RANGE}, {"trials": None}),
        ("is of the sampler nsga2", {"lambda_r": RANGE}, {"population": 4}),
        ("steps is of the samplers grid", {"lambda_r": {**RANGE, "steps": 3}}, {}),
        ("lambda_r has no end of values", {"lambda_r": RANGE}, {"sampler": "grid"}),
        ("trials = 2, but the grid has 1", {"lambda_r": {"choices": [1]}}, {"sampler": "grid"}),
        ("the grid has 1000000 points", {"lambda_r": {**RANGE, "steps": 1000},
                                         "lambda_c": {**RANGE, "steps": 1000}},
         {"sampler": "grid"}),
        ("first.0..lambda_r = 4.0 is no point", {"lambda_r": {**RANGE, "steps": 3}},
         {"sampler": "grid", "first": [{"lambda_r": 4}]}),
        ("crossed is of the sampler ablation, and sampler is grid", {"lambda_r": {"choices": [1]}},
         {"sampler": "grid", "crossed": ["lambda_r"]}),
        ("crossed: sed is not searched; did you mean seed", {"seed": {"choices": [1, 2]}},
         {"sampler": "ablation", "crossed": ["sed"]}),
        ("lambda_r has no end of values", {"lambda_r": RANGE}, {"sampler": "ablation"}),
        ("begins with the first value of each", {"seed": {"choices": [1, 2]}},
         {"sampler": "ablation", "first": [{"seed": 2}]}),
        ("trials = 4, but the ablation has 3", {"seed": {"choices": [1, 2, 3]}},
         {"sampler": "ablation", "trials": 4}),
        ("constraints.fdi .* did you mean fid", {"lambda_r": RANGE},
         {"constraints": {"fdi": {"max": 1}}}),
        ("give min, max or both", {"lambda_r": RANGE}, {"constraints": {"fid": {}}}),
        ("min 3.0 must not be above", {"lambda_r": RANGE},
         {"constraints": {"fid": {"min": 3, "max": 2}}}),
        ("first.0..lambda_r = 11 lies outside", {"lambda_r": RANGE}, {"first": [{"lambda_r": 11}]}),
        ("first.0..lambda_r = True must be a number", {"lambda_r": RANGE},
         {"first": [{"lambda_r": True}]}),
        ("first.0..noise_mode = loud is none of", {"noise_mode": {"choices": ["const", "none"]}},
         {"first": [{"noise_mode": "loud"}]}),
        ("first.0. must give exactly", {"lambda_r": RANGE}, {"first": [{"lambda_c": 1}]}),
    ],
)  # fmt: skip
def test_a_bad_search_is_told_why(said, space, more):
    with pytest.raises(ValidationError, match=re.compile(said, re.S)):
        section(space, **more)


@pytest.mark.parametrize(
    "said, space",
    [
        ("no trial can have noise_mode = loud", {"noise_mode": {"choices": ["const", "loud"]}}),
        ("no trial can have kimg = 0.0", {"kimg": {"low": 0, "high": 2}}),
        ("no trial can have clamp = 0.0", {"clamp": {"low": 0, "high": 2}}),
        ("no trial can have clamp = wide", {"clamp": {"choices": ["wide"]}}),
        ("no trial can have clamp = .'deviation'", {"clamp": {"choices": [{"deviation": 1}]}}),
        ("low 12.0 must be below high 10", {"clamp.low": {"choices": [-1, 12]}}),
        ("low and high, or deviations", {"clamp.high": {"low": 1, "high": 2}}),
        ("levels halve the slab", {"reward.f_maps": {"choices": [[8] * 9]}}),
    ],
)
def test_values_that_no_trial_could_have(said, space):
    search = section(space)
    clamp = {"low": None, "high": None, "deviations": 1.5} if "clamp.high" in space else {}
    reward = RewardSection()

    def fits(one):
        one.network(SweepConfig.model_fields["slab"].default.grid(), "", 1.0)

    with pytest.raises(ValueError, match=said):
        check_values(search, FinetuneSection(clamp=clamp), reward, fits)


def test_it_is_said_before_any_work_with_the_place(tmp_path, tiny_checkpoint, tiny_images, capsys):
    for search, *said in (
        ({"trials": 2, "sampler": "tpee", "space": {"lambda_r": RANGE}},
         "search.sampler", "tpee", 'did you mean "tpe"'),
        ({"sampler": "grid", "space": {"lambda_r": RANGE}}, "search", "no end of values"),
        ({"trials": 2, "space": {"aug": {"choices": ["none", "adda"]}}}, "search.space", "adda"),
    ):  # fmt: skip
        sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images, search=search)
        code, _ = launch(sweep, tmp_path / "runs")
        error = capsys.readouterr().err
        assert code == 2 and all(word in error for word in said), error
        assert f"{sweep}:" in error and not (tmp_path / "runs").exists()


def test_whole_numbers_words_and_truths_keep_their_type():
    search = section(
        {"batch": {"low": 4, "high": 16, "step": 4}, "lambda_r": {"choices": [1, 10]},
         "noise_mode": {"choices": ["const", "none"]}, "reward.train.mirror":
         {"choices": [True, False]}, "lambda_c": {"low": 0.1, "high": 1, "log": True}},
        first=[{"lambda_c": 1, "batch": 8.0, "lambda_r": 10, "noise_mode": "none",
                "reward.train.mirror": False}],
    )  # fmt: skip
    assert repr(search.known()) == repr([
        {"batch": 8, "lambda_r": 10.0, "noise_mode": "none", "reward.train.mirror": False,
         "lambda_c": 1.0}
    ])  # fmt: skip
    entries = search.entries()
    assert entries["batch"] == {"low": 4.0, "high": 16.0, "log": False, "step": 4.0, "int": True}
    assert entries["lambda_c"] == {"low": 0.1, "high": 1.0, "log": True}
    assert "int" not in entries["lambda_r"] and search.middle()["batch"] == 10
    assert SearchSection.model_validate(search.model_dump(mode="json")) == search


def test_a_grid_is_nested_loops_after_the_first():
    search = SearchSection.model_validate({
        "sampler": "grid", "first": [{"lambda_r": 10, "batch": 6}],
        "space": {"lambda_r": {"choices": [1, 10]}, "batch": {"low": 4, "high": 6}},
    })  # fmt: skip
    assert search.trials == 6
    pairs = [(p["lambda_r"], p["batch"]) for p in search.known()]
    assert pairs == [(10.0, 6), (1.0, 4), (1.0, 5), (1.0, 6), (10.0, 4), (10.0, 5)]
    steps = section(
        {"lambda_c": {"low": 0.001, "high": 1, "log": True, "steps": 4}}, sampler="grid", trials=3
    )
    assert [p["lambda_c"] for p in steps.known()] == [0.001, 0.01, 0.1, 1.0]


def test_an_ablation_changes_one_setting_at_a_time():
    search = section(
        {"seed": {"choices": [0, 1]}, "lazy_gain": {"choices": [False, True]},
         "micro_batch": {"choices": [1, 2, "auto"]}},
        sampler="ablation", trials=None, crossed=["seed"],
    )  # fmt: skip
    assert search.base() == {"lazy_gain": False, "micro_batch": 1}
    assert [tuple(p.values()) for p in search.known()] == [
        (seed, gain, size)
        for gain, size in ((False, 1), (True, 1), (False, 2), (False, "auto"))
        for seed in (0, 1)
    ]
    assert search.trials == 8 and list(search.known()[0]) == list(search.space)
    assert section({"seed": {"choices": [0]}}).base() is None


def test_settings_are_put_where_they_belong():
    tuned, net = apply({"clamp": 3.0, "lambda_r": 2.0, "reward.train.lr": 0.5,
                        "reward.f_maps": [8, 16]}, FinetuneSection(), RewardSection())  # fmt: skip
    assert (tuned.clamp.low, tuned.clamp.high, tuned.clamp.deviations) == (-3.0, 3.0, None)
    assert (tuned.lambda_r, net.train.lr, net.f_maps) == (2.0, 0.5, (8, 16))
    tuned, net = apply({"clamp.deviations": 2.0}, FinetuneSection(), RewardSection())
    assert tuned.clamp.model_dump() == {"low": None, "high": None, "deviations": 2.0}
    assert net == RewardSection()
    tuned, _ = apply({"clamp": {"deviations": 0.5}}, FinetuneSection(), RewardSection())
    assert tuned.clamp.model_dump() == {"low": None, "high": None, "deviations": 0.5}
    tuned, _ = apply({"clamp.low": -1.0, "clamp.high": 4.0}, FinetuneSection(), RewardSection())
    assert (tuned.clamp.low, tuned.clamp.high) == (-1.0, 4.0)
    assert {"clamp.deviations", "reward.train.mirror", "lambda_r"} <= set(FIELDS)
    assert not {"heldout_seed", "clamp_low", "reward.train.seed", "tick_seeds"} & set(FIELDS)


def test_trials_of_equal_reward_share_it(tmp_path, tiny_checkpoint, tiny_images):
    search = {"trials": 4, "space": {"lambda_r": RANGE, "reward.train.lr": {"low": 0.1, "high": 1}}}
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images, search=search)
    graph = SweepGraph(load(sweep, SweepConfig, scales=SCALES))
    a, b, c = (
        graph.trial(n, {"lambda_r": r, "reward.train.lr": lr})
        for n, (r, lr) in enumerate([(1.0, 0.1), (2.0, 0.1), (1.0, 0.2)])
    )
    assert a.reward == b.reward != c.reward and a.start == b.start != c.start
    assert graph.reward not in (a.reward, c.reward) and a.finetune != b.finetune
    lr = graph.config.reward.train.lr
    assert graph.trial(3, {"lambda_r": 1.0, "reward.train.lr": lr}).reward == graph.reward
    assert set(graph.tables([a, b, c], [0]).inputs) > {"starts", "rewards"}


# ---------------------------------------------------------------------- the sweeps that ship

CLAMPS = [10.0, {"deviations": 1.5}, {"deviations": 0.5}, {"deviations": 3.0}, 1000.0]
PAIRS = [(10.0, 0.01), (0.0, 0.01), (10.0, 0.1), (1.0, 0.01), (1.0, 0.1), (0.1, 0.01), (0.1, 0.1),
         (0.0, 0.1)]  # fmt: skip


@pytest.mark.parametrize("scale", ["mini", "paper"])
def test_the_shipped_grids_have_the_papers_settings_first(scale):
    def trials(name):
        config = load(SWEEPS / f"{name}.yaml", SweepConfig, scale, context=NO_FILES)
        graph = SweepGraph(config) if scale == "mini" else None
        if graph is not None:  # each is another fine-tune
            tasks = {graph.trial(n, p).finetune.key for n, p in enumerate(config.search.known())}
            assert len(tasks) == config.search.trials
        for params in config.search.known():
            apply(params, config.finetune, config.reward)
        return config.search.known()

    assert [p["clamp"] for p in trials("clamp")] == CLAMPS
    assert [tuple(p.values()) for p in trials("grid")] == PAIRS


@pytest.mark.parametrize("name", ["deviations", "deviations_control"])
def test_the_shipped_ablations_go_from_the_released_code_to_the_paper(name):
    search = load(SWEEPS / f"{name}.yaml", SweepConfig, context=NO_FILES).search
    for key in search.base():
        assert search.space[key].choices == (RELEASED[key], PAPER[key])


@pytest.mark.parametrize("name, count", [("clamp", 5), ("grid", 8), ("deviations", 18)])
def test_dry_runs_know_every_trial_of_a_grid(tmp_path, name, count):
    code, said = launch(SWEEPS / f"{name}.yaml", tmp_path / "runs", "--dry-run")
    assert code == 0 and (said.count("fine-tune ") == count or f"fine-tune x{count} " in said)
    assert "not asked" not in said and "tables and figures" in said


def test_a_sweep_of_before_is_the_same_search():
    """Its study in the journal has the name that it had, and its tasks the same keys."""
    from jobs.search.search import Search

    config = load(SWEEPS / "lambda.yaml", SweepConfig)
    s = config.search
    assert s.entries() == {
        "lambda_r": {"low": 0.0, "high": 10.0, "log": False},
        "lambda_c": {"low": 0.001, "high": 1.0, "log": True},
    }
    one = Search.__new__(Search)
    one.__dict__.update(
        space=s.entries(), seed=0, parallelism=2, enqueue=s.known(), startup=10, sampler="tpe",
        population=16, limits={}, objectives={"gain": "maximize", "fid_mini": "minimize"},
    )  # fmt: skip
    assert one._name() == "sweep-617545a352a3"
    with pytest.raises(ConfigError):
        load(SWEEPS / "lambda.yaml", SweepConfig, overrides=["search.trials=0"])
