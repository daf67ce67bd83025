from functools import partial

import pytest
import torch
from ganforge_r3gan.architecture import R3gan
from ganforge_r3gan.networks import R3ganConfig, ResidualBlock, transition, variance_init
from small import GRAY, LABELLED, build, build_networks, num_parameters
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from ganforge.api import (
    Architecture,
    Batch,
    ConfigError,
    GenerateRequest,
    ImageSpec,
    Networks,
    Objective,
    ShapeError,
)
from ganforge.objectives.losses import Relativistic
from ganforge.objectives.regularizers import R1, R2, squared_gradient_norm
from ganforge.registry.plugins import get_registry

OBJECTIVE = Objective(Relativistic(Relativistic.Config()))


tiny, built = partial(build, R3gan), partial(build_networks, R3gan)


def awake(network):
    """Give the last layers of the blocks values, so that every path carries something."""
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            variance_init(module.reduce, 0.5)
    return network


def condition(spec, num):
    return torch.eye(3)[torch.arange(num) % 3] if spec.num_classes else torch.zeros(num, 0)


def test_r3gan_plugin_is_registered():
    assert get_registry().find(Architecture, "r3gan") is R3gan


# Sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "side, options, generator, discriminator, millions",
    [
        (32, {}, 20_732_160, 20_683_776, (20.73, 20.68)),
        (64, {}, 22_429_824, 22_381_440, (22.43, 22.38)),
        (256, {}, 23_057_952, 23_009_568, (23.06, 23.01)),
    ],
)
def test_r3gan_config_e_has_the_documented_number_of_parameters(
    side, options, generator, discriminator, millions
):
    with torch.device("meta"):
        networks = R3gan(R3ganConfig(**options), ImageSpec(side, side, 3)).networks()
    counts = [num_parameters(networks[role]) for role in ("generator", "discriminator")]
    assert counts == [generator, discriminator]
    assert tuple(round(count / 1e6, 2) for count in counts) == millions


def test_r3gan_level_arithmetic_matches_the_networks():
    """Recount 8x8 networks term by term: widths 8 and 4, groups of 4, z of 4, 2 classes."""
    networks = built(ImageSpec(8, 8, 1, class_names=("a", "b")), channel_base=32)
    block = lambda w: 2 * w * 2 * w + 2 * w * 4 * 9 + 2 * 2 * w  # noqa: E731
    body = 2 * block(8) + 8 * 4 + 2 * block(4)
    latent = 2 * 4 + (4 + 4) * 8 + 8 * 16
    assert num_parameters(networks["generator"]) == latent + body + 4
    assert num_parameters(networks["discriminator"]) == 4 + body + 8 * 16 + 8 * 8 + 2 * 8


@pytest.mark.parametrize(
    "spec", [GRAY, ImageSpec(24, 40, 3), ImageSpec(32, 16, 4), LABELLED, ImageSpec(28, 28)], ids=str
)
def test_r3gan_any_image_spec_gives_images_and_logits(spec):
    networks = built(spec)
    img = networks["generator"](torch.randn(2, 4), condition(spec, 2))
    assert img.shape == (2, spec.channels, spec.height, spec.width)
    assert networks["discriminator"](img, condition(spec, 2)).shape == (2,)


# What the networks do --------------------------------------------------------------------------


def test_residual_block_is_the_identity_at_first_and_then_the_formula():
    torch.manual_seed(0)
    block, x = ResidualBlock(4, R3ganConfig(group_width=2), depth=3), torch.randn(2, 4, 5, 3)
    assert_close(block(x), x, rtol=0, atol=0)
    nn.init.normal_(block.reduce.weight)
    nn.init.normal_(block.mix.bias)
    y = functional.conv2d(x, block.expand.weight, block.expand.bias)
    y = functional.leaky_relu(y, 0.2)
    parts = [
        functional.conv2d(y[:, k : k + 2], block.mix.weight[k : k + 2], padding=1)
        for k in range(0, 8, 2)
    ]
    y = functional.leaky_relu(torch.cat(parts, 1) + block.mix.bias[:, None, None], 0.2)
    assert_close(block(x), x + functional.conv2d(y, block.reduce.weight))


