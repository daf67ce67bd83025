"""pix2pixHD: the authors' networks and losses, its two stages, and edges of instances."""

import functools

import pytest
import torch
from ganforge_translation.matching import aligned_pairs, feature_distance
from ganforge_translation.pix2pix_hd import Pix2pixHd, Pix2pixHdConfig, instance_edges
from torch import nn
from torch.testing import assert_close
from translating import build, component, count, objective

from ganforge.api import (
    Batch,
    ConfigError,
    FieldSpec,
    GenerateRequest,
    ImageSpec,
)
from ganforge.errors import ShapeError
from ganforge.objectives.augment.ada import Ada
from ganforge.objectives.augment.diffaugment import DiffAugment
from ganforge.objectives.losses import Hinge, LeastSquares, Relativistic
from ganforge.objectives.regularizers import R1, R2

IDS = {"instances": FieldSpec("labels", 0)}
LABELS = ImageSpec(24, 16, 3, source_channels=4, source_kind="labels", fields=IDS)
IMAGES = ImageSpec(24, 16, 3, source_channels=2)
TINY = dict(Pix2pixHd.example_options, num_scales=2)


def make(spec=LABELS, **options):
    return build(Pix2pixHd, spec, TINY | options)


def make_batch(size=2, spec=LABELS):
    generator = torch.Generator().manual_seed(7)
    draw = functools.partial(torch.rand, generator=generator)
    fields = {"target": draw(size, 3, 24, 16) * 2 - 1}
    fields["source"] = draw(size, spec.source_channels, 24, 16) * 2 - 1
    if spec.fields:
        fields["instances"] = (draw(size, 1, 24, 16) * 3).long()
    return Batch(fields)


def with_edges(batch):
    return torch.cat([batch["source"], instance_edges(batch["instances"]).float()], dim=1)


# Networks


def conv(size, before, after):
    return size * size * before * after + after


def global_size(channels):
    widths = [64, 128, 256, 512, 1024]
    pairs = zip(widths, widths[1:], strict=False)
    steps = sum(conv(3, a, b) + conv(3, b, a) for a, b in pairs)
    return conv(7, channels, 64) + steps + 9 * 2 * conv(3, 1024, 1024)


def authors(**options):
    config = Pix2pixHdConfig(**options)
    spec = ImageSpec(1024, 2048, 3, source_channels=35, source_kind="labels", fields=IDS)
    return {role: count(net) for role, net in Pix2pixHd(config, spec).meta_networks().items()}


def test_global_network_at_the_papers_size_has_the_papers_parameters():
    found = authors(num_scales=2)
    assert found["generator"] == global_size(36) + conv(7, 64, 3) == 182_546_755


def test_enhanced_generator_at_the_papers_size_has_the_papers_parameters():
    enhancer = conv(7, 36, 32) + conv(3, 32, 64) + 6 * conv(3, 64, 64) + conv(3, 64, 32)
    found = authors(enhancers=1)
    assert found["generator"] == global_size(36) + enhancer + conv(7, 32, 3)
    one_scale = [(39, 64), (64, 128), (128, 256), (256, 512), (512, 1)]
    assert found["discriminator"] == 3 * sum(conv(4, *ends) for ends in one_scale)


def test_second_stage_has_all_tensors_of_the_first_but_those_that_make_the_image():
    _, first = make(enhancers=0)
    _, second = make(enhancers=1)
    inside = {name: value.shape for name, value in second["generator"].state_dict().items()}
    for name, value in first["generator"].state_dict().items():
        if name.startswith("global_network."):
            assert inside[name] == value.shape
        else:
            assert name.startswith("global_to_image.") and name not in inside
    fresh = [name for name in inside if not name.startswith("global_network.")]
    assert all(name.startswith(("enhancer.", "enhancer_to_image.")) for name in fresh)


def test_enhancer_adds_its_features_to_those_of_the_global_network_at_half_the_size():
    _, nets = make()
    generator, source = nets["generator"], torch.randn(2, 5, 24, 16)
    half = nn.functional.avg_pool2d(source, 3, 2, 1, count_include_pad=False)
    joined = generator.enhancer.encoder(source) + generator.global_network(half)
    img = torch.tanh(generator.enhancer_to_image(generator.enhancer.decoder(joined)))
    assert_close(generator(source), img)


