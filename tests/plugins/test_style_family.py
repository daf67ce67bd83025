"""What all StyleGANs do alike."""

import pytest
import torch
from ganforge_stylegan.stylegan1 import Stylegan
from ganforge_stylegan.stylegan2 import Stylegan2
from ganforge_stylegan.stylegan3 import Stylegan3
from small import GRAY, LABELLED, build, build_networks, no_label

from ganforge.api import Architecture, Batch, ImageSpec, Networks, Objective
from ganforge.objectives.losses import NonSaturating
from ganforge.objectives.regularizers import R1, PathLength
from ganforge.registry.plugins import get_registry

FAMILY = pytest.mark.parametrize(
    "architecture, options",
    [
        (Stylegan, {}),
        (Stylegan2, {"discriminator": "residual"}),
        (Stylegan2, {"discriminator": "plain"}),
        (Stylegan3, {}),
    ],
    ids=["stylegan", "stylegan2-residual", "stylegan2-plain", "stylegan3"],
)


@pytest.mark.parametrize("architecture", [Stylegan, Stylegan2, Stylegan3])
def test_style_plugins_are_registered(architecture):
    assert get_registry().find(Architecture, architecture.name) is architecture


@pytest.mark.parametrize(
    "spec", [GRAY, ImageSpec(24, 40, 3), ImageSpec(32, 16, 4), LABELLED], ids=str
)
@FAMILY
def test_style_family_any_image_spec_gives_images_and_logits(architecture, options, spec):
    networks = build_networks(architecture, spec, **options)
    c = torch.eye(3)[:2] if spec.num_classes else no_label(2)
    img = networks["generator"](torch.randn(2, 8), c)
    assert img.shape == (2, spec.channels, spec.height, spec.width)
    assert networks["discriminator"](img, c).shape == (2,)


@FAMILY
def test_style_family_labels_change_image_and_logit(architecture, options):
    networks = build_networks(architecture, LABELLED, **options)
    networks["generator"].eval()
    z, classes = torch.randn(1, 8), torch.eye(3)
    images = [networks["generator"](z, classes[k : k + 1]) for k in range(2)]
    assert (images[0] - images[1]).abs().max() > 1e-4
    logits = [networks["discriminator"](images[0], classes[k : k + 1]) for k in range(2)]
    assert (logits[0] - logits[1]).abs() > 1e-4


@FAMILY
def test_style_family_phases_reach_every_parameter(architecture, options):
    networks = build_networks(architecture, **options)
    regularizers = (R1(R1.Config(every=16)), PathLength(PathLength.Config(every=4)))
    objective = Objective(NonSaturating(NonSaturating.Config()), regularizers)
    batch = Batch({"image": torch.rand(4, 1, 16, 16) * 2 - 1})
    for phase in build(architecture, **options).phases(objective):
        for network in networks.values():
            network.zero_grad()
        sum(phase.loss(Networks(networks), batch).values()).backward()
        grads = {n: p.grad for n, p in networks[phase.trains[0]].named_parameters()}
        assert all(g is None or g.isfinite().all() for g in grads.values())
        without = {n for n, g in grads.items() if g is None}
        assert all("bias" in n for n in without) if phase.lazy else not without