def test_residual_block_first_weights_shrink_with_the_fourth_root_of_the_depth():
    torch.manual_seed(0)
    block = ResidualBlock(64, R3ganConfig(), depth=16)
    gain = (2 / (1 + 0.2**2)) ** 0.5 / 2
    assert_close(block.expand.weight.std(), torch.tensor(gain / 8), rtol=0.05, atol=0)
    assert_close(block.mix.weight.std(), torch.tensor(gain / 12), rtol=0.05, atol=0)


@pytest.mark.parametrize("role", ["generator", "discriminator"])
def test_r3gan_network_keeps_the_variance_at_first(role):
    torch.manual_seed(0)
    network = R3gan(R3ganConfig(channel_base=1024, channel_max=64), ImageSpec(16, 16)).networks()[
        role
    ]
    none = torch.zeros(256, 0)
    inputs = torch.randn(256, 64) if role == "generator" else torch.randn(256, 3, 1, 1)
    # A flat image keeps its variance through the filters.
    inputs = inputs if role == "generator" else inputs.expand(-1, -1, 16, 16)
    spread = network(inputs, none).std()
    # Bilinear enlargement averages neighbors, so images begin somewhat flatter than noise.
    assert 0.3 < spread < (1.3 if role == "generator" else 6.0)


@pytest.mark.parametrize("mode", ["up", "down"])
def test_transition_equals_filter_and_1x1(mode):
    torch.manual_seed(0)
    layer, x = transition(2, 3, mode), torch.randn(1, 2, 8, 6)
    weight = next(layer.parameters())
    if mode == "up":
        middle = functional.interpolate(x, scale_factor=2, mode="bilinear")
    else:
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        kernel = torch.outer(taps, taps).expand(2, 1, 4, 4)
        middle = functional.conv2d(functional.pad(x, (1, 1, 1, 1)), kernel, stride=2, groups=2)
    expected = functional.conv2d(middle, weight)
    inside = (..., slice(2, -2), slice(2, -2)) if mode == "up" else ...
    # At the border, bilinear interpolation repeats the edge where the filter sees zeros.
    assert_close(layer(x)[inside], expected[inside])


def test_transition_of_equal_widths_has_no_weights():
    assert list(transition(4, 4, "up").parameters()) == []


def test_r3gan_labels_change_image_and_logit():
    networks = built(LABELLED)
    z, classes = torch.randn(1, 4), torch.eye(3)
    images = [networks["generator"](z, classes[k : k + 1]) for k in range(2)]
    assert (images[0] - images[1]).abs().max() > 1e-2
    logits = [networks["discriminator"](images[0], classes[k : k + 1]) for k in range(2)]
    assert (logits[0] - logits[1]).abs() > 1e-4


def test_r3gan_logit_is_the_inner_product_with_the_class():
    disc = awake(built(LABELLED)["discriminator"])
    img, c, seen = torch.randn(3, 3, 16, 16), torch.eye(3), {}
    disc.out.register_forward_hook(lambda module, args, out: seen.update(out=out))
    logits = disc(img, c)
    assert_close(logits, (seen["out"] * disc.embed.weight.T).sum(1))


