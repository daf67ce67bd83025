import math
from functools import partial

import pytest
import torch
from ganforge_biggan.biggan import Biggan, BigganConfig
from ganforge_biggan.biggan_deep import BigganDeep, BigganDeepConfig, DeepDownBlock, DeepUpBlock
from ganforge_biggan.family import Layout, ProjectionHead, resampled
from small import GRAY, LABELLED, build, build_networks, num_parameters
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from ganforge.api import (
    Architecture,
    ConfigError,
    GenerateRequest,
    ImageSpec,
    Objective,
    ShapeError,
)
from ganforge.layers import SelfAttention
from ganforge.objectives.losses import Hinge
from ganforge.registry.plugins import get_registry

OBJECTIVE = Objective(Hinge(Hinge.Config()))


tiny, built = partial(build, Biggan), partial(build_networks, Biggan)


def condition(spec, num):
    return torch.eye(3)[torch.arange(num) % 3] if spec.num_classes else torch.zeros(num, 0)


def on_meta(spec, **options):
    with torch.device("meta"):
        return Biggan(BigganConfig(**options), spec).networks()


def test_biggan_plugin_is_registered():
    assert get_registry().find(Architecture, "biggan") is Biggan


@pytest.mark.parametrize("family", [Biggan, BigganDeep])
def test_biggan_rectifies_the_last_features(family):
    generator, seen = build_networks(family)["generator"], {}
    generator.norm.register_forward_hook(lambda module, args, out: seen.update(norm=out))
    z_dim = family.example_options["z_dim"]
    img = generator(torch.randn(4, z_dim), torch.zeros(4, 0))
    assert (seen["norm"] < 0).any()
    assert_close(img, generator.to_image(seen["norm"].relu()).tanh())


# Sizes -----------------------------------------------------------------------------------------


def test_biggan_128_has_the_published_number_of_parameters():
    classes = tuple(map(str, range(1000)))
    networks = on_meta(ImageSpec(128, 128, 3, class_names=classes), attention=64)
    counts = [num_parameters(networks[role]) for role in ("generator", "discriminator")]
    assert counts == [70_433_988, 87_982_370]
    assert [round(count / 1e6, 1) for count in counts] == [70.4, 88.0]


def test_biggan_generator_level_arithmetic_matches_the_network():
    """Recount an 8x8 generator term by term: widths 8 and 8, z in two parts of 3, embedding 4."""
    spec = ImageSpec(8, 8, 1, class_names=("a", "b"))
    generator = built(spec, attention=None)["generator"]
    project = 3 * 8 * 16 + 8 * 16
    norms = 2 * 2 * (3 + 4) * 8
    convs = 2 * (8 * 8 * 9 + 8) + (8 * 8 + 8)
    last = 2 * 8 + (8 * 9 + 1)
    assert num_parameters(generator) == 2 * 4 + project + norms + convs + last


@pytest.mark.parametrize(
    "side, generator, discriminator, num_down",
    [
        (32, (4, 4, 4, 4), (4, 4, 4, 4), 2),
        (64, (16, 16, 8, 4, 2), (1, 2, 4, 8, 16), 4),
        (128, (16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16, 16), 5),
        (256, (16, 16, 8, 8, 4, 2, 1), (1, 2, 4, 8, 8, 16, 16), 6),
        (512, (16, 16, 8, 8, 4, 2, 1, 1), (1, 1, 2, 4, 8, 8, 16, 16), 7),
    ],
)
def test_layout_has_the_widths_of_the_paper(side, generator, discriminator, num_down):
    layout = Layout(BigganConfig(), ImageSpec(side, side), "biggan")
    assert layout.generator_widths == generator
    assert layout.discriminator_widths == discriminator
    assert layout.num_down == num_down


