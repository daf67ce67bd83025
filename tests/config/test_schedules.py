"""Numbers that change along the run, wherever a pipeline file takes them."""

import copy
import math

import pydantic
import pytest
import torch
import yaml
from pydantic import ValidationError
from torch import nn
from torch.testing import assert_close
from training.toy import advance, toy_config, toy_run, weights

from ganforge.config.dump import dump_config
from ganforge.config.load import load_pipeline
from ganforge.config.models import OptimizerConfig, PipelineConfig
from ganforge.config.schedules import Schedule, ScheduleConfig, value_at
from ganforge.errors import ConfigError
from ganforge.interfaces.architecture import Phase
from ganforge.interfaces.objective import PenaltyInput
from ganforge.objectives.regularizers import R1, R2, Dragan, GradientPenalty, Orthogonal, PathLength
from ganforge.registry.components import resolve
from ganforge.training.engine.ema import Ema
from ganforge.training.engine.optimizers import build_optimizer, scale_for_lazy, set_progress

FALL = {"from": 8.0, "to": 2.0, "over_kimg": 1.0}
SCHEDULED = {
    "train": {
        "optimizer": {"betas": [0.5, {"from": 0.9, "to": 0.99, "over_kimg": 0.1}]},
        "ema_halflife_kimg": {"from": 0.0, "to": 0.1, "over_kimg": 0.1},
        "ema_rampup": None,
    },
    "loss": {"regularizers": [{"name": "r1", "gamma": {**FALL, "over_kimg": 0.05}}]},
}


@pytest.mark.parametrize(
    ("shape", "nimg", "expected"),
    [
        ("cosine", 0, 8.0),
        ("cosine", 250, 8 - 6 * (1 - math.cos(math.pi / 4)) / 2),
        ("cosine", 500, 5.0),
        ("cosine", 1000, 2.0),
        ("linear", 250, 6.5),
        ("linear", 10**9, 2.0),
    ],
)
def test_schedule_moves_from_one_value_to_the_other_and_stays(shape, nimg, expected):
    assert Schedule(**FALL, shape=shape).at(nimg) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ends", "values"),
    [
        ((4, 32), [4, 8, 16, 32, 32]),
        ((4, 30), [4, 8, 16, 30, 30]),
        ((3, 3), [3, 3, 3, 3, 3]),
        ((16, 2), [16, 8, 4, 2, 2]),
    ],
)
def test_doubling_schedule_changes_at_equal_intervals_and_ends_at_its_last_value(ends, values):
    schedule = Schedule(start=ends[0], to=ends[1], over_kimg=0.3, shape="doubling")
    assert [schedule.at(nimg) for nimg in (0, 100, 200, 300, 10**6)] == values
    assert [schedule.at(nimg) for nimg in (99, 199, 299)] == values[:3]


def test_doubling_schedule_from_zero_is_refused():
    with pytest.raises(ValidationError, match="ends above 0, got 0, 4"):
        Schedule(start=0, to=4, over_kimg=1, shape="doubling")


def test_value_at_takes_plain_numbers():
    assert value_at(0.3, 5) == 0.3


class Critic(nn.Module):
    def forward(self, img):
        return 2 * img.flatten(1).sum(1)


def penalty_input(nimg):
    generator = nn.Linear(2, 2)
    with torch.no_grad():
        generator.weight.fill_(1.0)
    img = torch.linspace(-1, 1, 8).view(2, 1, 2, 2)

    def synthesize(num):
        latents = torch.ones(num, 4, requires_grad=True)
        return (latents * 2).view(num, 1, 2, 2), latents

    return PenaltyInput(Critic(), generator, Critic(), img, lambda: img, synthesize, nimg)


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        (R1, "gamma"),
        (R2, "gamma"),
        (GradientPenalty, "weight"),
        (Dragan, "weight"),
        (PathLength, "weight"),
        (Orthogonal, "weight"),
    ],
)
def test_weight_of_a_regularizer_follows_its_schedule(kind, option):
    def at(nimg, value):
        torch.manual_seed(0)
        return kind(kind.Config(**{option: value})).penalty(penalty_input(nimg))

    for nimg, value in ((0, 8.0), (500, 5.0), (2000, 2.0)):
        assert at(0, value) > 0
        assert_close(at(nimg, FALL), at(0, value))


def test_betas_follow_their_schedule_and_are_scaled_for_lazy_phases():
    beta2 = {"from": 0.9, "to": 0.99, "over_kimg": 1.0, "shape": "linear"}
    phases = [
        Phase("main", ("d",), lambda nets, batch: {}),
        Phase("r1", ("d",), lambda nets, batch: {}, every=16, lazy=True),
    ]
    config = OptimizerConfig(betas=(0.5, beta2))
    optimizer = build_optimizer(config, [nn.Parameter(torch.zeros(1))])
    lazy = build_optimizer(scale_for_lazy(config, phases), [nn.Parameter(torch.zeros(1))])
    c = 16 / 17
    for nimg, expected, scaled in ((0, 0.9, 0.9**c), (1000, 0.99, 0.99**c), (5000, 0.99, 0.99**c)):
        for one in (optimizer, lazy):
            set_progress(one, 0.5, nimg)
        assert optimizer.param_groups[0]["betas"] == (0.5, pytest.approx(expected))
        assert lazy.param_groups[0]["betas"] == (0.5**c, pytest.approx(scaled))
        assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-4)
    set_progress(optimizer, 1.0, 500)
    assert optimizer.param_groups[0]["betas"][1] == pytest.approx(0.945)


