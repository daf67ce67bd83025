from itertools import pairwise

import pytest
import torch
from ganforge_dcgan.acgan import Acgan, AcganConfig
from ganforge_dcgan.dcgan import Dcgan, DcganConfig
from ganforge_dcgan.resnet_gan import ResnetGan, ResnetGanConfig
from ganforge_dcgan.sngan import Sngan, SnganConfig
from small import GRAY, build, num_parameters, rebound
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from ganforge.api import Architecture, Batch, ConfigError, GenerateRequest, ImageSpec, Networks
from ganforge.interfaces.architecture import Reads
from ganforge.interfaces.objective import Objective
from ganforge.layers import ConditionalBatchNorm2d, LeakyReLU, MinibatchDiscrimination
from ganforge.objectives.losses import Hinge, NonSaturating, Relativistic, Wasserstein
from ganforge.objectives.regularizers import R1, Dragan, GradientPenalty, WeightClipping
from ganforge.registry.plugins import get_registry

FAMILY = [Dcgan, Acgan, ResnetGan, Sngan]
CLASSES = ("a", "b", "c")
LABELLED = ImageSpec(16, 16, 3, class_names=CLASSES)
SPECS = [GRAY, ImageSpec(24, 40, 3), ImageSpec(32, 16, 4), LABELLED]


def objective(loss=NonSaturating, *regularizers):
    return Objective(loss(loss.Config()), regularizers)


def labels(num, spec):
    return (
        torch.eye(spec.num_classes)[torch.arange(num) % max(1, spec.num_classes)]
        if (spec.num_classes)
        else torch.zeros(num, 0)
    )


def layer(inputs, outputs, area=1, bias=True):
    return inputs * outputs * area + bias * outputs


@pytest.mark.parametrize("architecture", FAMILY)
def test_dcgan_family_is_registered(architecture):
    assert get_registry().find(Architecture, architecture.name) is architecture


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("architecture", FAMILY)
def test_dcgan_family_any_image_spec_gives_images_and_logits(architecture, spec):
    if architecture in (Dcgan, Acgan) and spec.num_classes != 3 * (architecture is Acgan):
        spec = ImageSpec(
            spec.height,
            spec.width,
            spec.channels,
            class_names=CLASSES if architecture is Acgan else (),
        )
    gan = build(architecture, spec)
    gan.check(objective())
    networks = gan.networks()
    c = labels(3, spec)
    img = networks["generator"](torch.randn(3, 8), c)
    assert img.shape == (3, spec.channels, spec.height, spec.width)
    assert img.abs().max() <= 1
    assert networks["discriminator"](img, c).shape == (3,)


@pytest.mark.parametrize("architecture", FAMILY)
@pytest.mark.parametrize(("height", "width"), [(30, 30), (4, 4), (64, 50)])
def test_dcgan_family_unreachable_size_names_itself_and_near_sizes(architecture, height, width):
    message = rf"'{architecture.name}' doubles.*{height}x{width} is not.*nearest.*data\.resize"
    with pytest.raises(ConfigError, match=message):
        build(architecture, ImageSpec(height, width, class_names=CLASSES)).check(objective())


def discriminator(architecture):
    return {"discriminator": architecture.meta_networks()["discriminator"]}


@pytest.mark.parametrize("regularizer", [GradientPenalty, Dragan])
@pytest.mark.parametrize("architecture", [Dcgan, Acgan])
def test_penalty_on_single_images_with_batchnorm_is_refused(architecture, regularizer):
    penalty = regularizer(regularizer.Config())
    with pytest.raises(ConfigError, match=rf"'{penalty.name}' .*discriminator has BatchNorm"):
        penalty.check(discriminator(build(architecture, LABELLED)))
    for norm in ("none", "layer"):
        penalty.check(discriminator(build(architecture, LABELLED, discriminator_norm=norm)))


@pytest.mark.parametrize("architecture", [ResnetGan, Sngan])
def test_resnets_take_a_gradient_penalty(architecture):
    build(architecture, GRAY).check(
        objective(Wasserstein, GradientPenalty(GradientPenalty.Config()))
    )


# DCGAN ------------------------------------------------------------------------------------------


def test_dcgan_discriminator_without_norms_keeps_the_size_of_the_signal():
    torch.manual_seed(0)
    gan = build(Dcgan, GRAY, discriminator_norm="none", base_channels=32)
    x = torch.randn(64, 1, 16, 16)
    for layer in gan.networks()["discriminator"].layers:
        x = layer(x)
        if isinstance(layer, nn.Conv2d):
            assert 0.5 < x.std() < 2


