import pytest
import torch
from ganforge_classic.cgan import Cgan, CganConfig
from ganforge_classic.lapgan import Lapgan
from ganforge_classic.lapgan_networks import LapganConfig
from ganforge_classic.layers import Maxout, relu_stack
from ganforge_classic.pyramid import (
    enlarge,
    gaussian_pyramid,
    laplacian_pyramid,
    reconstruct,
    shrink,
)
from ganforge_classic.vanilla import Vanilla, VanillaConfig
from small import build, num_parameters
from torch import nn
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
from ganforge.objectives.augment.ada import Ada
from ganforge.objectives.augment.diffaugment import DiffAugment
from ganforge.objectives.losses import NonSaturating, Relativistic
from ganforge.objectives.regularizers import R1, GradientPenalty
from ganforge.registry.plugins import get_registry

CLASSES = ("a", "b", "c")
SPECS = [ImageSpec(16, 16, 1), ImageSpec(24, 40, 3), ImageSpec(32, 16, 4)]


def objective(loss=NonSaturating, *regularizers, **options):
    return Objective(loss(loss.Config()), regularizers, **options)


def images(num, spec=SPECS[0]):
    return torch.rand(num, spec.channels, spec.height, spec.width) * 2 - 1


@pytest.mark.parametrize(
    ("name", "expected"), [("vanilla", Vanilla), ("cgan", Cgan), ("lapgan", Lapgan)]
)
def test_classic_architectures_are_registered(name, expected):
    assert get_registry().find(Architecture, name) is expected


# Vanilla ----------------------------------------------------------------------------------------


def test_maxout_takes_the_largest_of_its_pieces():
    layer = Maxout(2, units=2, pieces=3)
    x = torch.randn(5, 2)
    pieces = layer.linear(x)
    assert_close(layer(x), torch.stack([pieces[:, :3].amax(1), pieces[:, 3:].amax(1)], 1))


def test_relu_stack_has_dropout_after_each_layer_if_any():
    assert [type(m).__name__ for m in relu_stack((2, 3, 4), 0.5)] == [
        "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout",
    ]  # fmt: skip
    assert len(relu_stack((2, 3, 4))) == 4


def test_vanilla_defaults_are_the_papers_mnist_network():
    networks = Vanilla(VanillaConfig(), ImageSpec(28, 28, 1)).networks()
    layer = lambda i, o: i * o + o  # noqa: E731
    assert num_parameters(networks["generator"]) == (
        layer(100, 1200) + layer(1200, 1200) + layer(1200, 784)
    )
    assert num_parameters(networks["discriminator"]) == (
        layer(784, 240 * 5) + layer(240, 240 * 5) + layer(240, 1)
    )


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_vanilla_any_image_spec_gives_images_and_logits(spec):
    networks = build(Vanilla, spec).networks()
    img = networks["generator"](torch.randn(3, 8), torch.zeros(3, 0))
    assert img.shape == (3, spec.channels, spec.height, spec.width)
    assert img.abs().max() <= 1
    assert networks["discriminator"](img, torch.zeros(3, 0)).shape == (3,)


@pytest.mark.parametrize("architecture", [Vanilla, Cgan])
def test_latent_is_uniform_in_training_and_in_generation(architecture):
    gan = build(architecture, z_dim=50)
    for z in (gan.latent(400, torch.zeros(1)), gan.request_latent(GenerateRequest(range(400)))):
        assert z.shape == (400, 50) and z.min() >= -1 and z.max() <= 1
        assert_close(z.mean(), torch.tensor(0.0), atol=0.02, rtol=0)
        assert_close(z.var(), torch.tensor(1 / 3), atol=0.01, rtol=0)


def test_vanilla_minibatch_discrimination_lets_logits_depend_on_the_batch():
    img = images(4)
    for kernels, depends in ((0, False), (3, True)):
        disc = build(Vanilla, SPECS[0], minibatch_kernels=kernels, dropout=0.0).networks()[
            "discriminator"
        ]
        alone, among = disc(img[:2], None), disc(img, None)[:2]
        assert bool((alone - among).abs().max() > 1e-6) == depends


# CGAN -------------------------------------------------------------------------------------------


def both_spec():
    return ImageSpec(16, 16, 3, class_names=CLASSES, attribute_names=("female", "glasses"))


def test_cgan_defaults_are_the_papers_mnist_network():
    spec = ImageSpec(28, 28, 1, class_names=tuple("0123456789"))
    networks = Cgan(CganConfig(), spec).networks()
    layer = lambda i, o: i * o + o  # noqa: E731
    assert num_parameters(networks["generator"]) == (
        layer(100, 200) + layer(10, 1000) + layer(1200, 1200) + layer(1200, 784)
    )
    assert num_parameters(networks["discriminator"]) == (
        layer(784, 240 * 5) + layer(10, 50 * 5) + layer(290, 240 * 4) + layer(240, 1)
    )


