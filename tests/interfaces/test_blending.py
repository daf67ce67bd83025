import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.config.models import StrictModel
from ganforge.interfaces import blending
from ganforge.interfaces.generation import Blend, GenerateRequest
from ganforge.interfaces.spec import ImageSpec
from ganforge.objectives.adversarial_pair import NoiseToImage


def request_between(t, *, space="z", is_spherical=False, labels=None, shape=None):
    """One image `t` of the way from seed 1 to seed 2."""
    label = None if labels is None else torch.eye(3)[labels]
    keys = GenerateRequest([1, 2], label=label)
    weights = torch.tensor([[1.0 - t], [t]]) if shape is None else shape
    blend = Blend((keys.take([0]), keys.take([1])), weights, space, is_spherical)
    return GenerateRequest([1], blend=blend)


def draws(*shape, stream=0):
    return [GenerateRequest([seed]).noise(*shape, stream=stream) for seed in (1, 2)]


def test_spherical_turns_at_constant_speed_and_keeps_the_norm():
    start, end = torch.tensor([[1.0, 0.0]] * 4), torch.tensor([[0.0, 1.0]] * 4)
    found = blending.spherical(start, end, torch.tensor([0.0, 1 / 3, 2 / 3, 1.0]))
    angles = torch.tensor([0.0, 30.0, 60.0, 90.0]).deg2rad()
    assert_close(found, torch.stack([angles.cos(), angles.sin()], 1))


def test_spherical_mixes_lengths_as_the_formula_says():
    found = blending.spherical(
        torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 4.0]]), torch.ones(1) / 2
    )
    assert_close(found, torch.tensor([[2.0, 4.0]]) * math.sqrt(0.5))


@pytest.mark.parametrize("end", [[1.0, 2.0], [2.0, 4.0], [-1.0, -2.0], [0.0, 0.0]])
def test_spherical_between_parallel_opposite_or_zero_rows_is_straight(end):
    start, last = torch.tensor([[1.0, 2.0]]), torch.tensor([end])
    for t in (0.0, 0.25, 1.0):
        found = blending.spherical(start, last, torch.tensor([t]))
        assert_close(found, torch.lerp(start, last, t))


def test_linear_with_weights_by_layer_takes_each_layer_from_its_own():
    ones, twos = torch.ones(2, 3, 4), torch.full((2, 3, 4), 2.0)
    first = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    found = blending.linear([ones, twos], torch.stack([first, 1 - first]))
    assert_close(found[:, :, 0], 2 - first)


def test_uniform_survives_the_way_over_normals():
    uniform = torch.tensor([0.0, 2**-24, 0.1, 0.5, 0.9, 1 - 2**-24])
    again = blending.to_uniform(blending.to_normal(uniform))
    assert_close(again, uniform, atol=2**-24, rtol=0)
    assert again.max() < 1


@pytest.mark.parametrize("is_spherical", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_blend_at_its_ends_is_the_draw_of_the_seed(is_spherical, seed):
    request = request_between(float(seed), is_spherical=is_spherical)
    assert_close(request.noise(5), draws(5)[seed])
    alone = GenerateRequest([seed + 1]).uniform(5)
    assert_close(request.uniform(5), alone, atol=1e-6, rtol=0)


def test_blend_halfway_is_the_mean_or_the_middle_of_the_arc():
    start, end = draws(6)
    assert_close(request_between(0.5).noise(6), (start + end) / 2)
    turned = request_between(0.5, is_spherical=True).noise(6)
    assert_close(turned, blending.spherical(start, end, torch.tensor([0.5])))


def test_blend_of_uniforms_is_linear_in_a_centered_latent_for_any_weights():
    request = request_between(0.5, shape=torch.tensor([[1.0], [1.0]]))
    parts = [2 * GenerateRequest([seed]).uniform(4) - 1 for seed in (1, 2)]
    assert_close(2 * request.uniform(4) - 1, parts[0] + parts[1])


def test_blend_of_uniforms_on_the_sphere_stays_uniform():
    keys = GenerateRequest(range(2))
    half = Blend((keys.take([0]), keys.take([1])), torch.full((2, 1), 0.5), "z", True)
    drawn = GenerateRequest([0], blend=half).uniform(20000)
    assert 0 <= drawn.min() and drawn.max() < 1
    assert_close(drawn.mean().item(), 0.5, atol=0.01, rtol=0)
    assert_close(drawn.var().item(), 1 / 12, atol=0.002, rtol=0)


def test_blend_detail_keeps_its_variance():
    start, end = draws(6, stream=1)
    request = request_between(0.5)
    found = request.noise(6, stream=1, is_latent=False)
    assert_close(found, (start + end) * math.sqrt(0.5))
    in_w = request_between(0.5, space="w")
    assert_close(in_w.noise(6, stream=1), found, msg="in w no draw is the latent itself")


def test_blended_applies_to_its_own_space_only():
    def mapped(part):
        return part.noise(4).exp()

    start, end = draws(4)
    in_w = request_between(0.25, space="w").blended("w", mapped)
    assert_close(in_w, 0.75 * start.exp() + 0.25 * end.exp())
    in_z = request_between(0.25).blended("w", mapped)
    assert_close(in_z, (0.75 * start + 0.25 * end).exp())


def test_random_label_follows_the_counts_and_is_uniform_without():
    request = GenerateRequest(range(3000))
    assert request.random_label(3, (1, 0, 3)).mean(0).tolist() == pytest.approx(
        [0.25, 0, 0.75], abs=0.03
    )
    assert request.random_label(3).mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
    assert torch.equal(request.random_label(3), request.random_label(3, (7, 7, 7)))


def test_blend_without_a_label_mixes_the_classes_drawn_from_its_seeds():
    drawn = [GenerateRequest([seed]).random_label(3) for seed in (1, 2)]
    assert_close(request_between(0.25).random_label(3), 0.75 * drawn[0] + 0.25 * drawn[1])


def test_take_cuts_seeds_conditions_and_blend_alike():
    keys = GenerateRequest([5, 6, 7], label=torch.eye(3))
    blend = Blend((keys, keys.take([1, 2, 0])), torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]]))
    whole = GenerateRequest([5, 6, 7], label=torch.eye(3), blend=blend)
    cut = whole.take([2, 1])
    assert cut.seeds == [7, 6]
    assert_close(cut.label, torch.eye(3)[[2, 1]])
    assert_close(cut.noise(4), whole.noise(4)[[2, 1]])


class Echo(nn.Module):
    """Shows its condition."""

    def forward(self, z, c):
        return c


class Conditional(NoiseToImage[StrictModel]):
    name, paper, z_dim, optional_inputs = "conditional", "none", 2, ("label",)

    def networks(self):
        return {}


def test_noise_to_image_without_a_label_draws_the_class_from_the_seed():
    request, nets = GenerateRequest(range(40)), {"generator": Echo()}
    spec = ImageSpec(4, 4, class_names=("a", "b", "c"))
    drawn = Conditional(StrictModel(), spec).generate(nets, request)
    assert_close(drawn, request.random_label(3))
    assert drawn.sum(0).min() > 0, "every class appears"
    without = Conditional(StrictModel(), ImageSpec(4, 4))
    assert without.generate(nets, request).shape == (40, 0)
