"""Optimizers are those of the papers, in torch's fastest form."""

import copy

import pytest
import torch
from torch import nn
from training.toy import toy_config, toy_run

from ganforge.config.models import OptimizerConfig, TrainConfig
from ganforge.errors import ConfigError
from ganforge.interfaces.architecture import Phase
from ganforge.training.engine.optimizers import (
    build_optimizer,
    build_optimizers,
    optimizer_config,
    scale_for_lazy,
    set_progress,
)


def test_scale_for_lazy_follows_the_papers_constants():
    # StyleGAN2, app. B: interval 16 gives c = 16/17 on the rate, and beta ** c.
    phases = [
        Phase("main", ("d",), lambda nets, batch: {}),
        Phase("r1", ("d",), lambda nets, batch: {}, every=16, lazy=True),
    ]
    scaled = scale_for_lazy(OptimizerConfig(lr=0.002, betas=(0.0, 0.99)), phases)
    assert scaled.lr == pytest.approx(0.002 * 16 / 17)
    assert scaled.betas == (0.0, pytest.approx(0.99 ** (16 / 17)))


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "sgd"])
def test_build_optimizer_matches_the_plain_form(name):
    config = OptimizerConfig(name=name, lr=0.1, weight_decay=0.01)
    fast = nn.Parameter(torch.tensor([1.0, -2.0]))
    slow = copy.deepcopy(fast)
    plain = {
        "adam": lambda p: torch.optim.Adam(p, 0.1, betas=(0.5, 0.999), weight_decay=0.01),
        "adamw": lambda p: torch.optim.AdamW(p, 0.1, betas=(0.5, 0.999), weight_decay=0.01),
        "rmsprop": lambda p: torch.optim.RMSprop(p, 0.1, weight_decay=0.01),
        "sgd": lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.01),
    }[name]([slow])
    ours = build_optimizer(config, [fast])
    for _ in range(3):
        for parameter, optimizer in ((fast, ours), (slow, plain)):
            parameter.grad = parameter.detach() ** 2
            optimizer.step()
    torch.testing.assert_close(fast, slow)


def test_build_optimizers_refuses_an_unknown_role_with_near_names():
    run = toy_run(toy_config())
    config = TrainConfig(optimizers={"discriminater": OptimizerConfig(lr=1.0)})
    with pytest.raises(ConfigError, match="Did you mean 'discriminator'"):
        build_optimizers(run.architecture, run.phases, run.nets.modules(), config)


def test_optimizer_override_keeps_fields_that_are_not_set():
    merged = OptimizerConfig(lr=1.0, betas=(0.0, 0.9)).override(None, OptimizerConfig(lr=2.0))
    assert (merged.lr, merged.betas) == (2.0, (0.0, 0.9))


def test_optimizer_config_of_a_role_wins_over_the_common_one_and_the_papers():
    run = toy_run(toy_config())
    config = TrainConfig(
        optimizer=OptimizerConfig(lr=3.0, eps=0.1),
        optimizers={"generator": OptimizerConfig(lr=2.0)},
    )
    assert run.architecture.optimizer.lr == 1e-2
    generator = optimizer_config(run.architecture, ("generator",), config)
    discriminator = optimizer_config(run.architecture, ("discriminator",), config)
    assert (generator.lr, generator.eps, generator.betas) == (2.0, 0.1, (0.5, 0.999))
    assert discriminator.lr == 3.0


def test_set_progress_scales_the_rate_it_was_built_with_and_moves_scheduled_betas():
    betas = ({"from": 0.0, "to": 0.5, "over_kimg": 1}, 0.99)
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = build_optimizer(OptimizerConfig(lr=2.0, betas=betas), [parameter])
    for factor, nimg, expected in ((0.5, 0, 0.0), (0.25, 500, 0.25), (1.0, 2000, 0.5)):
        set_progress(optimizer, factor, nimg)
        (group,) = optimizer.param_groups
        assert group["lr"] == 2.0 * factor
        assert group["betas"] == (pytest.approx(expected), 0.99)