def test_halflife_of_the_average_follows_its_schedule():
    halflife = Schedule(start=0.0, to=4.0, over_kimg=8.0, shape="linear")
    ema = Ema({"g": nn.Linear(1, 1)}, ["g"], halflife, None)
    assert ema.decay(2000, 1000) == pytest.approx(0.5)
    assert ema.decay(8000, 1000) == pytest.approx(0.5**0.25)
    assert ema.decay(0, 1000) == 0.0


def test_scheduled_run_resumes_exactly_and_is_not_the_constant_one():
    config = toy_config(**SCHEDULED)
    run, again, plain = toy_run(config), toy_run(config), toy_run(toy_config())
    advance(run, 2)
    again.restore(copy.deepcopy(run.snapshot()), "here")
    advance(run, 2)
    advance(again, 2)
    advance(plain, 4)
    found, expected, other = weights(run), weights(again), weights(plain)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    group = run.optimizers[("generator",)].param_groups[0]
    assert group["betas"][1] == pytest.approx(Schedule(start=0.9, to=0.99, over_kimg=0.1).at(48))
    for key in ("networks/discriminator.layers.1.weight", "networks/generator.layers.3.weight"):
        assert not torch.equal(found[key], other[key])


def test_scheduled_pipeline_file_reads_back_as_it_was():
    config = toy_config(**SCHEDULED)
    text = dump_config(config)
    assert PipelineConfig.model_validate(yaml.safe_load(text)) == config
    assert yaml.safe_load(text)["train"]["ema_halflife_kimg"]["from"] == 0.0


def test_r3gan_pipeline_anneals_what_the_paper_does():
    config = load_pipeline("r3gan_cifar10")
    resolve(config)
    (r1, r2), train = config.loss.regularizers, config.train
    assert R1.Config(**r1.options).gamma.at(20_000_000) == pytest.approx(0.005)
    assert r1.options == r2.options and R1.Config(**r1.options).gamma.at(0) == 0.05
    assert value_at(train.optimizer.betas[1], 0) == 0.9
    assert value_at(train.optimizer.betas[1], 20_000_000) == pytest.approx(0.99)
    assert [value_at(train.ema_halflife_kimg, n) for n in (0, 30_000_000)] == [0, 5000]


GAMMA = "loss={name: hinge, regularizers: [{name: r1, gamma: %s}]}"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (GAMMA % "-1", r"gamma.*: should be greater than 0 \(got -1\)\. \(regularizer 'r1'\)$"),
        (GAMMA % "{from: 1, to: 2}", r"gamma\.over_kimg.*: is missing; add `over_kimg: \.\.\.`"),
        (
            GAMMA % "{from: 1, to: 2, over_kmg: 3}",
            r"gamma\.over_kmg.*: unknown key 'over_kmg'\. Did you mean 'over_kimg'",
        ),
        (
            "train.optimizer={betas: [0, {from: 0.9, to: 1.0, over_kimg: 5}]}",
            r"train\.optimizer\.betas.*betas must be in \[0, 1\), got \[0\.0, \[0\.9, 1\.0\]\]",
        ),
        ("train.ema_halflife_kimg=-2", r"ema_halflife_kimg.*should be greater than or equal to 0"),
        (
            "train.ema_halflife_kimg={from: 0, to: 5, over_kimg: 5, shape: step}",
            r"ema_halflife_kimg\.shape.*'cosine', 'linear' or 'doubling'",
        ),
    ],
)
def test_schedule_that_does_not_fit_is_refused_with_its_place(override, message):
    with pytest.raises(ConfigError, match=message):
        resolve(load_pipeline("quickstart", [override]))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"name": "step"}, "name=step needs step_kimg, e.g. step_kimg: 100"),
        ({"step_kimg": 3}, "step_kimg has no effect with name=constant; use name: step"),
        ({"name": "step", "step_kimg": 3, "final_factor": 0.1}, "no effect with name=step; use"),
        ({"name": "step", "step_kimg": 3, "decay_end_kimg": 9}, "no effect with name=step; use"),
        ({"name": "step", "step_kimg": 3, "factor": 1.5}, "less than or equal to 1"),
        ({"name": "step", "step_kimg": 0}, "greater than 0"),
    ],
)
def test_schedule_of_steps_refuses_fields_that_do_not_fit(schedule, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        ScheduleConfig.model_validate(schedule)


def test_schedule_survives_a_dump():
    schedule = ScheduleConfig(name="step", step_kimg=100, factor=0.5)
    assert ScheduleConfig.model_validate(schedule.model_dump()) == schedule