def test_r3gan_bfloat16_and_channels_last_stay_near_float32():
    networks = built(LABELLED)
    networks = {k: awake(m).to(memory_format=torch.channels_last) for k, m in networks.items()}
    z, c = torch.randn(4, 4), condition(LABELLED, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        img = networks["generator"](z, c)
        logits = networks["discriminator"](img, c)
    assert img.dtype == logits.dtype == torch.float32
    scale = float(img.detach().abs().max())
    assert_close(networks["generator"](z, c), img, atol=0.05 * scale, rtol=0)
    exact = networks["discriminator"](img, c)
    assert_close(exact, logits, atol=0.05 * float(exact.detach().abs().max()) + 0.02, rtol=0)


def test_r3gan_penalty_gradient_matches_numerical_differences(monkeypatch):
    # Without kinks within the step; the wiring is the same.
    monkeypatch.setattr(functional, "leaky_relu", lambda x, slope: functional.silu(x))
    disc = awake(built(ImageSpec(8, 8, 1))["discriminator"]).double()
    img, none = torch.randn(2, 1, 8, 8, dtype=torch.float64), torch.zeros(2, 0)

    def penalty():
        return squared_gradient_norm(lambda x: disc(x, none), img).sum()

    weights = [disc.stages[0][0].mix.weight, disc.from_image.weight, disc.basis]
    found = torch.autograd.grad(penalty(), weights)
    for weight, gradient in zip(weights, found, strict=True):
        index = tuple(0 for _ in weight.shape)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[index] += sign * 1e-3
            values.append(penalty().item())
            with torch.no_grad():
                weight[index] -= sign * 1e-3
        numeric = torch.tensor((values[0] - values[1]) / 2e-3, dtype=torch.float64)
        assert_close(gradient[index], numeric, rtol=1e-2, atol=1e-4)


def test_r3gan_phases_pair_real_and_generated_logits_with_both_penalties():
    objective = Objective(
        Relativistic(Relativistic.Config()), (R1(R1.Config(gamma=0.1)), R2(R2.Config(gamma=0.1)))
    )
    architecture, nets = tiny(LABELLED), Networks(built(LABELLED))
    batch = Batch({"image": torch.randn(3, 3, 16, 16), "label": torch.eye(3)})
    phases = {phase.name: phase for phase in architecture.phases(objective)}
    c = torch.eye(3)

    def gap(gen_img):
        return nets["discriminator"](gen_img, c) - nets["discriminator"](batch.image, c)

    torch.manual_seed(1)
    terms = phases["generator"].loss(nets, batch)
    torch.manual_seed(1)
    gen_img = nets["generator"](torch.randn(3, 4), c)
    assert set(terms) == {"adversarial"}
    assert_close(terms["adversarial"], functional.softplus(-gap(gen_img)).mean())
    terms = phases["discriminator"].loss(nets, batch)
    assert set(terms) == {"adversarial", "r1", "r2"}
    expected = functional.softplus(gap(batch.memory["generated"][0])).mean()
    assert_close(terms["adversarial"], expected)


# Sampling and refusals -------------------------------------------------------------------------


def test_r3gan_generate_clamps_and_draws_a_missing_class_from_the_seed():
    architecture, networks = tiny(LABELLED), built(LABELLED)
    with torch.no_grad():
        networks["generator"].to_image.weight.mul_(50)
    asked = GenerateRequest([1, 2])
    img = architecture.generate(networks, asked)
    assert img.abs().max() == 1
    label = asked.random_label(3)
    again = architecture.generate(networks, GenerateRequest([1, 2], label=label))
    assert_close(img, again, rtol=0, atol=0)


def test_r3gan_label_for_an_unconditional_model_is_refused():
    request = GenerateRequest([1], label=torch.eye(3)[:1])
    with pytest.raises(ShapeError, match=r"label has shape \[1, 3\]; this model wants \[1, 0\]"):
        tiny().generate(built(), request)


def test_r3gan_truncation_is_refused():
    with pytest.raises(ConfigError, match=r"truncation=0\.5.*'r3gan' has no truncation\. Leave"):
        tiny().generate(built(), GenerateRequest([1], truncation=0.5))


def test_r3gan_unreachable_size_says_what_to_set():
    with pytest.raises(ConfigError, match=r"data\.resolution: 'r3gan'.*30x30 is not.*28 and 32"):
        tiny(ImageSpec(30, 30)).check(OBJECTIVE)


def test_r3gan_groups_that_do_not_fit_say_what_to_set():
    message = (
        r"model\.group_width=16 does not divide the 24 channels inside the blocks of grid 1 .*12 "
        r"channels times model\.expansion=2\)\. Use a divisor"
    )
    with pytest.raises(ConfigError, match=message):
        tiny(ImageSpec(8, 8), group_width=16, channel_base=96, channel_max=16).check(OBJECTIVE)
