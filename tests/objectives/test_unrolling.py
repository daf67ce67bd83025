"""Unrolled GANs: the generator's gradient through the discriminator's next steps."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close
from training.toy import SPEC, Toy, ToyConfig, advance, toy_config, toy_run, weights

from ganforge.errors import ConfigError
from ganforge.interfaces.batch import Batch, Networks
from ganforge.interfaces.objective import Objective
from ganforge.interfaces.spec import ImageSpec
from ganforge.objectives.losses import NonSaturating
from ganforge.objectives.unrolling import Unrolling, UnrollingConfig


class Linear(nn.Module):
    """D(x) = w * mean(x), with a buffer that each training pass moves."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.3))
        self.unused = nn.Parameter(torch.tensor(1.0))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, img, c):
        self.calls.add_(1)
        return self.weight * img.flatten(1).mean(1)


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.level = nn.Parameter(torch.tensor(-0.4))

    def forward(self, z, c):
        return self.level.expand(z.shape[0], 1, 4, 4)


def unrolled_terms(steps, lr, real=0.5):
    term = Unrolling(UnrollingConfig(steps=steps, lr=lr))
    objective = Objective(NonSaturating(NonSaturating.Config()), terms=(term,))
    nets = Networks({"generator": Constant(), "discriminator": Linear()})
    nets["discriminator"].requires_grad_(False)
    batch = Batch({"image": torch.full((3, 1, 4, 4), real)})
    phase = {p.name: p for p in Toy(ToyConfig(), SPEC).phases(objective)}["generator"]
    return torch.stack(list(phase.loss(nets, batch).values())).sum(), nets, batch


@pytest.mark.parametrize("steps", [1, 3])
def test_unrolled_gradient_goes_through_the_discriminators_steps(steps):
    """Against the same steps written by hand for D(x) = w x and G = g."""
    lr, real = 0.7, 0.5
    loss, nets, _ = unrolled_terms(steps, lr, real)
    (found,) = torch.autograd.grad(loss, nets["generator"].level)

    def by_hand(g, answered):
        w = torch.tensor(0.3)
        for _ in range(steps):
            # d/dw of softplus(-w real) + softplus(w g)
            slope = answered * torch.sigmoid(w * answered) - real * torch.sigmoid(-w * real)
            w = w - lr * slope
        # What it loses on generated images is a number here: the generator has its own loss.
        lost = functional.softplus(-w * real) + functional.softplus(w * g).detach()
        return functional.softplus(-w * g) - lost

    g = torch.tensor(-0.4, requires_grad=True)
    expected = by_hand(g, g)
    assert_close(loss, expected)
    assert_close(found, torch.autograd.grad(expected, g)[0])
    # It matters that the discriminator answers.
    (held,) = torch.autograd.grad(by_hand(g, g.detach()), g)
    assert (found - held).abs() > 1e-2


def test_unrolling_leaves_discriminator_and_log_alone():
    before = copy.deepcopy(Linear().state_dict())
    _, nets, batch = unrolled_terms(4, 0.5)
    for key, value in nets["discriminator"].state_dict().items():
        assert_close(value, before[key], rtol=0, atol=0)
    assert nets["discriminator"].weight.grad is None
    assert batch.reports == {} and batch.memory == {}


def test_unrolled_run_trains_both_networks_and_resumes_exactly():
    config = toy_config(loss={"terms": [{"name": "unrolling", "steps": 2, "lr": 0.1}]})
    run, plain, again = toy_run(config), toy_run(toy_config()), toy_run(config)
    advance(run, 2)
    again.restore(copy.deepcopy(run.snapshot()), "here")
    advance(run, 1)
    advance(again, 1)
    advance(plain, 3)
    found, expected, other = weights(run), weights(again), weights(plain)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    key = "networks/generator.layers.3.weight"
    assert not torch.allclose(found[key], other[key], atol=1e-5)
    assert SPEC.num_classes == 0


def test_unrolling_an_architecture_without_the_pair_is_refused():
    from ganforge_translation.cyclegan import Cyclegan

    cyclegan = Cyclegan(Cyclegan.Config(), ImageSpec(32, 32, 3, source_channels=3))
    term = Unrolling(UnrollingConfig(lr=0.1))
    objective = Objective(NonSaturating(NonSaturating.Config()), terms=(term,))
    with pytest.raises(ConfigError, match=r"loss\.terms: 'unrolling' .*'cyclegan' .*Remove it"):
        term.check(cyclegan, objective)


def test_unrolling_with_augmentation_is_refused():
    config = toy_config(loss={"terms": [{"name": "unrolling", "lr": 0.1}]}, augment="ada")
    with pytest.raises(ConfigError, match=r"'unrolling' does not go with augment\.name=ada.*Remo"):
        toy_run(config)