@pytest.mark.parametrize("config", [BigganConfig, BigganDeepConfig])
def test_widths_of_the_options_are_those_of_the_networks(config):
    options = config(
        z_dim=8, channels=4, generator_widths=(16, 8, 4, 2), discriminator_widths=(2, 4, 8, 8)
    )
    family = Biggan if config is BigganConfig else BigganDeep
    networks = family(options, ImageSpec(32, 32, 1)).networks()
    assert networks["generator"].to_image.in_channels == 2 * 4
    assert networks["generator"].grid[0] == 16 * 4
    assert networks["discriminator"].head.out.in_features == 8 * 4
    logits = networks["discriminator"](
        networks["generator"](torch.randn(2, 8), torch.zeros(2, 0)), torch.zeros(2, 0)
    )
    assert logits.shape == (2,)


@pytest.mark.parametrize(
    "options, fault",
    [
        ({"generator_widths": (4, 4)}, r"generator_widths=\[4, 4\].*wants 4 positive"),
        ({"generator_widths": (2, 4, 8, 16)}, "none larger than the one before"),
        ({"discriminator_widths": (8, 8, 4, 2)}, "none smaller than the one before"),
        ({"discriminator_widths": (0, 4, 4, 4)}, r"The paper's are \[4, 4, 4, 4\]"),
    ],
)
def test_widths_that_do_not_fit_are_refused(options, fault):
    with pytest.raises(ConfigError, match=fault):
        Biggan(BigganConfig(**options), ImageSpec(32, 32)).check(OBJECTIVE)


@pytest.mark.parametrize(
    "spec", [GRAY, ImageSpec(24, 40, 3), ImageSpec(32, 16, 4), LABELLED, ImageSpec(8, 8)], ids=str
)
def test_biggan_any_image_spec_gives_images_and_logits(spec):
    networks = built(spec, attention=None)
    img = networks["generator"](torch.randn(2, 6), condition(spec, 2))
    assert img.shape == (2, spec.channels, spec.height, spec.width)
    assert img.abs().max() <= 1
    assert networks["discriminator"](img, condition(spec, 2)).shape == (2,)


def test_biggan_large_images_reach_the_widths_with_one_tiny_channel():
    networks = built(ImageSpec(64, 128, 3), channels=1, z_dim=5, attention=None)
    img = networks["generator"](torch.randn(2, 5), torch.zeros(2, 0))
    assert img.shape == (2, 3, 64, 128)
    assert networks["discriminator"](img, torch.zeros(2, 0)).shape == (2,)


# What the networks do --------------------------------------------------------------------------


def test_biggan_every_weight_is_orthogonal_and_spectrally_normalized():
    networks = built(LABELLED)
    for network in networks.values():
        for module in network.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                original = module.parametrizations.weight.original.flatten(1)
                gram = original @ original.T if len(original) <= original.shape[1] else None
                gram = original.T @ original if gram is None else gram
                assert_close(gram, torch.eye(len(gram)), atol=1e-4, rtol=0)
                assert_close(torch.linalg.svdvals(module.weight.flatten(1))[0], torch.tensor(1.0))
    table = networks["generator"].shared.weight
    assert_close(table @ table.T, torch.eye(3), atol=1e-5, rtol=0)


def test_biggan_normal_init_has_the_asked_spread():
    generator = built(LABELLED, init="normal", channels=8)["generator"]
    original = generator.blocks[0].conv1.parametrizations.weight.original
    assert_close(original.std(), torch.tensor(0.02), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("options", "eps"), [({}, 1e-4), ({"norm_eps": 1e-5}, 1e-5)])
@pytest.mark.parametrize("family", [Biggan, BigganDeep])
def test_biggan_norm_eps_is_that_of_the_paper_or_of_the_option(family, options, eps):
    generator = build_networks(family, **options)["generator"]
    norms = [m.eps for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) >= 5 and set(norms) == {eps}


def test_biggan_each_block_follows_its_own_part_of_z():
    """Changing the last part of z leaves the first block's features as they are."""
    generator = built(LABELLED)["generator"].eval()
    z, c = torch.randn(1, 6), torch.eye(3)[:1]
    seen = []
    generator.blocks[0].register_forward_hook(lambda module, args, out: seen.append(out))
    images = [generator(torch.cat([z[:, :4], last], 1), c) for last in torch.randn(2, 1, 2)]
    assert_close(seen[0], seen[1], rtol=0, atol=0)
    assert (images[0] - images[1]).abs().max() > 1e-4