def test_dcgan_is_told_the_label_where_there_is_one_when_it_may_choose():
    gan = build(Dcgan, condition="auto")
    assert gan.reads(gan.config) == Reads(("image",), ("label",))
    for condition in ("none", "label"):
        assert not Dcgan.reads(DcganConfig(condition=condition)).optional
    assert rebound(gan, LABELLED).networks()["generator"].c_dim == 3
    assert rebound(gan, GRAY).networks()["generator"].c_dim == 0


@pytest.mark.parametrize("generator", ["dcgan", "lsgan"])
def test_dcgan_told_the_label_joins_it_to_both_inputs(generator):
    gan = build(Dcgan, LABELLED, condition="label", generator=generator)
    assert gan.reads(gan.config) == Reads(("image", "label"))
    torch.manual_seed(0)
    networks, plain = gan.networks(), build(Dcgan, LABELLED, generator=generator).networks()
    gen, disc = networks["generator"].eval(), networks["discriminator"].eval()

    # Three more inputs: of 4x4 weights on the base grid, and of 4x4 kernels on the image.
    widths = {gen: gen.layers[0].out_channels, disc: disc.layers[0].out_channels}
    for network, before in zip(widths, plain.values(), strict=True):
        more = num_parameters(network) - num_parameters(before)
        assert more == 3 * 16 * widths[network]
    assert gen.layers[0].weight.shape[0] == 8 + 3

    z, c = torch.randn(1, 8).expand(3, -1), torch.eye(3)
    img = gen(z, c)
    assert not torch.equal(img[0], img[1]) and not torch.equal(img[1], img[2])
    seen = disc(img[:1].expand(3, -1, -1, -1), c)
    assert seen.unique().numel() == 3
    with torch.no_grad():
        disc.layers[0].weight[:, LABELLED.channels :] = 0
    assert disc(img[:1].expand(3, -1, -1, -1), c).unique().numel() == 1

    given = gan.generate(networks, GenerateRequest([1, 2, 3], label=c))
    drawn = gan.generate(networks, GenerateRequest([1, 2, 3]))
    assert given.shape == drawn.shape == (3, 3, 16, 16)


def test_dcgan_with_a_score_for_each_class_gives_that_of_the_class_asked_for():
    torch.manual_seed(0)
    gan = build(Dcgan, LABELLED, condition="label", discriminator_condition="scores")
    disc = gan.networks()["discriminator"].eval()
    assert disc.layers[0].in_channels == LABELLED.channels
    img = torch.randn(3, LABELLED.channels, LABELLED.height, LABELLED.width)
    assert_close(disc(img, torch.eye(3)), disc.layers(img).flatten(1).diagonal())
    assert disc(img[:1], torch.eye(3)[:1]).shape == (1,)

    plain = build(Dcgan, GRAY, discriminator_condition="scores").networks()["discriminator"]
    assert plain(torch.randn(2, 1, GRAY.height, GRAY.width), torch.zeros(2, 0)).shape == (2,)


@pytest.mark.parametrize(
    ("options", "alone"),
    [
        ({}, False),
        ({"discriminator_norm": "spectral"}, False),
        ({"discriminator_norm": "none", "minibatch_kernels": 2}, False),
        ({"discriminator_norm": "none"}, True),
        ({"discriminator_norm": "layer"}, True),
    ],
    ids=str,
)
def test_dcgan_per_sample_discriminator_where_nothing_mixes_the_batch(options, alone):
    gan = build(Dcgan, GRAY, **options)
    assert gan.per_sample_discriminator is alone
    if alone:
        disc = gan.networks()["discriminator"]
        img = torch.randn(4, 1, GRAY.height, GRAY.width)
        c = torch.zeros(4, 0)
        assert_close(disc(img, c)[:1], disc(img[:1], c[:1]))


