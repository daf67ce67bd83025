"""UNIT: the sizes of its networks, the paper's terms computed plainly, and the latent's noise."""

import pytest
import torch
from ganforge_translation.unit import Unit, UnitConfig
from ganforge_translation.unit_networks import Decoder, Encoder, ImageNorm
from torch import nn
from torch.testing import assert_close
from translating import build, component, count, images_of, objective, run_phase

from ganforge.api import (
    ConfigError,
    GenerateRequest,
    ImageSpec,
)
from ganforge.layers import InstanceNorm, MultiScaleDiscriminator, SpectralNorm
from ganforge.objectives.augment.ada import Ada
from ganforge.objectives.augment.diffaugment import DiffAugment
from ganforge.objectives.losses import Hinge, LeastSquares, NonSaturating, Relativistic
from ganforge.objectives.regularizers import R1, R2, GradientPenalty

SPEC = ImageSpec(16, 16, 3, source_channels=1)
TINY = {
    "generator_width": 4,
    "num_blocks": 1,
    "discriminator_width": 4,
    "discriminator_layers": 1,
    "discriminator_scales": 2,
}
DOMAINS = ("source", "target")


def make(spec=SPEC, **options):
    return build(Unit, spec, TINY | options)


def make_batch(size=2, spec=SPEC):
    return images_of(spec, size)


@pytest.fixture
def without_noise(monkeypatch):
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)


# Networks --------------------------------------------------------------------------------------


def block(channels):
    return 2 * (9 * channels * channels + channels)


def counts(**options):
    architecture = Unit(UnitConfig(**options), ImageSpec(256, 256, 3, source_channels=3))
    return {role: count(network) for role, network in architecture.meta_networks().items()}


def test_networks_at_the_authors_size_have_their_parameters():
    found = counts()
    ends = 49 * 3 * 64 + 64, 49 * 64 * 3 + 3
    down = (16 * 64 * 128 + 128) + (16 * 128 * 256 + 256)
    # A 5x5 kernel, its bias, and the scale and bias of the normalization.
    up = (25 * 256 * 128 + 3 * 128) + (25 * 128 * 64 + 3 * 64)
    for domain in DOMAINS:
        assert found[f"encoder_{domain}"] == ends[0] + down + 3 * block(256) == 4_205_696
        assert found[f"decoder_{domain}"] == ends[1] + up + 3 * block(256) == 4_574_467
        assert found[f"discriminator_{domain}"] == 3 * 2_764_737
    assert found["encoder_shared"] == found["decoder_shared"] == block(256)
    assert len(found) == 8


def test_networks_without_shared_layers_are_those_of_the_authors_second_version():
    found = counts(num_blocks=4, shared_blocks=0)
    assert sorted(found) == sorted(
        f"{part}_{domain}" for part in ("encoder", "decoder", "discriminator") for domain in DOMAINS
    )
    shared = counts()
    path = shared["encoder_source"] + shared["encoder_shared"]
    assert found["encoder_source"] == path


def test_same_start_makes_a_translation_start_as_the_reconstruction():
    spec = ImageSpec(16, 16, 3, source_channels=3)
    img = make_batch(spec=spec)["source"]
    for same_start in (True, False):
        _, nets = make(spec, same_start=same_start)
        (_, same), (_, gen) = (plain(nets, "source", domain, img) for domain in DOMAINS)
        assert torch.equal(same, gen) == same_start
        pairs = zip(
            nets["encoder_source"].parameters(), nets["encoder_target"].parameters(), strict=True
        )
        assert not any(one is other for one, other in pairs)


def test_domains_share_layers_and_no_parameter_is_in_two_roles():
    _, nets = make()
    parameters = [id(p) for network in nets.modules().values() for p in network.parameters()]
    assert len(parameters) == len(set(parameters))


@pytest.mark.parametrize(("shared", "num"), [(1, 6), (0, 4)])
def test_ema_roles_are_all_that_translating_needs(shared, num):
    architecture, nets = make(shared_blocks=shared)
    roles = architecture.ema_roles
    assert len(roles) == num and not any(role.startswith("discriminator") for role in roles)
    only = {role: nets[role] for role in roles}
    for direction, source in zip(
        architecture.directions, make_batch().fields.values(), strict=True
    ):
        request = GenerateRequest([0, 1], source=source, options={"direction": direction})
        assert architecture.generate(only, request).isfinite().all()


def test_image_norm_is_over_channels_and_pixels():
    norm = ImageNorm(3)
    img = torch.randn(2, 3, 4, 5) * torch.tensor([1.0, 3.0, 0.1]).view(3, 1, 1) + 2
    assert_close(norm(img), nn.functional.layer_norm(img, img.shape[1:]))
    with torch.no_grad():
        norm.scale.copy_(torch.tensor([1.0, 2.0, 0.0]).view(3, 1, 1))
        norm.bias.copy_(torch.tensor([0.0, 1.0, 5.0]).view(3, 1, 1))
    plain = nn.functional.layer_norm(img, img.shape[1:])
    wanted = torch.stack([plain[:, 0], 2 * plain[:, 1] + 1, torch.full((2, 4, 5), 5.0)], dim=1)
    assert_close(norm(img), wanted)


