"""Packages that import what they offer when it is asked for."""

import importlib
import subprocess
import sys

import pytest

from sigmaflow.lazy import attach

PACKAGES = ["sigmaflow.finetune", "sigmaflow.generators"]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_there(name):
    package = importlib.import_module(name)
    assert dir(package) == sorted(package.__all__)
    for public in package.__all__:
        value = getattr(package, public)
        assert getattr(value, "__name__", public) == public and not hasattr(value, "__path__")


def test_functions_win_over_modules_of_their_package():
    """In whatever order they are asked for."""
    code = (
        "import sigmaflow.finetune.loop, sigmaflow.finetune.warm, sigmaflow.finetune as f;"
        "assert callable(f.warmstart) and callable(f.finetune)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_are_attribute_errors():
    package = importlib.import_module(PACKAGES[0])
    with pytest.raises(AttributeError, match="no attribute 'fintune'"):
        package.fintune  # noqa: B018


def test_a_name_like_its_module_is_refused(tmp_path):
    file = tmp_path / "__init__.py"
    file.write_text("if TYPE_CHECKING:\n    from .walk import walk\n")
    with pytest.raises(ValueError, match="walk would be a module and a name"):
        attach("mine", str(file))


def test_settings_need_no_torch():
    code = (
        "import sys, sigmaflow.rewards.config, sigmaflow.preferences.config,"
        " sigmaflow.finetune.config, sigmaflow.fields.grid; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_old_import_paths_still_work():
    from sigmaflow.preferences import annotator, config
    from sigmaflow.rewards import config as rewards
    from sigmaflow.rewards import model, train

    assert model.RewardConfig is rewards.RewardConfig and model.mini_config is rewards.mini_config
    assert train.TrainConfig is rewards.TrainConfig
    assert annotator.AnnotatorConfig is config.AnnotatorConfig
