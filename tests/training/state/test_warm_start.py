"""A warm start copies what fits, says what does not, and starts everything else anew."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training.toy import advance, toy_config, toy_run, weights

from ganforge.config.init import InitConfig
from ganforge.errors import ConfigError
from ganforge.training.state import checkpoint as checkpoints
from ganforge.training.state.warm_start import match_roles, read_checkpoint, start_from


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The checkpoint of a run whose averages differ from its live weights."""
    run = toy_run(toy_config(augment={"name": "ada"}, train={"ema_rampup": None}))
    advance(run, 3)
    path = tmp_path_factory.mktemp("source") / checkpoints.directory_name(48)
    checkpoints.save(path, run.snapshot())
    return read_checkpoint(path)


def started(source, init=(), **sections):
    init = {"from": source.name, **dict(init)}
    run = toy_run(toy_config(init=init, augment={"name": "ada"}, **sections))
    start_from(run, source)
    return run


def equal(tensors, network):
    state = network.state_dict()
    return [name for name, tensor in tensors.items() if torch.equal(state[name], tensor)]


def test_warm_start_takes_averages_for_generators_and_live_weights_for_others(source):
    run = started(source)
    saved = checkpoints.load(Path(source.name)).tensors
    for role, file in (("generator", "ema"), ("discriminator", "networks")):
        for name, tensor in run.nets.eager(role).state_dict().items():
            assert torch.equal(saved[file][f"{role}.{name}"], tensor), name
    assert not torch.equal(
        saved["ema"]["generator.layers.0.weight"], saved["networks"]["generator.layers.0.weight"]
    )
    live = run.nets.eager("generator").state_dict()
    assert equal(live, run.ema.networks["generator"]) == list(live)


def test_warm_start_leaves_progress_optimizers_and_augmentation_fresh(source):
    run, fresh = started(source), toy_run(toy_config(augment={"name": "ada"}))
    snapshot, expected = run.snapshot(), fresh.snapshot()
    assert (snapshot.state["step"], snapshot.state["nimg"]) == (0, 0)
    assert snapshot.tensors["optimizers"] == {}
    for key, tensor in expected.tensors["modules"].items():
        assert torch.equal(snapshot.tensors["modules"][key], tensor), key
    advance(run, 1)


def test_warm_start_reports_what_was_copied_and_what_was_not(source, caplog):
    with caplog.at_level(logging.INFO):
        run = started(source, model={"dropout": 0.5, "extra_phase_every": 1})
    text = caplog.text
    assert f"init: starts from {source.name} (0.048 kimg)" in text
    assert "generator <- generator: 8 of 8 tensors copied (192 of 192 parameters)." in text
    assert "Fresh networks: encoder." in text
    assert (
        "differs from its source in model.dropout 0.2 -> 0.5; model.extra_phase_every 0 -> 1."
        in text
    )
    assert "fresh:" not in text and "width" not in text
    assert run.config.model.options["dropout"] == 0.5


def test_warm_start_keeps_fresh_what_changed_shape(source, caplog):
    fresh = toy_run(toy_config(model={"width": 12}, augment={"name": "ada"}))
    with caplog.at_level(logging.INFO):
        run = started(source, model={"width": 12})
    layers = run.nets.eager("generator").layers
    assert torch.equal(layers[3].bias, source.tensors["generator"]["layers.3.bias"])
    assert torch.equal(layers[0].weight, fresh.nets.eager("generator").layers[0].weight)
    assert "generator <- generator: 2 of 8 tensors copied (16 of 280 parameters)." in caplog.text
    assert "changed shape, fresh: layers.0.weight [8, 4] -> [12, 4], layers.1.weight" in caplog.text
    assert "differs from its source in model.width 8 -> 12" in caplog.text