@pytest.mark.parametrize(
    "gan",
    [build(Dcgan), build(Dcgan, generator="lsgan"), build(Acgan)],
    ids=["dcgan", "lsgan", "acgan"],
)
def test_dcgans_have_one_rectifier_between_layers_and_tanh_behind_the_last(gan):
    networks = rebound(gan, LABELLED).networks()
    generator, discriminator = networks["generator"], networks["discriminator"]
    for layers, rectifier in ((generator.layers, nn.ReLU), (discriminator.layers, LeakyReLU)):
        kinds = [type(layer) for layer in layers]
        weights = [i for i, layer in enumerate(layers) if hasattr(layer, "kernel_size")]
        for this, following in pairwise(weights):
            assert kinds[this + 1 : following].count(rectifier) == 1
    slopes = [layer.slope for layer in discriminator.layers if isinstance(layer, LeakyReLU)]
    assert set(slopes) == {0.2}
    # ACGAN's features go on to two linear layers, so that its last convolution has one behind it.
    assert len(slopes) == sum(isinstance(m, nn.Conv2d) for m in discriminator.layers) - (
        not isinstance(gan, Acgan)
    )
    c = torch.eye(3)[:2, : generator.c_dim]
    z = torch.randn(2, gan.z_dim)
    inputs = torch.cat([z, c], dim=1)[:, :, None, None]
    for parameter in generator.layers[-1].parameters():
        parameter.data.mul_(100)
    generator.eval()
    assert generator.layers(inputs).abs().max() > 1
    assert_close(generator(z, c), generator.layers(inputs).tanh())


def test_dcgan_default_size_is_the_papers_for_64x64():
    networks = Dcgan(DcganConfig(base_channels=128), ImageSpec(64, 64, 3)).networks()
    widths = [1024, 512, 256, 128]
    steps = sum(
        layer(a, b, 16, bias=False) + 2 * b for a, b in zip(widths[:-1], widths[1:], strict=True)
    )
    assert num_parameters(networks["generator"]) == (
        layer(100, 1024, 16, bias=False) + 2 * 1024 + steps + layer(128, 3, 16)
    )


def test_dcgan_minibatch_discrimination_sees_the_batch_and_only_when_asked():
    plain = build(Dcgan, GRAY).networks()["discriminator"]
    assert not any(isinstance(m, MinibatchDiscrimination) for m in plain.modules())
    disc = build(Dcgan, GRAY, minibatch_kernels=5, discriminator_norm="none").networks()[
        "discriminator"
    ]
    img = torch.randn(4, 1, 16, 16)
    alone, among = disc(img[:2], None), disc(img, None)[:2]
    assert alone.shape == (2,) and (alone - among).abs().max() > 1e-6
    extra = layer(16 * 16, 5 * 5, bias=False) + 5  # kernels, and their weights in the last layer
    reference = build(Dcgan, GRAY, discriminator_norm="none").networks()["discriminator"]
    assert num_parameters(disc) - num_parameters(reference) == extra


@pytest.mark.parametrize("kernels", [0, 5])
def test_dcgan_spectral_discriminator_has_weights_of_norm_one_and_no_batchnorm(kernels):
    disc = build(Dcgan, GRAY, discriminator_norm="spectral", minibatch_kernels=kernels).networks()[
        "discriminator"
    ]
    for _ in range(30):  # power iterations
        disc(torch.randn(2, 1, 16, 16), None)
    layers = [m for m in disc.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 3
    for module in layers:
        norm = torch.linalg.matrix_norm(module.weight.detach().flatten(1), 2)
        assert_close(norm, torch.tensor(1.0), atol=1e-2, rtol=0)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in disc.modules())


def test_lsgan_generator_has_the_papers_layers_at_112x112():
    gan = Dcgan(DcganConfig(generator="lsgan", z_dim=1024), ImageSpec(112, 112, 3))
    gen = gan.networks()["generator"]
    shapes = []
    for module in gen.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(lambda m, args, out: shapes.append(tuple(out.shape[1:3])))
    gen.eval()(torch.randn(1, 1024), torch.zeros(1, 0))
    # Mao et al. 2017, figure 5a: channels and side after each layer.
    assert shapes == [
        (256, 7), (256, 14), (256, 14), (256, 28), (256, 28), (128, 56), (64, 112), (3, 112),
    ]  # fmt: skip


def test_wgan_steps_keep_the_critic_within_the_clip():
    gan = build(Dcgan, GRAY)
    chosen = objective(Wasserstein, WeightClipping(WeightClipping.Config(limit=0.01)))
    networks = gan.networks()
    for phase in gan.phases(chosen):
        phase.after_step(Networks(networks))
    largest = {
        role: max(float(p.detach().abs().max()) for p in network.parameters())
        for role, network in networks.items()
    }
    assert largest["discriminator"] <= 0.01 < largest["generator"]


# ACGAN ------------------------------------------------------------------------------------------


