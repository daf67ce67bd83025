"""pix2pix: the paper's networks and losses, and a seed that decides the dropout."""

import pytest
import torch
from ganforge_translation.pix2pix import Pix2pix, Pix2pixConfig
from torch.testing import assert_close
from translating import build, component, images_of

from ganforge.api import ConfigError, GenerateRequest, ImageSpec, Objective
from ganforge.objectives.augment.ada import Ada
from ganforge.objectives.losses import NonSaturating, Relativistic
from ganforge.objectives.regularizers import R1, R2

SPEC = ImageSpec(16, 16, 3, source_channels=2)
TINY = {"generator_width": 4, "discriminator_width": 4, "discriminator_layers": 1}


def make(spec=SPEC, **options):
    return build(Pix2pix, spec, TINY | options)


def make_batch(size=2, spec=SPEC):
    return images_of(spec, size)


def objective(*regularizers, loss=NonSaturating, **options):
    return Objective(component(loss), tuple(regularizers), **options)


def test_networks_at_the_papers_size_have_the_papers_parameters():
    architecture = Pix2pix(Pix2pixConfig(), ImageSpec(256, 256, 3, source_channels=3))
    found = {
        role: sum(p.numel() for p in network.parameters())
        for role, network in architecture.meta_networks().items()
    }
    # 54.414 M and 2.769 M, as the authors' program prints.
    assert found == {"generator": 54_414_531, "discriminator": 2_768_705}


@pytest.mark.parametrize(
    ("size", "depth"), [((256, 256), 8), ((512, 256), 8), ((64, 64), 6), ((96, 64), 5)]
)
def test_depth_follows_the_image(size, depth):
    architecture = Pix2pix(Pix2pixConfig(), ImageSpec(*size, source_channels=3))
    assert (architecture.depth, architecture.stride) == (depth, 2**depth)


@pytest.mark.parametrize(("size", "depth"), [((64, 64), 5), ((96, 64), 5), ((512, 256), 7)])
def test_depth_of_resized_maps_leaves_more_than_one_pixel(size, depth):
    config = Pix2pixConfig(upsampling="resize")
    assert Pix2pix(config, ImageSpec(*size, source_channels=3)).depth == depth


def test_generator_terms_are_the_papers():
    architecture, nets = make(dropout=0.0)
    batch = make_batch()
    terms = architecture.generator_terms(objective(), nets, batch)
    img = nets["generator"](batch["source"])
    logits = nets["discriminator"](torch.cat([batch["source"], img], dim=1))
    assert_close(terms["adversarial"], torch.nn.functional.softplus(-logits).mean())
    assert_close(terms["l1"], 100 * (img - batch["target"]).abs().mean())


def test_discriminator_terms_are_half_of_both_cross_entropies():
    architecture, nets = make(dropout=0.0)
    batch = make_batch()
    terms = architecture.discriminator_terms(objective(), nets, batch)
    img = nets["generator"](batch["source"])
    real, gen = (
        nets["discriminator"](torch.cat([batch["source"], shown], dim=1))
        for shown in (batch["target"], img)
    )
    softplus = torch.nn.functional.softplus
    assert_close(terms["adversarial"], (softplus(-real).mean() + softplus(gen).mean()) / 2)


def test_discriminator_judges_what_the_generator_phase_made():
    architecture, nets = make()  # with dropout, a second pass would give another image
    batch = make_batch()
    architecture.generator_terms(objective(), nets, batch)
    made = batch.memory["gen_img"]
    architecture.discriminator_terms(objective(), nets, batch)
    assert batch.memory["gen_img"] is made


def test_augmentation_moves_the_source_with_the_image():
    architecture, nets = make()
    seen = []
    nets["discriminator"].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    batch = make_batch()
    batch.fields["source"] = batch["target"][:, :2].clone()
    augment = component(Ada, pipe="blit", p=1.0)
    torch.manual_seed(3)
    architecture.discriminator_terms(objective(augmentation=augment), nets, batch)
    real = seen[0][: batch.size]
    assert_close(real[:, :2], real[:, 2:4])
    assert not torch.equal(real[:, 2:], batch["target"])


def test_relativistic_loss_with_both_penalties_trains_all_parameters():
    architecture, nets = make()
    chosen = objective(component(R1), component(R2), loss=Relativistic)
    architecture.check(chosen)
    for phase in architecture.phases(chosen):
        for network in nets.modules().values():
            network.requires_grad_(False)
        for role in phase.trains:
            nets[role].requires_grad_(True)
        terms = phase.loss(nets, make_batch())
        sum(terms.values()).backward()
        for role in phase.trains:
            assert all(p.grad is not None for p in nets[role].parameters())
        if phase.trains == ("discriminator",):
            assert {"r1", "r2"} <= set(terms)


def test_generate_draws_the_dropout_from_the_seed():
    architecture, nets = make()
    source = make_batch(1)["source"].expand(3, -1, -1, -1)
    img = architecture.generate(nets, GenerateRequest([4, 5, 4], source=source))
    assert torch.equal(img[0], img[2])
    assert not torch.equal(img[0], img[1])


def test_generate_drops_as_training_does():
    architecture, nets = make(generator_width=32, dropout=0.5)
    generator = nets["generator"]
    shares = []

    def watch(x, layer):
        return x

    drop_of = generator.forward

    def forward(img, drop=None):
        def counted(x, layer):
            out = (drop or watch)(x, layer)
            shares.append((out == 0).float().mean().item())
            assert_close(out[out != 0], (2 * x)[out != 0])
            return out

        return drop_of(img, counted)

    generator.forward = forward
    architecture.generate(nets, GenerateRequest([0, 1], source=make_batch()["source"]))
    assert len(shares) == 2 and all(0.4 < share < 0.6 for share in shares)


def test_generate_without_dropout_is_the_same_for_all_seeds():
    architecture, nets = make(dropout=0.0)
    source = make_batch(1)["source"].expand(2, -1, -1, -1)
    img = architecture.generate(nets, GenerateRequest([0, 9], source=source))
    assert torch.equal(img[0], img[1])


@pytest.mark.parametrize(
    ("spec", "options", "match"),
    [
        (ImageSpec(16, 16, 3), {}, "learns from pairs.*data.derive: edges"),
        (ImageSpec(16, 16, source_channels=3), {"discriminator_layers": 3}, "24 pixels or more"),
        (ImageSpec(24, 24, source_channels=3), {"depth": 4}, "multiples of 16"),
        (ImageSpec(17, 17, source_channels=3), {}, "multiples of 4"),
    ],
)
def test_check_of_data_that_cannot_work_says_what_would(spec, options, match):
    architecture = Pix2pix(Pix2pixConfig(**(TINY | options)), spec)
    with pytest.raises(ConfigError, match=match):
        architecture.check(objective())