@pytest.mark.parametrize(("enhancers", "stride"), [(0, 16), (1, 32)])
def test_stride_counts_the_enhancer(enhancers, stride):
    architecture, _ = make(enhancers=enhancers, num_downs=4)
    assert architecture.stride == stride


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
def test_generator_of_several_images_equals_one_by_one(upsampling):
    _, nets = make(upsampling=upsampling)
    source = torch.randn(2, 5, 24, 16)
    one_by_one = torch.cat([nets["generator"](one[None]) for one in source])
    assert_close(nets["generator"](source), one_by_one)


# Instances


def test_instance_edges_are_pixels_with_a_neighbor_of_another_id():
    ids = torch.tensor([[7, 7, 7, 300], [7, 7, 7, 300], [7, 7, 7, 7]])
    wanted = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]])
    assert torch.equal(instance_edges(ids[None, None])[0, 0].int(), wanted.int())


def test_both_networks_see_the_edges():
    architecture, nets = make()
    seen = {}
    for role in nets:
        nets[role].register_forward_pre_hook(lambda _, args, r=role: seen.update({r: args[0]}))
    batch = make_batch()
    architecture.generator_terms(objective(), nets, batch)
    assert_close(seen["generator"], with_edges(batch))
    assert_close(seen["discriminator"], torch.cat([with_edges(batch), batch["target"]], dim=1))


def test_without_instances_the_source_is_used_as_it_is():
    architecture, nets = make(IMAGES)
    batch = make_batch(spec=IMAGES)
    assert architecture._source(batch) is batch["source"]
    assert set(architecture.discriminator_terms(objective(), nets, batch))


# Losses


def test_generator_terms_are_the_authors():
    architecture, nets = make()
    batch = make_batch()
    terms = architecture.generator_terms(objective(), nets, batch)
    source = with_edges(batch)
    img = nets["generator"](source)
    gen = nets["discriminator"].judges.features(torch.cat([source, img], dim=1))
    real = nets["discriminator"].judges.features(torch.cat([source, batch["target"]], dim=1))
    for scale in range(2):
        # The authors' loss has no 1/2.
        assert_close(terms[f"adversarial_scale{scale}"], (gen[scale][-1] - 1).square().mean())
    distance = 0
    for scale in range(2):
        for layer in range(2):  # one layer after the first, as in `num_layers=1`
            l1 = (gen[scale][layer] - real[scale][layer]).abs().mean()
            distance += 1 / 2 * 4 / (1 + 1) * l1
    assert_close(terms["features"], 10 * distance)
    assert set(terms) == {"adversarial_scale0", "adversarial_scale1", "features"}


def test_discriminator_terms_are_half_of_the_squares_at_each_scale():
    architecture, nets = make()
    batch = make_batch()
    terms = architecture.discriminator_terms(objective(), nets, batch)
    source = with_edges(batch)
    img = nets["generator"](source)
    real, gen = (
        nets["discriminator"].judges(torch.cat([source, shown], dim=1))
        for shown in (batch["target"], img)
    )
    for scale in range(2):
        wanted = ((real[scale] - 1).square().mean() + gen[scale].square().mean()) / 2
        assert_close(terms[f"adversarial_scale{scale}"], wanted)


def test_feature_distance_leaves_the_logits_out():
    one = [[torch.zeros(1, 1, 2, 2), torch.zeros(1)]]
    other = [[torch.full((1, 1, 2, 2), 0.5), torch.ones(1)]]
    assert float(feature_distance(one, other)) == 4 * 0.5


def test_feature_weight_zero_saves_the_term():
    architecture, nets = make(feature_weight=0)
    assert "features" not in architecture.generator_terms(objective(), nets, make_batch())


@pytest.mark.parametrize("augment", [component(Ada, pipe="bg", p=1.0), component(DiffAugment)])
def test_feature_matching_compares_images_under_the_same_augmentation(augment):
    img, source = torch.rand(3, 3, 32, 32), torch.rand(3, 5, 32, 32)
    torch.manual_seed(1)
    gen, real = aligned_pairs(objective(augmentation=augment), source, img, img)
    assert_close(gen, real)
    assert not torch.equal(gen, torch.cat([source, img], dim=1))


def test_discriminator_judges_what_the_generator_phase_made():
    architecture, nets = make()
    batch = make_batch()
    architecture.generator_terms(objective(), nets, batch)
    made = batch.memory["gen_img"]
    architecture.discriminator_terms(objective(), nets, batch)
    assert batch.memory["gen_img"] is made


