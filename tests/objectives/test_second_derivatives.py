import contextlib

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from ganforge.api import Architecture, Batch, ImageSpec, Networks, Objective
from ganforge.interfaces.objective import AdversarialLoss, Regularizer
from ganforge.objectives import penalties
from ganforge.objectives.second_derivatives import cheap_second_derivatives, input_gradient
from ganforge.registry.plugins import get_registry


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def plain(x, weight, bias):
    return functional.conv2d(x, weight, bias, padding=1)


def strided(x, weight, bias):
    return functional.conv2d(x, weight, bias, stride=(2, 3), padding=(1, 0))


def dilated(x, weight, bias):
    return functional.conv2d(x, weight, bias, dilation=2, padding=2)


def by_words(x, weight, bias):
    return functional.conv2d(x, weight, bias, padding="same")


def transposed(x, weight, bias):
    return functional.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1)


CALLS = [plain, strided, dilated, by_words, transposed]


@pytest.mark.parametrize("call", CALLS)
def test_convolution_has_the_second_derivatives_of_its_values(call):
    arguments = (draw(2, 2, 5, 6), draw(2, 2, 3, 3, seed=1), draw(2, seed=2))
    with cheap_second_derivatives():
        assert torch.autograd.gradcheck(call, arguments)
        assert torch.autograd.gradgradcheck(call, arguments)


@pytest.mark.parametrize("call", [functional.conv2d, functional.conv_transpose2d])
def test_convolution_in_groups_has_the_second_derivatives_of_its_values(call):
    arguments = (draw(2, 4, 4, 4), draw(4, 2 if call is functional.conv2d else 1, 3, 3, seed=1))
    with cheap_second_derivatives():
        assert torch.autograd.gradgradcheck(lambda x, w: call(x, w, groups=2), arguments)


@pytest.mark.parametrize("call", [*CALLS, functional.relu, functional.leaky_relu])
def test_values_are_those_of_pytorch(call):
    given = [draw(2, 2, 5, 6), draw(2, 2, 3, 3, seed=1), draw(2, seed=2)]
    given = given if call in CALLS else given[:1]
    with cheap_second_derivatives():
        found = call(*given)
    torch.testing.assert_close(found, call(*given), rtol=1e-12, atol=1e-12)


def test_image_without_a_batch_goes_to_pytorch():
    x, weight = draw(2, 5, 6), draw(2, 2, 3, 3, seed=1)
    with cheap_second_derivatives():
        assert functional.conv2d(x, weight).shape == (2, 3, 4)
        assert functional.conv_transpose2d(x, weight).shape == (2, 7, 8)


def test_rectifier_in_place_changes_its_input_as_ever():
    with cheap_second_derivatives():
        for call in (functional.relu, functional.leaky_relu):
            x = torch.tensor([-1.0, 2.0])
            call(x, inplace=True)
            assert x[0] > -1


def test_gradient_at_the_input_leaves_that_at_the_weight_for_later():
    x, weight = draw(1, 1, 4, 4), draw(1, 1, 3, 3, seed=1)
    with Convolutions() as counted, cheap_second_derivatives():
        gradient = input_gradient(functional.conv2d(x, weight).square().sum(), x)
    assert counted.backward == 0
    gradient.sum().backward()
    assert weight.grad.abs().sum() > 0
    with cheap_second_derivatives():
        y = functional.conv2d(x, weight).sum()
    with pytest.raises(RuntimeError):
        input_gradient(y, draw(1))  # y does not depend on it
    assert torch.autograd.grad(y, weight)[0].abs().sum() > 0  # and the switch is back


class Convolutions(TorchDispatchMode):
    """Counts convolutions and their backward passes."""

    def __init__(self):
        super().__init__()
        self.total = self.backward = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.total += "convolution" in func.name()
        self.backward += "convolution_backward" in func.name()
        return func(*args, **(kwargs or {}))