def test_acgan_defaults_are_the_papers_cifar_networks():
    spec = ImageSpec(32, 32, 3, class_names=tuple("0123456789"))
    networks = Acgan(AcganConfig(), spec).networks()
    assert num_parameters(networks["generator"]) == (
        layer(110, 384, 16)
        + layer(384, 192, 16, bias=False) + 2 * 192
        + layer(192, 96, 16, bias=False) + 2 * 96
        + layer(96, 3, 16)
    )  # fmt: skip
    widths = [16, 32, 64, 128, 256, 512]
    convs = sum(
        layer(a, b, 9, bias=False) + 2 * b for a, b in zip(widths[:-1], widths[1:], strict=True)
    )
    heads = layer(512 * 16, 1) + layer(512 * 16, 10)
    assert num_parameters(networks["discriminator"]) == layer(3, 16, 9) + convs + heads


def acgan_step(loss=NonSaturating, **options):
    gan = build(Acgan, LABELLED, dropout=0.0, discriminator_norm="none", **options)
    networks = gan.networks()
    batch = Batch({"image": torch.rand(6, 3, 16, 16), "label": labels(6, LABELLED)})
    phases = {p.name: p for p in gan.phases(objective(loss))}
    return networks, batch, phases


def test_acgan_class_terms_are_cross_entropies_with_their_weight():
    networks, batch, phases = acgan_step(class_weight=0.5)
    terms = phases["discriminator"].loss(Networks(networks), batch)
    _, real = networks["discriminator"](batch.image, batch.label, True)
    gen_img, gen_c = batch.memory["generated"]
    _, gen = networks["discriminator"](gen_img, gen_c, True)
    wanted = batch.label.argmax(1)
    expected = functional.cross_entropy(real, wanted)
    expected = expected + functional.cross_entropy(gen, gen_c.argmax(1))
    assert not torch.equal(gen_c, batch.label)
    assert_close(terms["class"], 0.5 * expected)
    accuracy = (real.argmax(1) == wanted).float().mean()
    assert_close(batch.reports["accuracy/class_real"], [accuracy])


@pytest.mark.parametrize("loss", [NonSaturating, Relativistic])
def test_acgan_generator_is_told_to_draw_the_class(loss):
    networks, batch, phases = acgan_step(loss)
    terms = phases["generator"].loss(Networks(networks), batch)
    assert terms.keys() == {"adversarial", "class"}
    terms["class"].backward()
    assert any(p.grad is not None and p.grad.any() for p in networks["generator"].parameters())


def test_acgan_input_noise_is_there_in_training_only():
    disc = build(
        Acgan, LABELLED, dropout=0.0, discriminator_norm="none", input_noise=0.5
    ).networks()["discriminator"]
    img, c = torch.zeros(2, 3, 16, 16), labels(2, LABELLED)
    assert not torch.equal(disc(img, c), disc(img, c))
    disc.eval()
    assert torch.equal(disc(img, c), disc(img, c))


@pytest.mark.parametrize("names", [(), ("only",)])
def test_acgan_data_without_classes_is_refused(names):
    message = rf"'acgan' learns classes, but the data have {len(names)}.*folder per class"
    with pytest.raises(ConfigError, match=message):
        build(Acgan, ImageSpec(16, 16, class_names=names)).check(objective())


# ResNets ----------------------------------------------------------------------------------------


def up_block(before, after):
    skip = layer(before, after)
    return 2 * before + 2 * after + layer(before, after, 9) + layer(after, after, 9) + skip


def down_block(before, after, changes=True):
    return layer(before, after, 9) + layer(after, after, 9) + changes * layer(before, after)


@pytest.mark.parametrize(
    ("gan", "config", "gen_width"), [(ResnetGan, ResnetGanConfig, 128), (Sngan, SnganConfig, 256)]
)
def test_resnets_defaults_are_the_papers_cifar_networks(gan, config, gen_width):
    networks = gan(config(), ImageSpec(32, 32, 3)).networks()
    w = gen_width
    assert num_parameters(networks["generator"]) == (
        layer(128, w * 16) + 3 * up_block(w, w) + 2 * w + layer(w, 3, 9)
    )
    plain = 2 * down_block(128, 128, changes=False)
    assert num_parameters(networks["discriminator"]) == (
        down_block(3, 128) + down_block(128, 128) + plain + layer(128, 1)
    )


WIDENING = (64, 128, 256, 512, 1024)


def test_sngan_64_has_the_published_number_of_parameters():
    config = SnganConfig(
        generator_channels=WIDENING[::-1],
        discriminator_channels=WIDENING,
        discriminator_down_blocks=5,
        discriminator_plain_blocks=0,
    )
    with torch.device("meta"):
        networks = Sngan(config, ImageSpec(64, 64, 3)).networks()
    assert num_parameters(networks["generator"]) == 12_220_675
    assert num_parameters(networks["discriminator"]) == 10_141_441