@pytest.mark.parametrize(
    ("condition", "inputs", "size"),
    [
        ("label", ("image", "label"), 3),
        ("attributes", ("image", "attributes"), 2),
        ("both", ("image", "label", "attributes"), 5),
    ],
)
def test_cgan_condition_chooses_inputs_and_joins_them(condition, inputs, size):
    gan = build(Cgan, both_spec(), condition=condition)
    assert gan.reads(gan.config).required == inputs
    label, attributes = torch.eye(3)[:2], torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    batch = Batch({"image": images(2), "label": label, "attributes": attributes})
    c = gan.condition(batch)
    parts = [
        part for name, part in (("label", label), ("attributes", attributes)) if name in inputs
    ]
    assert c.shape == (2, size) and torch.equal(c, torch.cat(parts, 1))


@pytest.mark.parametrize("condition", ["label", "attributes", "both"])
def test_cgan_trains_on_each_condition_and_hears_it(condition):
    spec = both_spec()
    if condition == "label":
        spec = ImageSpec(16, 16, 3, class_names=CLASSES)
    if condition == "attributes":
        spec = ImageSpec(16, 16, 3, attribute_names=("female", "glasses"))
    gan = build(Cgan, spec, condition=condition)
    gan.check(objective())
    networks = gan.networks()
    fields = {"image": images(4, spec), "label": torch.eye(3)[[0, 1, 2, 0]]}
    fields["attributes"] = torch.tensor([[1.0, 0], [0, 1], [1, 1], [0, 0]])
    for phase in gan.phases(objective()):
        sum(phase.loss(Networks(networks), Batch(fields)).values()).backward()
    assert all(p.grad is not None for n in networks.values() for p in n.parameters())
    networks["generator"].eval()
    request = {"label": torch.eye(3)[:2], "attributes": torch.eye(2)}
    request = {k: v for k, v in request.items() if k in gan.conditions}
    img = gan.generate(networks, GenerateRequest([7, 7], **request))
    assert (img[0] - img[1]).abs().max() > 1e-3


def test_cgan_draws_absent_attributes_as_often_as_they_were_seen():
    gan = build(Cgan, ImageSpec(16, 16, 1, attribute_names=("x", "y")), condition="attributes")
    gen = gan.networks()["generator"]
    gen.attribute_mean.copy_(torch.tensor([1.0, 0.0]))
    seen = []
    gen.from_condition.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    gan.generate({"generator": gen.eval()}, GenerateRequest(range(50)))
    assert torch.equal(seen[0], torch.tensor([[1.0, 0.0]]).expand(50, 2))


def test_cgan_attribute_mean_follows_the_training_data():
    gen = build(
        Cgan, ImageSpec(16, 16, 1, attribute_names=("x", "y")), condition="attributes"
    ).networks()["generator"]
    c = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    gen.train()(torch.zeros(2, 8), c)
    assert_close(gen.attribute_mean, torch.tensor([0.505, 0.5]))
    gen.eval()(torch.zeros(2, 8), c)
    assert_close(gen.attribute_mean, torch.tensor([0.505, 0.5]))


@pytest.mark.parametrize("condition", ["label", "attributes", "both"])
def test_cgan_data_without_the_condition_is_refused(condition):
    message = f"model.condition={condition}: the data have no .*Prepare them.*vanilla"
    with pytest.raises(ConfigError, match=message):
        build(Cgan, ImageSpec(16, 16, 1), condition=condition).check(objective())


def test_cgan_attributes_of_another_size_say_what_is_wanted():
    gan = build(Cgan, ImageSpec(16, 16, 1, attribute_names=("x", "y")), condition="attributes")
    nets = gan.networks()
    with pytest.raises(ShapeError, match=r"attributes has shape \[1, 3\].*wants \[1, 2\]: one row"):
        gan.generate(nets, GenerateRequest([0], attributes=torch.zeros(1, 3)))


# LAPGAN -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_levels", [1, 2, 4])
def test_laplacian_pyramid_reconstructs_bit_for_bit_where_sums_are_exact(num_levels):
    # Multiples of 1/128 keep their means of 4 and their bilinear weights of 1/16 exact.
    img = torch.randint(-128, 129, (2, 3, 16, 40)).float() / 128
    bands = laplacian_pyramid(img, num_levels)
    assert [band.shape[2:] for band in bands] == [
        (16 >> level, 40 >> level) for level in reversed(range(num_levels))
    ]
    assert torch.equal(reconstruct(bands), img)


