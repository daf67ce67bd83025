"""What all translators do alike: the objectives, sizes and sources that they take or refuse."""

import dataclasses

import pytest
import torch
from ganforge_translation.cut import Cut
from ganforge_translation.cyclegan import Cyclegan
from ganforge_translation.pix2pix import Pix2pix
from ganforge_translation.pix2pix_hd import Pix2pixHd
from ganforge_translation.unit import Unit
from ganforge_translation.unit_networks import ImageNorm
from torch.testing import assert_close
from translating import build, component, images_of, objective

from ganforge.api import (
    Batch,
    ConfigError,
    GenerateRequest,
    ImageSpec,
    Networks,
    Regularizer,
    ShapeError,
)
from ganforge.config.choices import ComponentChoice
from ganforge.config.models import LossConfig, ModelConfig
from ganforge.layers import InstanceNorm, SpectralNorm
from ganforge.objectives.augment.ada import Ada
from ganforge.objectives.losses import NonSaturating
from ganforge.objectives.regularizers import PathLength
from ganforge.plugin_tools.cases import cases_of, start, train_case

SPEC = ImageSpec(32, 32, 3, source_channels=3)
FAMILY = (Pix2pix, Pix2pixHd, Cyclegan, Cut, Unit)
R1_R2 = (ComponentChoice(name="r1", gamma=1.0), ComponentChoice(name="r2", gamma=1.0))
LOSSES = {
    "hinge": LossConfig(name="hinge", regularizers=({"name": "r1", "every": 2},)),
    "r3gan": LossConfig(name="relativistic", regularizers=R1_R2),
}


@pytest.fixture(scope="module")
def plain_cases():
    return {architecture: cases_of(architecture.name)[0] for architecture in FAMILY}


def with_objective(case, loss, augment, norm):
    model = ModelConfig(
        architecture=case.config.model.architecture,
        **(case.architecture.example_options | {"discriminator_norm": norm}),
    )
    update = {"loss": LOSSES[loss], "augment": ComponentChoice(name=augment, p=0.5), "model": model}
    if augment == "diffaugment":
        update["augment"] = ComponentChoice(name=augment)
    return dataclasses.replace(case, config=case.config.model_copy(update=update))


def parameters(run):
    modules = run.nets.modules().items()
    return {f"{role}.{n}": p for role, net in modules for n, p in net.named_parameters()}


@pytest.mark.parametrize("architecture", FAMILY)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("augment", ["ada", "diffaugment"])
@pytest.mark.parametrize("norm", ["instance", "spectral"])
def test_translator_trains_two_steps_with_any_objective(
    architecture, loss, augment, norm, plain_cases
):
    run = start(with_objective(plain_cases[architecture], loss, augment, norm), 2)
    before = {name: p.detach().clone() for name, p in parameters(run).items()}
    terms = set()
    run.phases = [noting(phase, terms) for phase in run.phases]
    train_case(plain_cases[architecture], run)
    assert all(p.isfinite().all() for p in parameters(run).values())
    changed = {name for name, p in parameters(run).items() if not torch.equal(p, before[name])}
    assert {name.partition(".")[0] for name in changed} == set(run.nets)
    assert {"r1", "r2"} & terms == ({"r1", "r2"} if loss == "r3gan" else {"r1"})


def noting(phase, names):
    """The phase, which adds the first words of its terms to `names`."""

    def loss(nets, batch):
        terms = phase.loss(nets, batch)
        names.update(name.partition("_")[0] for name in terms)
        return terms

    return dataclasses.replace(phase, loss=loss)


@pytest.mark.parametrize("architecture", FAMILY)
def test_discriminator_norm_is_that_of_the_option(architecture, plain_cases):
    case = plain_cases[architecture]
    kinds = {"none": set(), "instance": {InstanceNorm}, "spectral": {SpectralNorm}}
    for norm, wanted in kinds.items():
        options = case.architecture.example_options | {"discriminator_norm": norm}
        built = architecture(architecture.Config(**options), case.spec)
        networks = built.networks()
        modules = [m for role in built.discriminator_roles for m in networks[role].modules()]
        assert {type(m) for m in modules} & {InstanceNorm, SpectralNorm} == wanted


@pytest.mark.parametrize("architecture", [Pix2pix, Pix2pixHd])
def test_augmentation_moves_the_source_with_the_image(architecture, plain_cases):
    case = plain_cases[architecture]
    built = architecture(architecture.Config(**case.architecture.example_options), case.spec)
    nets, seen = Networks(built.networks()), []
    nets["discriminator"].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    img = torch.rand(2, 3, case.spec.height, case.spec.width)
    chosen = objective(loss=NonSaturating, augmentation=Ada(Ada.Config(pipe="blit", p=1.0)))
    torch.manual_seed(3)
    built.discriminator_terms(chosen, nets, Batch({"source": img, "target": img.clone()}))
    real = seen[0][:2]
    assert_close(real[:, :3], real[:, 3:])
    assert not torch.equal(real[:, 3:], img)