def test_biggan_labels_change_image_and_logit():
    networks = built(LABELLED)
    networks["generator"].eval()
    z, classes = torch.randn(1, 6), torch.eye(3)
    images = [networks["generator"](z, classes[k : k + 1]) for k in range(2)]
    assert (images[0] - images[1]).abs().max() > 1e-4
    networks["discriminator"].eval()
    logits = [networks["discriminator"](images[0], classes[k : k + 1]) for k in range(2)]
    assert (logits[0] - logits[1]).abs() > 1e-4


def test_projection_head_equals_the_formula():
    torch.manual_seed(0)
    head = ProjectionHead(4, 3).eval()
    x, c = torch.randn(3, 4, 2, 2), torch.eye(3)
    features = x.clamp(min=0).sum(dim=(2, 3))
    plain = features @ head.out.weight[0] + head.out.bias
    assert_close(head(x, c), plain + (features * head.embed.weight.T).sum(1))
    assert_close(ProjectionHead(4, 0).eval()(x, c[:, :0]).shape, torch.Size([3]))


@pytest.mark.parametrize("side", [8, 16])
def test_biggan_attention_lies_over_the_asked_features_of_both_networks(side):
    spec, seen = ImageSpec(32, 48, 1), {}
    networks = built(spec, z_dim=8, attention=side)
    for role, network in networks.items():
        found = [m for m in network.modules() if isinstance(m, SelfAttention)]
        assert len(found) == 1
        found[0].register_forward_hook(
            lambda module, args, out, role=role: seen.update({role: tuple(out.shape[2:])})
        )
    img = networks["generator"](torch.randn(2, 8), torch.zeros(2, 0))
    networks["discriminator"](img, torch.zeros(2, 0))
    assert set(seen.values()) == {(side, side * 3 // 2)}


def test_biggan_bfloat16_and_channels_last_stay_near_float32():
    networks = {k: m.to(memory_format=torch.channels_last) for k, m in built(LABELLED).items()}
    z, c = torch.randn(4, 6), condition(LABELLED, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        img = networks["generator"](z, c)
        logits = networks["discriminator"](img, c)
    assert img.dtype == logits.dtype == torch.float32
    assert_close(networks["generator"](z, c), img, atol=0.1, rtol=0.1)
    assert_close(networks["discriminator"](img, c), logits, atol=0.1, rtol=0.1)


def test_biggan_discriminator_second_derivative_matches_numbers():
    torch.manual_seed(0)
    disc = tiny(ImageSpec(8, 8, 1), channels=2, attention=None).networks()["discriminator"]
    disc = disc.eval()
    for parameter in disc.parameters():
        parameter.requires_grad_(False)
    img = torch.randn(1, 1, 8, 8, requires_grad=True)
    weight = disc.head.out.parametrizations.weight.original.requires_grad_(True)

    def penalty():
        (gradient,) = torch.autograd.grad(disc(img, img.new_zeros(1, 0)), img, create_graph=True)
        return gradient.square().sum()

    (found,) = torch.autograd.grad(penalty(), weight)
    step = torch.zeros_like(weight)
    step[0, 1] = 1e-2
    with torch.no_grad():
        weight += step
    above = penalty().detach()
    with torch.no_grad():
        weight -= 2 * step
    # Which rectifiers are open does not depend on the last weight: no kinks.
    numeric = (above - penalty().detach()) / 2e-2
    assert_close(found[0, 1], numeric, rtol=2e-2, atol=1e-4)


# Sampling --------------------------------------------------------------------------------------


def test_resampled_keeps_what_lies_within_and_draws_the_rest_from_there():
    z = torch.tensor([[0.1, -0.4, 0.6, -3.0]])
    drawn = resampled(z, torch.tensor([[0.5, 0.5, 0.5, 0.0]]), 0.5)
    assert_close(drawn, torch.tensor([[0.1, -0.4, 0.0, -0.5]]))


@pytest.mark.parametrize("limit", [0.04, 0.5, 2.0])
def test_resampled_has_the_variance_of_the_truncated_normal(limit):
    torch.manual_seed(0)
    drawn = resampled(torch.randn(400, 500), torch.rand(400, 500), limit)
    density = math.exp(-(limit**2) / 2) / math.sqrt(2 * math.pi)
    expected = 1 - 2 * limit * density / math.erf(limit / math.sqrt(2))
    assert drawn.abs().max() <= limit
    assert_close(drawn.var(), torch.tensor(expected), rtol=0.02, atol=0)


def test_resampled_far_limit_changes_nothing_and_stays_finite():
    z = torch.tensor([[5.0, -7.0]])
    assert_close(resampled(z, torch.zeros(1, 2), 6.0), torch.tensor([[5.0, -6.0]]))


def test_biggan_truncation_is_fixed_by_the_seed_whatever_the_batch():
    architecture, networks = tiny(LABELLED), built(LABELLED)
    networks["generator"].eval()

    def made(seeds):
        label = torch.eye(3)[[seed % 3 for seed in seeds]]
        return architecture.generate(networks, GenerateRequest(seeds, label=label, truncation=0.3))

    assert_close(made([4, 7])[1:], made([7]), atol=1e-5, rtol=1e-4)
    request = GenerateRequest([4, 7], truncation=0.3)
    assert architecture.request_latent(request).abs().max() <= 0.3


def test_biggan_without_a_label_draws_the_class_from_the_seed():
    architecture, networks = tiny(LABELLED), built(LABELLED)
    networks["generator"].eval()
    asked = GenerateRequest([1, 2])
    label = asked.random_label(3)
    assert_close(
        architecture.generate(networks, asked),
        architecture.generate(networks, GenerateRequest([1, 2], label=label)),
    )


def test_biggan_label_for_an_unconditional_model_is_refused():
    request = GenerateRequest([1], label=torch.eye(3)[:1])
    with pytest.raises(ShapeError, match=r"label has shape \[1, 3\]; this model wants \[1, 0\]"):
        tiny().generate(built(), request)


# Refusals --------------------------------------------------------------------------------------


def test_biggan_unreachable_size_says_what_to_set():
    with pytest.raises(ConfigError, match=r"data\.resolution: 'biggan'.*30x30 is not.*28 and 32"):
        tiny(ImageSpec(30, 30)).check(OBJECTIVE)


def test_biggan_z_that_cannot_be_cut_says_what_to_set():
    message = r"model\.z_dim=120: 'biggan' cuts z into 7 .*256x256.*multiple of 7, such as 140"
    with pytest.raises(ConfigError, match=message):
        Biggan(BigganConfig(), ImageSpec(256, 256)).check(OBJECTIVE)


@pytest.mark.parametrize(
    "side, attention, places", [(32, 12, "one of 16, 8, or null"), (8, 8, "Use null")]
)
def test_biggan_attention_where_there_are_no_features_says_what_to_set(side, attention, places):
    with pytest.raises(
        ConfigError, match=rf"model\.attention={attention}: .*{side}x{side}.*{places}"
    ):
        tiny(ImageSpec(side, side), z_dim=24, attention=attention).check(OBJECTIVE)


def test_biggan_attention_over_channels_without_an_eighth_says_what_to_set():
    with pytest.raises(ConfigError, match=r"model\.attention: .*multiple of 8 as model\.channels"):
        tiny(ImageSpec(32, 32), channels=3, attention=16, z_dim=24).networks()


def test_biggan_threshold_of_zero_is_refused():
    with pytest.raises(ConfigError, match=r"truncation=.*'biggan' draws again.*positive .*0\.5"):
        tiny().check_request(0.0, {})


# BigGAN-deep -----------------------------------------------------------------------------------


def built_deep(spec=GRAY, **options):
    torch.manual_seed(0)
    config = BigganDeepConfig(**{**BigganDeep.example_options, **options})
    return BigganDeep(config, spec).networks()


def test_biggan_deep_128_has_the_published_number_of_parameters():
    classes = tuple(map(str, range(1000)))
    with torch.device("meta"):
        architecture = BigganDeep(
            BigganDeepConfig(attention=64), ImageSpec(128, 128, 3, class_names=classes)
        )
        networks = architecture.networks()
    generator, discriminator = (num_parameters(networks[r]) for r in ("generator", "discriminator"))
    assert (generator, discriminator) == (50_244_484, 34_590_210)
    # The authors' last convolution makes ch channels, of which the image is the first three.
    unused = (128 - 3) * (128 * 9 + 1)
    assert round((generator + unused) / 1e6, 1) == 50.4
    assert round(discriminator / 1e6, 1) == 34.6


@pytest.mark.parametrize("spec", [GRAY, ImageSpec(24, 40, 4), LABELLED, ImageSpec(64, 64)], ids=str)
def test_biggan_deep_any_image_spec_gives_images_and_logits(spec):
    networks = built_deep(spec, attention=None)
    img = networks["generator"](torch.randn(2, 6), condition(spec, 2))
    assert img.shape == (2, spec.channels, spec.height, spec.width)
    assert networks["discriminator"](img, condition(spec, 2)).shape == (2,)


def test_deep_up_block_skip_drops_channels_and_enlarges():
    block = DeepUpBlock(8, 4, cond_dim=2, norm_eps=1e-4, upsample=True).eval()
    with torch.no_grad():
        block.convs[-1].parametrizations.weight.original.zero_()
        block.convs[-1].bias.zero_()
    x = torch.randn(2, 8, 3, 2)
    assert_close(block(x, torch.randn(2, 2)), functional.interpolate(x[:, :4], scale_factor=2))


def test_deep_down_block_skip_appends_channels_to_the_shrunk_input():
    block = DeepDownBlock(4, 8, downsample=True).eval()
    with torch.no_grad():
        block.convs[-1].parametrizations.weight.original.zero_()
        block.convs[-1].bias.zero_()
    x = torch.randn(2, 4, 6, 4)
    small = functional.avg_pool2d(x, 2)
    expected = torch.cat([small, functional.conv2d(small, block.more.weight, block.more.bias)], 1)
    assert_close(block(x), expected)


def test_deep_blocks_equal_their_layers_in_order():
    torch.manual_seed(0)
    up = DeepUpBlock(8, 4, cond_dim=2, norm_eps=1e-4, upsample=True)
    down = DeepDownBlock(4, 4, downsample=True)
    up, down, cond = up.eval(), down.eval(), torch.randn(2, 2)
    x = torch.randn(2, 8, 4, 4)
    y = up.convs[0](up.norms[0](x, cond).relu())
    y = up.convs[1](functional.interpolate(up.norms[1](y, cond).relu(), scale_factor=2))
    y = up.convs[3](up.norms[3](up.convs[2](up.norms[2](y, cond).relu()), cond).relu())
    assert_close(up(x, cond), y + functional.interpolate(x[:, :4], scale_factor=2))
    x = x[:, :4]
    y = down.convs[2](down.convs[1](down.convs[0](x.relu()).relu()).relu())
    # The mean and a 1x1 convolution commute.
    y = functional.avg_pool2d(down.convs[3](y.relu()), 2)
    assert_close(down(x), y + functional.avg_pool2d(x, 2))


def test_biggan_deep_every_block_sees_all_of_z():
    generator = built_deep(LABELLED)["generator"]
    assert {norm.gain.in_features for b in generator.blocks for norm in b.norms} == {6 + 4}


def test_biggan_deep_attention_lies_over_the_asked_features_of_both_networks():
    for network in built_deep(ImageSpec(32, 32), attention=16).values():
        assert len([m for m in network.modules() if isinstance(m, SelfAttention)]) == 1


def test_biggan_deep_odd_z_is_accepted_and_lost_attention_refused():
    architecture = BigganDeep(BigganDeepConfig(z_dim=7, attention=64), ImageSpec(32, 32))
    with pytest.raises(ConfigError, match=r"model\.attention=64: 'biggan_deep'.*32x32.*16, 8, or"):
        architecture.check(OBJECTIVE)
    BigganDeep(BigganDeepConfig(z_dim=7), ImageSpec(32, 32)).check(OBJECTIVE)
