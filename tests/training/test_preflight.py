from dataclasses import replace

import pytest
import torch
from torch import nn
from training.toy import toy_config, toy_run

from ganforge.config.models import StrictModel
from ganforge.errors import ConfigError, PluginContractError
from ganforge.interfaces.architecture import Phase
from ganforge.interfaces.objective import ObjectiveTerm
from ganforge.layers import spectral_norm
from ganforge.registry.components import resolve
from ganforge.training.preflight import (
    check_disjoint,
    check_init,
    check_phases,
    check_trainable,
    warn_of_doubts,
    warn_of_objective,
)

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


def unit_by_module():
    """UNIT's obvious form: two encoders that end in one and the same module."""
    shared = nn.Linear(2, 2)
    return {role: nn.Sequential(nn.Linear(3, 2), shared) for role in ("encoder_a", "encoder_b")}


def unit_by_parameter():
    networks = {role: nn.Linear(2, 2) for role in ("encoder_a", "encoder_b")}
    networks["encoder_b"].weight = networks["encoder_a"].weight
    return networks


def unit_by_statistics():
    norm = nn.BatchNorm1d(2, affine=False)
    return {role: nn.Sequential(norm) for role in ("encoder_a", "encoder_b")}


@pytest.mark.parametrize(
    ("networks", "what"),
    [
        (unit_by_module, "parameter: encoder_a.1.weight is encoder_b.1.weight"),
        (unit_by_parameter, "parameter: encoder_a.weight is encoder_b.weight"),
        (unit_by_statistics, "buffer: encoder_a.0.running_mean is encoder_b.0.running_mean"),
    ],
)
def test_networks_that_share_layers_are_refused_when_built(networks, what):
    run = toy_run(toy_config())
    run.architecture.networks = networks
    message = f"'toy' share a {what}.*updated twice.*as one more role, e.g. 'shared'"
    with pytest.raises(PluginContractError, match=message):
        check_disjoint(run.architecture, networks())
    run.architecture.phases = lambda objective: []
    with pytest.raises(PluginContractError, match=message):
        check_trainable(run.architecture, run.objective, run.config, 1)


def test_weights_that_one_network_ties_are_its_own_affair():
    network = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    network["b"].weight = network["a"].weight
    check_disjoint(toy_run(toy_config()).architecture, {"generator": network})


def test_phases_that_overlap_in_what_they_train_are_refused():
    run = toy_run(toy_config())
    networks = dict.fromkeys(("a", "b", "shared"), nn.Linear(1, 1))
    phases = [Phase(role, (role, "shared"), lambda nets, batch: {}) for role in "ab"]
    with pytest.raises(
        PluginContractError,
        match=r"train \['a', 'shared'\] and \['b', 'shared'\], so that \['shared'\] would have "
        r"two optimizers. Name the same networks in both",
    ):
        check_phases(run.architecture, phases, networks)


def test_init_of_an_unknown_role_is_refused_with_near_names():
    with torch.device("meta"):
        networks = {"generator": nn.Linear(1, 1)}
    config = toy_config(init={"from": "x", "roles": {"generater": "generator"}})
    with pytest.raises(ConfigError, match="init.roles: there is no network 'generater'. Did you"):
        check_init(config.init, [], networks)


def test_role_that_no_phase_trains_may_be_frozen():
    networks = {"generator": nn.Linear(1, 1), "guide": nn.Linear(1, 1)}
    phase = Phase("generator", ("generator",), lambda nets, batch: {})
    check_init(toy_config(init={"freeze": ["guide"]}).init, [phase], networks)