def test_encoder_and_decoder_halve_and_double_twice():
    maps = Encoder(1, 4, 2)(torch.rand(2, 1, 12, 20))
    assert maps.shape == (2, 16, 3, 5)
    img = Decoder(3, 4, 2)(maps)
    assert img.shape == (2, 3, 12, 20) and img.dtype == torch.float32 and img.abs().max() <= 1


def test_encoder_weights_start_at_the_variance_of_kaiming():
    network = Encoder(3, 16, 2)
    for conv in (module for module in network.modules() if isinstance(module, nn.Conv2d)):
        inputs = conv.weight[0].numel()
        assert_close(conv.weight.std().item(), (2 / inputs) ** 0.5, rtol=0.1, atol=0)
        assert not conv.bias.any()


@pytest.mark.parametrize("role", ["encoder_target", "encoder_shared", "decoder_target"])
def test_networks_batch_of_images_equals_the_images_one_by_one(role):
    _, nets = make()
    x = torch.randn(3, 3, 16, 16) if role == "encoder_target" else torch.randn(3, 16, 4, 4)
    assert_close(nets[role](x), torch.cat([nets[role](one) for one in x.split(1)]))


@pytest.mark.parametrize(
    ("norm", "kind"), [("none", None), ("instance", InstanceNorm), ("spectral", SpectralNorm)]
)
def test_discriminator_norm_is_the_one_of_the_option(norm, kind):
    _, nets = make(discriminator_norm=norm)
    network = nets["discriminator_source"]
    assert isinstance(network, MultiScaleDiscriminator)
    kinds = [
        k for k in (InstanceNorm, SpectralNorm) if any(isinstance(m, k) for m in network.modules())
    ]
    assert kinds == ([] if kind is None else [kind])


# Phases ----------------------------------------------------------------------------------------


def plain(nets, domain_from, domain_to, img, noise=None):
    """Encode, add noise, decode: the latent's mean and the image."""
    mean = nets["encoder_shared"](nets[f"encoder_{domain_from}"](img))
    latent = mean if noise is None else mean + noise
    return mean, nets[f"decoder_{domain_to}"](nets["decoder_shared"](latent))


def test_generator_terms_are_the_authors_computed_plainly(without_noise):
    architecture, nets = make()
    batch = make_batch()
    terms = architecture.generator_terms(objective(), nets, batch)
    wanted = {}
    for domain, other in (DOMAINS, DOMAINS[::-1]):
        img = batch[domain]
        mean, same = plain(nets, domain, domain, img)
        _, gen = plain(nets, domain, other, img)
        gen_mean, back = plain(nets, other, domain, gen)
        wanted[f"reconstruction_{domain}"] = 10 * (same - img).abs().mean()
        wanted[f"kl_{domain}"] = 0.01 * mean.square().mean()
        wanted[f"cycle_{domain}"] = 10 * (back - img).abs().mean()
        wanted[f"cycle_kl_{other}"] = 0.01 * gen_mean.square().mean()
        for scale, logits in enumerate(nets[f"discriminator_{other}"](gen)):
            # Without the 1/2 of Mao et al.
            wanted[f"adversarial_{other}_{scale}"] = (logits - 1).square().mean()
    assert sorted(terms) == sorted(wanted)
    for name, value in wanted.items():
        assert_close(terms[name], value, msg=lambda text, name=name: f"{name}: {text}")


def test_generator_samples_the_latent_with_variance_one_and_anew_for_the_cycle(monkeypatch):
    architecture, nets = make()
    drawn = []
    real = torch.randn_like

    def watch(x):
        drawn.append(real(x))
        return drawn[-1]

    monkeypatch.setattr(torch, "randn_like", watch)
    batch = make_batch()
    terms = architecture.generator_terms(objective(), nets, batch)
    assert len(drawn) == 2 and not torch.equal(*drawn)
    _, same = plain(nets, "source", "source", batch["source"], drawn[0][:2])
    _, gen = plain(nets, "source", "target", batch["source"], drawn[0][:2])
    _, back = plain(nets, "target", "source", gen, drawn[1][2:])
    assert_close(terms["reconstruction_source"], 10 * (same - batch["source"]).abs().mean())
    assert_close(terms["cycle_source"], 10 * (back - batch["source"]).abs().mean())
    assert_close(batch.memory["gen_target"], gen)


def test_discriminator_terms_are_the_authors_computed_plainly(without_noise):
    architecture, nets = make()
    batch = make_batch()
    terms = architecture.discriminator_terms(objective(), nets, batch)
    for domain, other in (DOMAINS, DOMAINS[::-1]):
        _, gen = plain(nets, other, domain, batch[other])
        network = nets[f"discriminator_{domain}"]
        for scale, (real, fake) in enumerate(
            zip(network(batch[domain]), network(gen), strict=True)
        ):
            wanted = (real - 1).square().mean() + fake.square().mean()
            assert_close(terms[f"adversarial_{domain}_{scale}"], wanted)
    assert len(terms) == 4