def seen_side(architecture, spec, **options):
    """Side of the square of source pixels on which the middle pixel depends, without norms."""
    config = architecture.Config(**(dict(architecture.example_options) | options))
    built = architecture(config, spec)
    torch.manual_seed(0)
    networks = built.networks()
    for network in networks.values():
        for parameter in network.parameters():
            parameter.data.abs_()  # so that no path is cut by a ReLU
    source = torch.rand(1, 3, spec.height, spec.width, requires_grad=True)
    img = built.generate(networks, GenerateRequest([0], source=source))
    img[..., spec.height // 2, spec.width // 2].sum().backward()
    rows, columns = source.grad[0].abs().sum(0).nonzero().T
    return max(int(x.max() - x.min()) + 1 for x in (rows, columns)), built.receptive_field


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        (Cyclegan, {"num_blocks": 2}),
        (Cut, {"num_blocks": 2}),
        (Cut, {"num_blocks": 1, "antialias": False, "upsampling": "resize"}),
        (Unit, {}),
        (Pix2pix, {"depth": 3, "dropout": 0}),
        (Pix2pixHd, {"enhancers": 0, "num_downs": 2}),
    ],
)
def test_receptive_field_is_what_a_pixel_sees_without_normalization(
    architecture, options, monkeypatch
):
    monkeypatch.setattr(InstanceNorm, "forward", lambda self, x: x / 4)
    monkeypatch.setattr(ImageNorm, "forward", lambda self, x: x / 4)
    monkeypatch.setattr(torch, "tanh", lambda x: x)
    spec = ImageSpec(128, 128, 3, source_channels=3)
    seen, stated = seen_side(architecture, spec, **options)
    # A pixel in the middle of its cell sees less than others by up to the coarsest cell.
    assert stated - built_stride(architecture, spec, options) <= seen <= stated


def built_stride(architecture, spec, options):
    config = architecture.Config(**(dict(architecture.example_options) | options))
    return architecture(config, spec).stride


# What all of them refuse, and the sizes that all of them take


@pytest.fixture(params=FAMILY, ids=lambda kind: kind.name)
def built(request):
    """A small translator, and its networks."""
    return build(request.param, SPEC, request.param.example_options)


@pytest.mark.parametrize(
    ("source", "match"),
    [
        (None, "no source.*Give source"),
        (torch.zeros(1, 3, 32, 32), r"\[1, 3, 32, 32\].*\[2, 3, H, W\].*one image per seed"),
        (torch.zeros(2, 1, 32, 32), r"\[2, 1, 32, 32\].*\[2, 3, H, W\].*Convert"),
        (torch.zeros(2, 3, 32, 34), "multiples of [48].*resize"),
        (torch.zeros(2, 3, 32), r"\[2, 3, 32\].*\[2, 3, H, W\]"),
    ],
)
def test_source_that_does_not_fit_is_refused(built, source, match):
    architecture, nets = built
    with pytest.raises(ShapeError, match=match) as caught:
        architecture.generate(nets, GenerateRequest([0, 1], source=source))
    assert f"'{architecture.name}'" in str(caught.value)


@pytest.mark.parametrize("times", [(1, 1), (2, 10), (15, 6)])
def test_generate_takes_every_multiple_of_the_stride(built, times):
    architecture, nets = built
    size = [number * architecture.stride for number in times]
    with torch.no_grad():
        img = architecture.generate(nets, GenerateRequest([0], source=torch.rand(1, 3, *size)))
    assert img.shape == (1, 3, *size) and img.isfinite().all()


def test_penalty_on_a_generator_that_starts_from_a_latent_is_refused(built):
    with pytest.raises(ConfigError, match="'path_length'.*starts from an image. Remove it"):
        built[0].check(objective(component(PathLength)))


class Latent(Regularizer):
    name, target = "latent", "discriminator"

    def penalty(self, inputs):
        return inputs.synthesize(1)[0].sum()


def test_penalty_that_asks_for_latents_is_refused(built):
    architecture, nets = built
    phase = architecture.phases(objective(component(Latent)))[1]
    with pytest.raises(ConfigError, match="loss.regularizers: .*latents.*Remove that penalty"):
        phase.loss(nets, images_of(SPEC, 2))