def test_laplacian_pyramid_reconstructs_any_image_to_rounding():
    img = torch.rand(2, 3, 64, 32) * 2 - 1
    assert_close(reconstruct(laplacian_pyramid(img, 5)), img, atol=3e-7, rtol=0)


def test_pyramid_of_a_constant_image_is_constant_with_empty_bands():
    base, *bands = laplacian_pyramid(torch.full((1, 1, 16, 16), 0.5), 3)
    assert_close(base, torch.full((1, 1, 4, 4), 0.5))
    assert all(not band.any() for band in bands)


def test_shrink_is_the_mean_of_blocks_and_enlarge_keeps_it():
    img = torch.rand(1, 2, 8, 8)
    assert_close(shrink(img)[0, 0, 1, 2], img[0, 0, 2:4, 4:6].mean())
    assert_close(enlarge(img).mean(), img.mean(), atol=0.02, rtol=0)
    assert gaussian_pyramid(img, 3)[2] is img


@pytest.mark.parametrize("spec", [*SPECS, ImageSpec(16, 24, 3, class_names=CLASSES)], ids=str)
@pytest.mark.parametrize("levels", [2, 3])
def test_lapgan_any_image_spec_generates_from_coarse_to_fine(spec, levels):
    gan = build(Lapgan, spec, levels=levels)
    gan.check(objective())
    nets = gan.networks()
    assert gan.ema_roles == tuple(f"generator_{k}" for k in range(levels))
    for net in nets.values():
        net.eval()
    label = torch.eye(3)[:2] if spec.num_classes else None
    img = gan.generate(nets, GenerateRequest([1, 2], label=label))
    assert img.shape == (2, spec.channels, spec.height, spec.width)
    assert img.abs().max() <= 1
    assert (img[0] - img[1]).abs().max() > 1e-3


def test_lapgan_generation_adds_each_band_to_the_enlarged_level_below():
    gan = build(Lapgan, SPECS[0], levels=3)
    nets = gan.networks()
    for level in (1, 2):  # generators that add nothing
        for parameter in nets[f"generator_{level}"].layers[-1].parameters():
            parameter.data.zero_()
    request = GenerateRequest([3])
    base = nets["generator_0"](request.uniform(8) * 2 - 1, torch.zeros(1, 0))
    assert_close(gan.generate(nets, request), enlarge(enlarge(base)))


def test_lapgan_band_is_three_convolutions_with_rectifiers_between():
    generator = build(Lapgan, SPECS[0]).networks()["generator_1"]
    first, second, last = (m for m in generator.layers if isinstance(m, nn.Conv2d))
    low = torch.randn(2, SPECS[0].channels, *generator.grid)
    z = torch.randn(2, generator.z_dim)
    x = torch.cat([low, z.reshape(2, 1, *generator.grid)], dim=1)
    expected = last(second(first(x).relu()).relu())
    assert_close(generator(z, low, torch.zeros(2, 0)), expected)


def lapgan_step(spec=SPECS[0], chosen=None, levels=3):
    gan = build(Lapgan, spec, levels=levels)
    chosen = chosen or objective()
    nets = Networks(gan.networks())
    fields = {"image": images(4, spec)}
    if spec.num_classes:
        fields["label"] = torch.eye(spec.num_classes)[[0, 1, 2, 0]]
    return gan, gan.phases(chosen), nets, Batch(fields)


def test_lapgan_has_the_phases_of_each_level():
    chosen = objective(NonSaturating, R1(R1.Config(every=4)), n_critic=2)
    _, phases, _, _ = lapgan_step(chosen=chosen, levels=2)
    found = [(p.name, p.trains, p.every, p.lazy) for p in phases]
    assert found == [
        row
        for k in (0, 1)
        for row in (
            (f"discriminator_{k}", (f"discriminator_{k}",), 1, False),
            (f"discriminator_{k}_r1", (f"discriminator_{k}",), 4, True),
            (f"generator_{k}", (f"generator_{k}",), 2, False),
        )
    ]


