"""The averaged networks follow the live ones by their half-life."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from training.toy import advance, toy_config, toy_run

from ganforge.config.schedules import Schedule
from ganforge.training.engine.ema import Ema


def test_ema_halves_the_distance_in_one_halflife():
    live = nn.Linear(1, 1, bias=False)
    live.weight.data.fill_(0.0)
    ema = Ema({"generator": live}, ["generator"], halflife_kimg=1.0, rampup=None)
    live.weight.data.fill_(1.0)
    for step in range(10):
        ema.update((step + 1) * 100, 100)
    torch.testing.assert_close(ema.networks["generator"].weight.data, torch.tensor([[0.5]]))


def test_ema_rampup_shortens_the_halflife_to_a_part_of_the_progress():
    ema = Ema({"g": nn.Linear(1, 1)}, ["g"], halflife_kimg=10.0, rampup=0.05)
    assert ema.decay(nimg=20_000, batch_size=1000) == pytest.approx(0.5)  # 0.05 * 20k = 1000
    assert ema.decay(nimg=10**9, batch_size=1000) == pytest.approx(0.5**0.1)


def test_ema_copies_buffers_and_zero_halflife_copies_all():
    live = nn.BatchNorm1d(2)
    ema = Ema({"g": live}, ["g"], halflife_kimg=0.0, rampup=None)
    live.running_mean.fill_(3.0)
    live.weight.data.fill_(2.0)
    ema.update(64, 64)
    averaged = ema.networks["g"]
    assert torch.equal(averaged.running_mean, live.running_mean)
    torch.testing.assert_close(averaged.weight.data, live.weight.data)
    assert not averaged.training and not averaged.weight.requires_grad


def test_ema_averages_batch_statistics_and_copies_other_buffers():
    live = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    live[1].register_buffer("vector", torch.zeros(2))
    ema = Ema({"g": live}, ["g"], halflife_kimg=1.0, rampup=None)
    live[0].running_mean.fill_(8.0)
    live[0].running_var.fill_(3.0)
    live[0].weight.data.fill_(5.0)
    live[0].num_batches_tracked.fill_(7)
    live[1].vector.fill_(4.0)
    ema.update(1000, 1000)  # one half-life
    averaged = ema.networks["g"]
    assert_close(averaged[0].running_mean, torch.full((2,), 4.0))
    assert_close(averaged[0].running_var, torch.full((2,), 2.0))
    assert_close(averaged[0].weight.data, torch.full((2,), 3.0))
    assert averaged[0].num_batches_tracked == 7
    assert torch.equal(averaged[1].vector, live[1].vector)


def test_ema_of_the_toy_follows_its_statistics_without_a_lag_at_first():
    run = toy_run(toy_config({"ema_halflife_kimg": 0}))
    advance(run, 1)
    live, averaged = run.nets.eager("generator"), run.ema.networks["generator"]
    assert torch.equal(live.layers[1].running_mean, averaged.layers[1].running_mean)


def test_ema_halflife_follows_a_schedule():
    schedule = Schedule.model_validate({"from": 1.0, "to": 2.0, "over_kimg": 100})
    ema = Ema({"g": nn.Linear(1, 1)}, ["g"], halflife_kimg=schedule, rampup=None)
    assert ema.decay(nimg=0, batch_size=1000) == pytest.approx(0.5)
    assert ema.decay(nimg=100_000, batch_size=1000) == pytest.approx(0.5**0.5)


def test_ema_restart_takes_the_live_weights_and_buffers():
    live = nn.BatchNorm1d(2)
    ema = Ema({"g": live}, ["g"], halflife_kimg=10.0, rampup=None)
    with torch.no_grad():
        for tensor in live.state_dict().values():
            tensor.fill_(3)
    ema.restart()
    assert_close(ema.networks["g"].state_dict(), live.state_dict())
