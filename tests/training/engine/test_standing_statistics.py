"""Standing statistics: measured on the averaged weights, without touching the run."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from training.toy import advance, toy_config, toy_run, weights

from ganforge.config.models import StandingStatisticsConfig, StrictModel
from ganforge.errors import ConfigError
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.spec import ImageSpec
from ganforge.layers import sync_batchnorm
from ganforge.training.engine.standing_statistics import (
    check_standing_statistics,
    generating_networks,
)
from ganforge.training.tasks.pictures import run_networks, sample_images

STANDING = StandingStatisticsConfig(batches=3, batch_size=8)
FIRST = 1 << 23


class TwoNorms(nn.Module):
    """The second norm sees what the first made of the batch."""

    def __init__(self, num_classes=0):
        super().__init__()
        self.norm, self.mix = nn.BatchNorm1d(4), nn.Linear(4 + num_classes, 3)
        self.norm2, self.drop = nn.BatchNorm1d(3), nn.Dropout(0.5)

    def forward(self, z, c):
        x = self.mix(torch.cat([self.norm(z).relu(), c], 1))
        return self.drop(self.norm2(x)).tanh()[:, :, None, None]


class Draw(Architecture[StrictModel]):
    """Generates from noise, and labels if there are any."""

    name, paper, optional_inputs = "draw", "none", ("label",)

    def networks(self):
        return {"generator": TwoNorms(self.c_dim)}

    def phases(self, objective):
        return []

    def generate(self, nets, request):
        c = request.random_label(0 if request.label is None else request.label.shape[1])
        return nets["generator"](2 * request.noise(4) + 1, c)


def built(num_classes=0):
    torch.manual_seed(0)
    spec = ImageSpec(1, 1, 3, class_names=tuple(map(str, range(num_classes))))
    architecture = Draw(StrictModel(), spec)
    networks = architecture.networks()
    networks["generator"].eval()
    return architecture, networks


def cumulative(network, batches):
    """What BatchNorm itself collects in training mode: the means over all batches."""
    expected = copy.deepcopy(network)
    for norm in (expected.norm, expected.norm2):
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for z, c in batches:
            expected(z, c)
    return expected


@pytest.mark.parametrize("num_classes", [0, 3])
def test_standing_statistics_are_the_means_over_batches_of_fresh_latents(num_classes):
    architecture, networks = built(num_classes)
    found = generating_networks(architecture, networks, STANDING)["generator"]
    requests = [GenerateRequest(range(FIRST + 8 * k, FIRST + 8 * k + 8)) for k in range(3)]
    batches = [(2 * r.noise(4) + 1, r.random_label(num_classes)) for r in requests]
    expected = cumulative(networks["generator"], batches)
    for name in ("norm", "norm2"):
        for statistic in ("running_mean", "running_var"):
            wanted = getattr(getattr(expected, name), statistic)
            assert_close(getattr(getattr(found, name), statistic), wanted, msg=statistic)
    assert not found.training and not any(m._forward_pre_hooks for m in found.modules())


def test_standing_statistics_approach_those_of_the_latents():
    architecture, networks = built()
    wide = StandingStatisticsConfig(batches=20, batch_size=200)
    norm = generating_networks(architecture, networks, wide)["generator"].norm
    assert_close(norm.running_mean, torch.ones(4), atol=0.12, rtol=0)
    assert_close(norm.running_var, torch.full((4,), 4.0), atol=0.4, rtol=0)


def test_standing_statistics_leave_the_averaged_networks_alone():
    architecture, networks = built()
    before = {k: v.clone() for k, v in networks["generator"].state_dict().items()}
    found = generating_networks(architecture, networks, STANDING)["generator"]
    assert not torch.equal(found.norm.running_mean, before["norm.running_mean"])
    for key, value in networks["generator"].state_dict().items():
        assert torch.equal(value, before[key]), key
    assert generating_networks(architecture, networks, None) == networks


def test_standing_statistics_are_measured_by_one_rank_alone(monkeypatch):
    """Sample pictures are drawn on rank 0 only: a norm over ranks must not wait for the others."""
    architecture, networks = built()
    expected = generating_networks(architecture, networks, STANDING)["generator"]
    monkeypatch.setattr(sync_batchnorm, "_world_size", lambda: 2)
    joint = {"generator": sync_batchnorm.convert_sync_batchnorm(networks["generator"])}
    found = generating_networks(architecture, joint, STANDING)["generator"]
    assert_close(found.norm2.running_var, expected.norm2.running_var)


def test_standing_statistics_do_not_change_the_run():
    standing = {"standing_statistics": {"batches": 2, "batch_size": 4}}
    plain, watched = toy_run(toy_config()), toy_run(toy_config(standing))
    for _ in range(3):
        advance(plain, 1)
        advance(watched, 1)
        sample_images(watched)
    found, expected = weights(watched), weights(plain)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_standing_statistics_are_a_function_of_the_state():
    config = toy_config({"standing_statistics": {"batches": 2, "batch_size": 4}})
    run, again = toy_run(config), toy_run(config)
    advance(run, 2)
    sample_images(run)
    torch.manual_seed(77)
    again.restore(run.snapshot(), "here")
    one, other = (run_networks(r)["generator"].state_dict() for r in (run, again))
    assert all(torch.equal(one[key], other[key]) for key in one)
    running = run.ema.networks["generator"].layers[1].running_mean
    assert not torch.equal(one["layers.1.running_mean"], running)


def test_standing_statistics_are_what_sample_pictures_use():
    run = toy_run(toy_config({"sample_grid": (2, 2)}))
    advance(run, 2)
    measured = toy_run(toy_config({"sample_grid": (2, 2), "standing_statistics": {"batches": 2}}))
    measured.restore(run.snapshot(), "here")
    networks = run_networks(measured)
    expected = networks["generator"](GenerateRequest(range(4)).noise(4), torch.zeros(4, 0))
    assert_close(sample_images(measured), expected)
    assert not torch.allclose(sample_images(run), expected, atol=1e-4)


def test_standing_statistics_without_batchnorm_are_refused():
    config = toy_config({"standing_statistics": {}}, model={"batchnorm": False})
    with pytest.raises(ConfigError, match=r"train\.standing_statistics: .*'toy'.*no BatchNorm"):
        toy_run(config)


@pytest.mark.parametrize(("directions", "needs"), [(("a_to_b",), "images to tr"), ((), "captions")])
def test_standing_statistics_of_what_needs_data_are_refused(directions, needs):
    class Asks(Draw):
        inputs = ("image",) if directions else ("image", "text")

    Asks.directions = directions
    architecture = Asks(StrictModel(), ImageSpec(1, 1, 3, text_dim=4))
    networks = architecture.networks()
    with pytest.raises(ConfigError, match=f"'draw' generates from {needs}.*Remove it"):
        check_standing_statistics(architecture, networks, STANDING)
    check_standing_statistics(architecture, networks, None)