@pytest.mark.parametrize(
    ("loss", "augment"),
    [(Relativistic, None), (Hinge, component(Ada, p=0.5)), (LeastSquares, component(DiffAugment))],
)
def test_losses_with_both_penalties_and_augmentation_train_all_parameters(loss, augment):
    architecture, nets = make()
    chosen = objective(component(R1), component(R2), loss=loss, augmentation=augment)
    architecture.check(chosen)
    for phase in architecture.phases(chosen):
        for role, network in nets.modules().items():
            network.requires_grad_(role in phase.trains)
        terms = phase.loss(nets, make_batch())
        sum(terms.values()).backward()
        assert all(p.grad is not None for role in phase.trains for p in nets[role].parameters())
        if phase.trains == ("discriminator",):
            assert {"r1", "r2"} <= set(terms)


# Perceptual loss


SQUARE = ImageSpec(32, 32, 3, source_channels=2)


def test_perceptual_loss_weights_the_maps_as_the_authors():
    architecture, nets = make(SQUARE, perceptual="fashion_mnist")
    architecture.check(objective())
    assert architecture.seen_features == ("fashion_mnist",)
    batch = Batch({name: torch.rand(1, n, 32, 32) for name, n in (("source", 2), ("target", 3))})
    terms = architecture.generator_terms(objective(), nets, batch)
    extractor = architecture.perceptual._features.extractor
    img = nets["generator"](batch["source"])
    *inner, last = [
        (gen - real).abs().mean()
        for gen, real in zip(extractor.maps(img), extractor.maps(batch["target"]), strict=True)
    ]
    # Of five maps of VGG the authors weight the first 1/32, then 1/16, 1/8, 1/4 and 1.
    weights = [2.0 ** -(len(inner) + 1 - i) for i in range(len(inner))]
    wanted = last + sum(w * x for w, x in zip(weights, inner, strict=True))
    assert_close(terms["perceptual"], 10 * wanted)
    terms["perceptual"].backward()
    assert all(p.grad is None for p in extractor.parameters())


def test_perceptual_extractor_is_no_part_of_the_networks():
    _, nets = make(SQUARE, perceptual="fashion_mnist")
    _, plain = make(SQUARE)
    assert {role: count(nets[role]) for role in nets} == {r: count(plain[r]) for r in plain}


def test_check_perceptual_loss_of_transparent_images_is_refused():
    architecture, _ = make(ImageSpec(32, 32, 4, source_channels=2), perceptual="fashion_mnist")
    with pytest.raises(ConfigError, match="model.perceptual.*4 channels"):
        architecture.check(objective())


# Generation


def test_generate_uses_the_edges_of_the_instances():
    architecture, nets = make()
    batch = make_batch()
    request = GenerateRequest(
        [0, 1], source=batch["source"], fields={"instances": batch["instances"]}
    )
    img = architecture.generate(nets, request)
    assert_close(img, nets["generator"](with_edges(batch)))
    request.fields["instances"] = torch.zeros_like(batch["instances"])
    assert not torch.equal(img, architecture.generate(nets, request))


@pytest.mark.parametrize(
    ("ids", "match"),
    [
        (None, "trained with maps of instances.*fields="),
        (torch.zeros(1, 1, 12, 8, dtype=torch.long), r"shape \[1, 1, 12, 8\]"),
        (torch.zeros(1, 1, 24, 16), "float32.*integer ids"),
    ],
)
def test_generate_of_instances_that_do_not_fit_is_refused(ids, match):
    architecture, nets = make()
    fields = {} if ids is None else {"instances": ids}
    request = GenerateRequest([0], source=make_batch(1)["source"], fields=fields)
    with pytest.raises(ShapeError, match=match):
        architecture.generate(nets, request)


# Checks


@pytest.mark.parametrize(
    ("spec", "options", "match"),
    [
        (ImageSpec(24, 16, 3), {}, "learns from pairs.*kind: labels"),
        (
            ImageSpec(64, 64, source_channels=3),
            {"discriminator_layers": 3, "num_scales": 3},
            "model.num_scales.*want 96 pixels",
        ),
        (ImageSpec(24, 18, source_channels=3), {}, r"multiples of 4.*Use \[24, 16\]"),
        (
            ImageSpec(24, 16, source_channels=3, fields={"instances": FieldSpec("labels", 9)}),
            {},
            "num_labels: 0",
        ),
    ],
)
def test_check_of_data_that_cannot_work_says_what_would(spec, options, match):
    architecture = Pix2pixHd(Pix2pixHdConfig(**(TINY | options)), spec)
    with pytest.raises(ConfigError, match=match):
        architecture.check(objective())
