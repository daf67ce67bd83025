"""Frozen parts stay bit for bit what they were, through every phase, projection and resume."""

import logging

import pytest
import torch
from torch import nn
from training.toy import advance, toy_config, toy_run, weights

from ganforge.errors import ConfigError
from ganforge.interfaces.architecture import Phase
from ganforge.training.engine.freeze import Frozen
from ganforge.training.state import checkpoint as checkpoints

CLIPPED = {"regularizers": [{"name": "r1", "every": 2}, {"name": "weight_clipping"}]}
PARTS = ["discriminator.layers.1", "generator.layers.1"]


def frozen_run(freeze=PARTS, **sections):
    sections = {
        "train": {"slots": 2, "optimizer": {"weight_decay": 0.1}},
        "loss": CLIPPED,
    } | sections
    return toy_run(toy_config(init={"freeze": freeze}, **sections))


def changed(before, after):
    return {key for key in before if not torch.equal(before[key], after[key])}


@pytest.mark.parametrize("slots", [1, 3])  # a third of three times x is not always x
def test_frozen_parts_do_not_move(slots):
    optimizer = {"name": "adamw", "weight_decay": 0.1}
    run = frozen_run(train={"slots": slots, "batch_size": 12, "optimizer": optimizer})
    with torch.no_grad():
        run.nets.eager("generator").layers[1].running_mean.uniform_()
    before = weights(run)
    advance(run, 5)
    after = weights(run)
    still = tuple(f"networks/{part}." for part in PARTS)
    moved = changed(before, after)
    assert not [key for key in moved if key.startswith(still)]
    # All the rest moves: layers 0 and 3 of the generator, 4 of the discriminator.
    assert {key.rsplit(".", 1)[0] for key in moved if key.startswith("networks/")} == {
        *(f"networks/generator.layers.{index}" for index in (0, 3)),
        "networks/discriminator.layers.4",
    }
    assert not [key for key in after if "optimizers/" in key and "layers.1." in key]


def test_averages_of_frozen_parts_do_not_move():
    run = frozen_run()
    before = weights(run)
    advance(run, 5)
    moved = changed(before, weights(run))
    assert "ema/generator.layers.0.weight" in moved
    assert not [key for key in moved if key.startswith("ema/generator.layers.1.")]


def test_frozen_parameters_have_no_gradient_in_any_phase():
    run, seen = frozen_run(), []
    frozen = run.nets.eager("discriminator").layers[1].weight
    for index, phase in enumerate(run.phases):

        def loss(nets, batch, loss=phase.loss):
            seen.append(frozen.requires_grad)
            return loss(nets, batch)

        run.phases[index] = Phase(**{**vars(phase), "loss": loss})
    advance(run, 2)
    assert len(seen) == 2 * 5 and not any(seen)
    assert frozen.grad is None


def test_frozen_parameter_leaves_the_rest_of_its_module_to_train():
    run = frozen_run(["generator.layers.1.weight"])
    before = weights(run)
    advance(run, 2)
    moved = changed(before, weights(run))
    assert "networks/generator.layers.1.weight" not in moved
    assert {f"networks/generator.layers.1.{n}" for n in ("bias", "running_mean")} <= moved


def test_frozen_buffers_stay_where_a_module_ignores_evaluation_mode():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, x):
            self.seen.add_(1)
            return x

    run = frozen_run()
    counting = Counting()
    run.nets.eager("discriminator").layers.append(counting)
    run.frozen = Frozen(run.nets.modules(), ["discriminator.layers.5"])
    advance(run, 2)
    assert counting.seen == 0


def test_frozen_modules_run_in_evaluation_mode_and_the_others_do_not():
    run = frozen_run(["discriminator.layers.1", "generator.layers"])
    advance(run, 1)
    generator, discriminator = map(run.nets.eager, ("generator", "discriminator"))
    assert [m.training for m in generator.layers] == [False] * 4
    assert [m.training for m in discriminator.layers] == [True, False, True, True, True]


def test_phase_with_nothing_left_to_train_is_skipped_and_said(caplog):
    with caplog.at_level(logging.INFO):
        run = frozen_run(["discriminator"])
    assert [phase.name for phase in run.phases] == ["generator"]
    assert "Skipped phases: discriminator, discriminator_r1" in caplog.text
    assert run.optimizers.keys() == {("generator",)}
    before = weights(run)
    advance(run, 2)
    assert {k.split(".")[0] for k in changed(before, weights(run))} >= {"networks/generator"}
    assert not [k for k in changed(before, weights(run)) if k.startswith("networks/discriminator")]


def test_phase_of_a_frozen_and_a_trained_network_trains_the_other():
    run = toy_run(toy_config(model={"extra_phase_every": 1}))
    phase = Phase("both", ("encoder", "generator"), lambda nets, batch: {})
    frozen = Frozen(run.nets.modules(), ["encoder"])
    assert frozen.without_idle([phase], run.nets.modules()) == [phase]
    assert frozen.covers(run.nets.eager("encoder")) and not frozen.covers(
        run.nets.eager("generator")
    )


def test_penalty_on_frozen_layers_alone_takes_no_gradient():
    run = frozen_run(["generator.layers.3"], loss={"regularizers": ["orthogonal"]})
    run.phases[-1:] = [
        Phase(
            "decay",
            ("generator",),
            lambda nets, batch: {"l2": nets["generator"].layers[3].weight.square().sum()},
        )
    ]
    advance(run, 1)


def test_frozen_weights_that_a_network_ties_are_frozen_under_either_name():
    network = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    network["b"].weight = network["a"].weight
    for name in ("a", "b"):
        assert Frozen({"g": network}, [f"g.{name}"]).covers(network)


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ("discriminator.layer.1", "Did you mean 'discriminator.layers.1'"),
        ("discriminater", "Did you mean 'discriminator'"),
        ("discriminator.layers.1.w", "Did you mean 'discriminator.layers.1"),
        ("generator.layers.2", "matches no parameter"),  # a rectifier
        ("gen", r"Give a network \(discriminator, generator\), or the path"),
        ("", "'' matches no parameter"),
    ],
)
def test_prefix_that_matches_nothing_is_refused_with_near_names(prefix, message):
    with pytest.raises(ConfigError, match=message):
        frozen_run([prefix])


def test_prefix_ends_at_a_dot():
    networks = {"g": nn.ModuleDict({"b1": nn.Linear(1, 1), "b12": nn.Linear(1, 1)})}
    assert len(Frozen(networks, ["g.b1"]).parameters) == 2


def test_freezing_everything_is_refused_before_networks_are_built():
    with pytest.raises(ConfigError, match="freezes all that is trained.*Freeze less"):
        frozen_run(["generator", "discriminator"])


def test_resume_with_frozen_parts_is_exact(tmp_path):
    whole, first = frozen_run(), frozen_run()
    advance(whole, 5)
    advance(first, 2)
    path = tmp_path / checkpoints.directory_name(32)
    checkpoints.save(path, first.snapshot())
    resumed = frozen_run()
    advance(resumed, 1)
    resumed.restore(checkpoints.load(path), str(path))
    advance(resumed, 3)
    assert not changed(weights(whole), weights(resumed))