def test_resnet_down_blocks_halve_the_size_as_often_as_asked():
    gan = build(ResnetGan, GRAY, discriminator_down_blocks=4, discriminator_plain_blocks=0)
    gan.check(objective())
    blocks = gan.networks()["discriminator"].blocks
    assert blocks(torch.randn(1, 1, 16, 16)).shape[2:] == (1, 1)


def test_resnet_down_blocks_that_leave_nothing_are_refused():
    gan = build(ResnetGan, GRAY, discriminator_down_blocks=5)
    with pytest.raises(ConfigError, match=r"discriminator_down_blocks=5.*16x16\. Use at most 4"):
        gan.check(objective())


def test_sngan_every_weight_of_the_discriminator_has_norm_one():
    torch.manual_seed(0)
    disc = build(Sngan, LABELLED).networks()["discriminator"]
    img, c = torch.randn(2, 3, 16, 16), labels(2, LABELLED)
    for _ in range(20):
        disc(img, c)
    disc.eval()
    layers = [m for m in disc.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 2 * 3 + 1 + 2  # three blocks, one skip, two heads
    for module in layers:
        norm = torch.linalg.matrix_norm(module.weight.flatten(1), 2)
        assert_close(norm, torch.tensor(1.0), atol=0.02, rtol=0)


@pytest.mark.parametrize("architecture", [ResnetGan, Sngan])
def test_resnets_projection_adds_the_inner_product_with_the_class(architecture):
    disc = build(architecture, LABELLED).networks()["discriminator"].eval()
    img, c = torch.randn(3, 3, 16, 16), labels(3, LABELLED)
    x = functional.relu(disc.blocks(img))
    features = x.mean((2, 3)) if architecture is ResnetGan else x.sum((2, 3))
    expected = disc.out(features).flatten() + (disc.embed(c) * features).sum(1)
    assert_close(disc(img, c), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("architecture", [ResnetGan, Sngan])
def test_resnets_classes_begin_alike_and_can_part(architecture):
    gan = build(architecture, LABELLED)
    gen = gan.networks()["generator"].eval()
    request = [GenerateRequest([4], label=torch.eye(3)[k : k + 1]) for k in range(2)]
    first, second = (gan.generate({"generator": gen}, r) for r in request)
    assert_close(first, second)
    for module in gen.modules():
        if isinstance(module, ConditionalBatchNorm2d):
            nn.init.normal_(module.bias.weight)
    first, second = (gan.generate({"generator": gen}, r) for r in request)
    assert (first - second).abs().max() > 1e-2


def test_resnet_channels_may_be_given_for_each_grid_and_block():
    gan = build(ResnetGan, GRAY, generator_channels=(16, 8, 4), discriminator_channels=(4, 8, 16))
    gan.check(objective())
    networks = gan.networks()
    assert networks["generator"].to_image.in_channels == 4
    assert networks["discriminator"].out.in_features == 16


@pytest.mark.parametrize("architecture", [ResnetGan, Sngan])
@pytest.mark.parametrize("option", ["generator_channels", "discriminator_channels"])
def test_resnet_wrong_number_of_channels_says_how_many(architecture, option):
    message = rf"model\.{option}=\(8, 8\).*wants 3 positive numbers. Give 3, or one number for all"
    with pytest.raises(ConfigError, match=message):
        build(architecture, GRAY, **{option: (8, 8)}).check(objective())


def test_resnet_critic_layer_norm_option_is_per_image():
    disc = build(ResnetGan, GRAY, discriminator_norm="layer").networks()["discriminator"]
    assert any(isinstance(m, nn.GroupNorm) for m in disc.modules())
    img = torch.randn(4, 1, 16, 16)
    assert_close(disc(img, None)[:1], disc(img[:1], None), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("architecture", FAMILY)
@pytest.mark.parametrize("loss", [Hinge, Wasserstein, Relativistic])
def test_dcgan_family_trains_with_any_objective(architecture, loss):
    spec = LABELLED if "label" in architecture.inputs else GRAY
    gan = build(architecture, spec)
    networks = gan.networks()
    batch = Batch({"image": torch.rand(4, spec.channels, 16, 16), "label": labels(4, spec)})
    for phase in gan.phases(objective(loss, R1(R1.Config(every=2)))):
        assert torch.isfinite(sum(phase.loss(Networks(networks), batch).values()))
