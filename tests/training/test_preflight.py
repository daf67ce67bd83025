from dataclasses import replace

import pytest
from torch import nn
from training.toy import toy_config, toy_run

from ganforge.config.models import StrictModel
from ganforge.errors import ConfigError
from ganforge.interfaces.objective import ObjectiveTerm
from ganforge.layers import spectral_norm
from ganforge.registry.components import resolve
from ganforge.training.preflight import warn_of_doubts, warn_of_objective

WASSERSTEIN = {"name": "wasserstein"}
CLIPPED = {"regularizers": [{"name": "weight_clipping"}]}
PENALTY = {"regularizers": [{"name": "gradient_penalty"}, {"name": "r1"}]}
DRAGAN = {"regularizers": [{"name": "dragan"}, {"name": "gradient_penalty"}]}


def warned(caplog, loss, network=None):
    warn_of_objective(resolve(toy_config(loss=loss)).objective, [network or nn.Linear(2, 2)])
    return caplog.text


@pytest.mark.parametrize(
    ("loss", "first", "second"),
    [
        ({"name": "hinge"} | CLIPPED, "weight_clipping", "hinge"),
        ({"name": "nonsaturating"} | CLIPPED, "weight_clipping", "nonsaturating"),
        (WASSERSTEIN | PENALTY, "gradient_penalty", "r1"),
        ({"name": "minimax"} | DRAGAN, "dragan", "gradient_penalty"),
    ],
)
def test_what_is_not_meant_for_each_other_is_warned_of(caplog, loss, first, second):
    assert f"'{first}' is not meant to go with '{second}'" in warned(caplog, loss)


def test_every_loss_but_wasserstein_is_warned_of_clipping(caplog):
    for name in ("minimax", "nonsaturating", "least_squares", "hinge", "relativistic"):
        caplog.clear()
        assert f"with '{name}'" in warned(caplog, {"name": name} | CLIPPED)


@pytest.mark.parametrize(
    "loss",
    [
        WASSERSTEIN | CLIPPED,
        WASSERSTEIN | {"regularizers": [{"name": "gradient_penalty"}]},
        {"name": "relativistic", "regularizers": [{"name": "r1"}, {"name": "r2"}]},
        {"name": "hinge"},
    ],
)
def test_what_papers_do_is_not_warned_of(caplog, loss):
    assert not warned(caplog, loss)


@pytest.mark.parametrize(
    "norm", [spectral_norm, nn.utils.parametrizations.spectral_norm], ids=["ganforge", "torch"]
)
def test_wasserstein_needs_a_bound_which_may_be_spectral(caplog, norm):
    assert "wasserstein has no minimum unless" in warned(caplog, WASSERSTEIN)
    caplog.clear()
    assert not warned(caplog, WASSERSTEIN, norm(nn.Linear(2, 2)))


def test_doubts_about_a_run_are_logged(caplog):
    class Doubtful(ObjectiveTerm):
        name = "doubtful"

        def caveats(self, architecture):
            return [f"does nothing for '{architecture.name}'."]

    run = toy_run(toy_config({"slots": 8}, loss=WASSERSTEIN))
    objective = replace(run.objective, terms=(Doubtful(StrictModel()),))
    warn_of_doubts(run.architecture, objective, run.config.train, run.num_slots)
    assert "has no minimum unless" in caplog.text
    assert "loss.terms: 'doubtful' does nothing for 'toy'." in caplog.text
    assert "Each slot has 2 images, few for BatchNorm" in caplog.text


@pytest.mark.parametrize(
    ("loss", "augment", "is_refused"),
    [
        (WASSERSTEIN, {"name": "ada"}, True),
        ({"name": "relativistic"}, {"name": "ada"}, True),
        ({"name": "least_squares"}, {"name": "ada"}, True),
        ({"name": "least_squares", "a": -1.0, "b": 1.0}, {"name": "ada"}, False),
        ({"name": "relativistic"}, {"name": "ada", "p": 0.3}, False),
        (WASSERSTEIN, {"name": "diffaugment"}, False),
        ({"name": "hinge"}, {"name": "ada"}, False),
    ],
)
def test_adaptive_augmentation_needs_a_loss_whose_logit_sign_is_class(loss, augment, is_refused):
    config = toy_config(loss=loss, augment=augment)
    if is_refused:
        with pytest.raises(ConfigError, match="augment.name=ada .* loss.name=.* Fix the strength"):
            toy_run(config)
    else:
        toy_run(config)