@pytest.mark.parametrize("loss", [LeastSquares, Hinge, NonSaturating, Relativistic])
@pytest.mark.parametrize("shared", [0, 1])
def test_phases_backward_reaches_exactly_the_networks_they_name(loss, shared):
    architecture, nets = make(shared_blocks=shared)
    batch = make_batch()
    for phase in architecture.phases(objective(loss=loss)):
        run_phase(phase, nets, batch)
        for role in nets:
            reached = [p.grad is not None for p in nets[role].parameters()]
            assert all(reached) if role in phase.trains else not any(reached)


def test_relativistic_loss_scores_the_real_images_once_for_all_scales():
    architecture, nets = make()
    calls = []
    nets["discriminator_target"].register_forward_hook(lambda *args: calls.append(args[1][0]))
    batch = make_batch()
    architecture.generator_terms(objective(loss=Relativistic), nets, batch)
    assert len(calls) == 2 and torch.equal(calls[1], batch["target"])
    calls.clear()
    architecture.generator_terms(objective(), nets, batch)
    assert len(calls) == 1


def test_discriminators_judge_what_the_generators_phase_made():
    architecture, nets = make()
    batch = make_batch()
    architecture.generator_terms(objective(), nets, batch)
    made = batch.memory["gen_target"]
    assert not made.requires_grad
    architecture.discriminator_terms(objective(), nets, batch)
    assert batch.memory["gen_target"] is made


@pytest.mark.parametrize("augmentation", [Ada, DiffAugment])
def test_augmentation_with_both_penalties_trains_the_discriminators(augmentation):
    spec = ImageSpec(16, 16, 3, source_channels=3)
    architecture, nets = make(spec)
    chosen = objective(
        component(R1), component(R2), loss=Relativistic, augmentation=component(augmentation)
    )
    architecture.check(chosen)
    batch = make_batch(spec=spec)
    for phase in architecture.phases(chosen):
        terms = run_phase(phase, nets, batch)
    assert {"r1_source", "r1_target", "r2_source", "r2_target"} <= set(terms)


def test_penalty_weighs_all_scales_alike():
    architecture, nets = make()
    batch = make_batch()
    terms = architecture.phases(objective(component(R1, gamma=4.0)))[1].loss(nets, batch)
    img = batch["source"].clone().requires_grad_(True)
    scales = [logits.mean((1, 2, 3)) for logits in nets["discriminator_source"](img)]
    (gradient,) = torch.autograd.grad(torch.stack(scales).mean(0).sum(), img)
    assert_close(terms["r1_source"], 2 * gradient.square().sum((1, 2, 3)).mean())


def test_logits_of_each_scale_are_reported():
    architecture, nets = make()
    batch = make_batch()
    architecture.discriminator_terms(objective(), nets, batch)
    assert {f"logits/real_{domain}_{scale}" for domain in DOMAINS for scale in (0, 1)} <= set(
        batch.reports
    )


def test_losses_under_bf16_autocast_are_float32_and_near(without_noise):
    architecture, nets = make()
    batch = make_batch()
    for phase in architecture.phases(objective()):
        exact = phase.loss(nets, batch)
        with torch.autocast("cpu", torch.bfloat16):
            terms = phase.loss(nets, batch)
        for name, term in terms.items():
            assert term.dtype == torch.float32
            assert_close(term, exact[name], rtol=0.1, atol=0.03)


# Generation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", Unit.directions)
def test_generate_decodes_the_mean_whatever_the_seed(direction):
    architecture, nets = make()
    start, end = direction.split("_to_")
    source = make_batch(1)[start].expand(2, -1, -1, -1)
    request = GenerateRequest([3, 4], source=source, options={"direction": direction})
    img = architecture.generate(nets, request)
    assert torch.equal(img[0], img[1])
    assert_close(img, plain(nets, start, end, source)[1])


# Refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "options", "match"),
    [
        (ImageSpec(16, 16), {}, "model.architecture: .*two domains.*data.source: .*unpaired"),
        (
            ImageSpec(32, 64, 3, 3),
            {"discriminator_scales": 4},
            "32x64.*discriminator_scales=4.*64 pixels.*lower one of these",
        ),
        (ImageSpec(18, 16, 3, 3), {}, r"18x16.*multiples of 4.*\[16, 16\]"),
        (SPEC, {"same_start": True}, "model.same_start: .*source has 1 and the target 3.*Set"),
        (ImageSpec(16, 16, 3, 5, source_kind="labels"), {}, "label maps.*pix2pix on pairs"),
    ],
)
def test_check_of_data_that_cannot_work_is_refused(spec, options, match):
    architecture = Unit(UnitConfig(**(TINY | options)), spec)
    with pytest.raises(ConfigError, match=match):
        architecture.check(objective())


def test_check_accepts_channels_that_differ_and_penalties_on_the_discriminator():
    architecture, _ = make()
    architecture.check(objective(component(GradientPenalty), loss=Hinge))