@pytest.mark.parametrize("spec", [SPECS[0], ImageSpec(16, 16, 3, class_names=CLASSES)], ids=str)
@pytest.mark.parametrize(
    "chosen",
    [
        objective(),
        objective(Relativistic),
        objective(NonSaturating, GradientPenalty(GradientPenalty.Config())),
        objective(NonSaturating, R1(R1.Config(every=2))),
    ],
    ids=["plain", "relativistic", "gradient_penalty", "lazy_r1"],
)
def test_lapgan_phases_reach_their_own_level_only(spec, chosen):
    _, phases, nets, batch = lapgan_step(spec, chosen)
    for phase in phases:
        for net in nets.modules().values():
            net.zero_grad()
            net.requires_grad_(False)
        nets[phase.trains[0]].requires_grad_(True)
        sum(phase.loss(nets, batch).values()).backward()
        for role, net in nets.modules().items():
            reached = any(p.grad is not None and bool(p.grad.any()) for p in net.parameters())
            assert reached == (role in phase.trains), (phase.name, role)


def test_lapgan_generated_and_real_images_share_their_low_pass():
    gan, phases, nets, batch = lapgan_step()
    for level in range(1, 3):
        for parameter in nets[f"generator_{level}"].layers[-1].parameters():
            parameter.data.zero_()
        low = enlarge(gan.real_img(level - 1, batch))
        assert_close(gan.gen_img(level, nets, batch), low)
        assert_close(gan.real_img(level, batch), low + laplacian_pyramid(batch.image, 3)[level])


@pytest.mark.parametrize("level", [0, 1])
def test_lapgan_terms_compare_real_with_generated_images_of_the_level(level):
    gan, phases, nets, batch = lapgan_step(levels=2)
    for net in nets.modules().values():
        net.eval()
    found = {p.name: p.loss(nets, batch) for p in phases[2 * level : 2 * level + 2]}
    disc, c, loss = nets[f"discriminator_{level}"], batch.label, NonSaturating.Config()
    real, gen = disc(gan.real_img(level, batch), c), disc(gan.gen_img(level, nets, batch), c)
    expected = NonSaturating(loss).discriminator(real, gen)
    assert_close(found[f"discriminator_{level}"][f"adversarial_{level}"], expected)
    assert_close(batch.reports[f"logits/real_{level}"], [real.mean()])
    assert_close(batch.reports["logits/gen"], [gen.mean()])
    assert found.keys() == {f"discriminator_{level}", f"generator_{level}"}


@pytest.mark.parametrize("augmentation", [Ada, DiffAugment])
def test_lapgan_trains_with_augmentation_at_every_level(augmentation):
    chosen = objective(augmentation=augmentation(augmentation.Config()))
    _, phases, nets, batch = lapgan_step(chosen=chosen)
    for phase in phases:
        assert torch.isfinite(sum(phase.loss(nets, batch).values()))


@pytest.mark.parametrize(
    ("size", "levels", "near"),
    [((30, 32), 3, r"\[32, 32\]"), ((16, 16), 4, r"\[32, 32\]"), ((28, 20), 4, r"\[32, 32\]")],
)
def test_lapgan_size_that_cannot_be_halved_says_which_can(size, levels, near):
    message = rf"data\.resolution: 'lapgan' with model\.levels={levels}.*Use {near}.*fewer levels"
    with pytest.raises(ConfigError, match=message):
        build(Lapgan, ImageSpec(*size), levels=levels).check(objective())


def test_lapgan_even_kernel_says_the_next_odd_ones():
    with pytest.raises(ConfigError, match=r"model\.kernel_size=4.*Use 3 or 5"):
        build(Lapgan, SPECS[0], kernel_size=4).check(objective())


@pytest.mark.parametrize("gan", [Vanilla, Cgan, Lapgan])
def test_classic_refuse_truncation_and_unknown_options(gan):
    with pytest.raises(ConfigError, match="has no truncation. Leave it out"):
        build(gan).check_request(0.5, {})
    with pytest.raises(ConfigError, match="has no generation option 'psi'"):
        build(gan).check_request(None, {"psi": 1})


def test_lapgan_default_size_is_that_of_its_parts():
    networks = Lapgan(LapganConfig(), ImageSpec(32, 32, 3)).networks()
    layer = lambda i, o: i * o + o  # noqa: E731
    conv = lambda i, o: i * o * 25 + o  # noqa: E731
    base = layer(100, 1200) + layer(1200, 1200) + layer(1200, 192)
    band = conv(4, 128) + conv(128, 128) + conv(128, 3)
    assert [num_parameters(networks[f"generator_{k}"]) for k in range(3)] == [base, band, band]
    critic = lambda side: conv(3, 128) + conv(128, 128) + layer(128 * side**2 // 4, 1)  # noqa: E731
    assert num_parameters(networks["discriminator_0"]) == (
        layer(192, 600) + layer(600, 600) + layer(600, 1)
    )
    assert num_parameters(networks["discriminator_1"]) == critic(16)
    assert num_parameters(networks["discriminator_2"]) == critic(32)