def phases(name, options, side, loss, regularizers, device="meta"):
    """Networks, the phases of a recipe, and a batch of 4; without memory by default."""
    registry = get_registry()
    component, config = registry.configure(Architecture, name, options, "model")
    architecture = component(config, ImageSpec(side, side, 3))
    terms = [registry.build(Regularizer, key, v, "loss") for key, v in regularizers.items()]
    objective = Objective(
        registry.build(AdversarialLoss, loss, {}, "loss"), tuple(term.to(device) for term in terms)
    )
    shapes = {"image": (4, 3, side, side), "label": (4, 0)}
    batch = Batch({key: torch.ones(shape, device=device) for key, shape in shapes.items()})
    with torch.device(device):
        return architecture.networks(), architecture.phases(objective), batch


def count(nets, phase, batch):
    for role, network in nets.items():
        network.requires_grad_(role in phase.trains)
    with Convolutions() as counted:
        sum(phase.loss(Networks(nets), batch).values()).backward()
    return counted.total


STYLE = {"r1": {"every": 16}, "path_length": {"every": 4}}
# Convolutions and their gradients in one phase, and how many may be needed.
CEILINGS = [
    ("stylegan2", {"channel_base": 16384}, 256, "nonsaturating", STYLE, 400),
    ("stylegan3", {"channel_base": 16384}, 256, "nonsaturating", {"r1": {"every": 16}}, 400),
    ("stylegan", {}, 256, "nonsaturating", {"r1": {"every": 16}}, 400),
    ("r3gan", {}, 256, "relativistic", {"r1": {}, "r2": {}}, 800),
    ("resnet_gan", {}, 64, "wasserstein", {"gradient_penalty": {}}, 200),
]


@pytest.mark.parametrize(("name", "options", "side", "loss", "regularizers", "ceiling"), CEILINGS)
def test_phases_at_the_papers_sizes_need_few_convolutions(
    name, options, side, loss, regularizers, ceiling
):
    nets, found, batch = phases(name, options, side, loss, regularizers)
    counts = {phase.name: count(nets, phase, batch) for phase in found}
    assert max(counts.values()) <= ceiling, counts
    assert min(counts.values()) > 10


@pytest.mark.parametrize("modulation", ["scaled", "grouped"])
def test_penalties_are_those_of_pytorchs_rule(monkeypatch, modulation):
    # Grouped modulation makes weights from the latents at which the path length is taken.
    cheap = gradients_of_penalties(modulation)
    monkeypatch.setattr(penalties, "cheap_second_derivatives", contextlib.nullcontext)
    plain = gradients_of_penalties(modulation)
    assert len(cheap) == len(plain) > 20
    for found, expected in zip(cheap, plain, strict=True):
        scale = float(expected.norm())
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * scale)


def test_penalties_in_mixed_precision_have_about_the_same_gradients():
    found = {p: gradients_of_penalties("scaled", precision=p) for p in ("fp32", "mixed")}
    assert {gradient.dtype for gradient in found["mixed"]} == {torch.float32}
    exact, rounded = (torch.cat([g.flatten() for g in found[p]]) for p in found)
    assert 0.99 < functional.cosine_similarity(exact, rounded, dim=0) < 0.9999
    assert float(rounded.norm()) == pytest.approx(float(exact.norm()), rel=0.05)


def gradients_of_penalties(modulation, precision="fp32"):
    """Of R1 and the path length, for a small StyleGAN2 under autocast to bf16."""
    torch.manual_seed(0)
    options = {
        "channel_base": 256,
        "channel_max": 16,
        "mapping_layers": 2,
        "modulation": modulation,
    }
    style = {name: {**given, "precision": precision} for name, given in STYLE.items()}
    nets, found, batch = phases("stylegan2", options, 32, "nonsaturating", style, "cpu")
    batch["image"].uniform_(-1, 1)
    gradients = []
    for phase in (phase for phase in found if phase.lazy):
        for role, network in nets.items():
            network.requires_grad_(role in phase.trains)
        with torch.autocast("cpu", torch.bfloat16):
            loss = sum(phase.loss(Networks(nets), batch).values())
        loss.backward()
        parameters = [p for role in phase.trains for p in nets[role].parameters()]
        gradients += [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    return gradients