def test_warm_start_names_what_only_one_side_has(source, caplog):
    tensors = {**source.tensors["generator"], "extra": torch.zeros(1)}
    del tensors["layers.3.bias"]
    changed = replace(source, architecture="older", tensors={"generator": tensors})
    with caplog.at_level(logging.INFO):
        started(changed)
    assert "not in the source, fresh: layers.3.bias\n" in caplog.text
    assert "not used: extra\n" in caplog.text
    assert "differs from its source in architecture older -> toy." in caplog.text


def test_warm_start_shortens_long_lists(source, caplog):
    tensors = {**source.tensors["generator"], **{f"x{i}": torch.zeros(1) for i in range(9)}}
    with caplog.at_level(logging.INFO):
        started(replace(source, tensors={"generator": tensors}))
    assert "not used: x0, x1, x2, x3, x4, x5, and 3 more" in caplog.text


def test_warm_start_of_a_role_from_one_of_another_name(source):
    renamed = replace(source, tensors={"generator_target": source.tensors["generator"]})
    run = started(renamed, {"roles": {"generator": "generator_target"}})
    assert equal(source.tensors["generator"], run.nets.eager("generator")) == list(
        source.tensors["generator"]
    )


def test_warm_start_of_some_roles_leaves_the_others_fresh(source):
    run = started(source, {"roles": {"discriminator": "discriminator"}})
    fresh = weights(toy_run(toy_config()))
    assert torch.equal(
        weights(run)["networks/generator.layers.0.weight"],
        fresh["networks/generator.layers.0.weight"],
    )


def test_warm_start_and_freeze_keep_the_source_weights_through_training(source):
    run = started(source, {"freeze": ["discriminator.layers.1"]}, train={"slots": 2})
    advance(run, 3)
    weight = run.nets.eager("discriminator").layers[1].weight
    assert torch.equal(weight, source.tensors["discriminator"]["layers.1.weight"])


def test_warm_start_that_freezes_fresh_weights_warns(source, caplog):
    caplog.set_level("INFO")
    started(source, {"freeze": ["discriminator.layers.1"]})
    assert "Frozen: discriminator.layers.1." in caplog.text
    assert "random initial values" not in caplog.text
    roles = {"generator": "generator"}
    started(source, {"roles": roles, "freeze": ["discriminator.layers.1"]})
    assert "random initial values" in caplog.text and "discriminator.layers.1.weight" in caplog.text


@pytest.mark.parametrize(
    ("init", "tensors", "message"),
    [
        (
            {"roles": {"generator": "generater"}},
            None,
            "init.roles: .* has no network 'generater'. Did you mean 'generator'",
        ),
        (
            {},
            {"critic": {}},
            r"has the networks critic; this run has discriminator, generator.*"
            r"init.roles={generator: critic}",
        ),
        (
            {"roles": {"generator": "discriminator"}},
            {"discriminator": {"layers.1.weight": torch.zeros(8, 16)}},
            "nothing in 'discriminator' of .* fits 'generator'.*layers.1.weight .8, 16. -> .8.*"
            "Use the architecture, options and image size of the source .toy, 4x4; default options",
        ),
        (
            {},
            {"generator": {"conv.weight": torch.zeros(1)}},
            "this run has layers.0.weight, layers.1.weight, the source has conv.weight",
        ),
    ],
)
def test_warm_start_that_cannot_match_says_what_to_do(source, init, tensors, message):
    changed = source if tensors is None else replace(source, tensors=tensors)
    with pytest.raises(ConfigError, match=message):
        started(changed, init)


def test_match_roles_looks_at_networks_on_meta_and_can_leave_shapes_open(source):
    meta = toy_run(toy_config(model={"width": 12})).architecture.meta_networks()
    only = replace(source, tensors={"generator": {"layers.0.weight": torch.zeros(8, 4)}})
    (match,) = match_roles(InitConfig(), only, meta, check_shapes=False)
    assert match.role == match.source_role == "generator"
    with pytest.raises(ConfigError, match=r"layers.0.weight \[8, 4\] -> \[12, 4\]"):
        match_roles(InitConfig(), only, meta)
