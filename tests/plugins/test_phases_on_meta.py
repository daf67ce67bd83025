"""Each architecture's phases, forward and backward, on tensors without memory.

A tensor that is left on the CPU, or a value that is read on the host, is an error there. It would
be one on a GPU too, or make the host wait.
"""

import pytest
import torch
from ganforge_projected.discriminator import ProjectedDiscriminator
from torch.utils._python_dispatch import TorchDispatchMode

from ganforge.api import Architecture, Networks
from ganforge.objectives.frozen_features import FrozenFeatures
from ganforge.plugin_tools.cases import cases_of, make_fields
from ganforge.registry.components import resolve
from ganforge.registry.plugins import get_registry
from ganforge.training.engine.make_batch import make_batch

META = torch.device("meta")
# Convolutions and their gradients in the costliest phase of the smallest model; a bit above what is
# needed, so that a layer that does its work twice is seen.
CEILINGS = {
    "acgan": 20,
    "biggan": 58,
    "cgan": 0,
    "cut": 72,
    "cyclegan": 80,
    "dcgan": 16,
    "everybody_dance_now": 62,
    "gan_int_cls": 30,
    "lapgan": 12,
    "pix2pix": 19,
    "pix2pix_hd": 42,
    "projected_gan": 100,
    "r3gan": 100,
    "resnet_gan": 30,
    "sngan": 37,
    "stylegan": 52,
    "stylegan2": 84,
    "stylegan3": 90,
    "unit": 125,
    "vanilla": 0,
    "vid2vid": 206,
}


def test_every_architecture_has_a_ceiling():
    # BigGAN-deep has the phases of BigGAN, and four times its layers.
    registry = get_registry()
    names = registry.names(Architecture)
    plugins = {n: registry.plugin_of(registry.find(Architecture, n)) for n in names}
    built_in = {n for n, plugin in plugins.items() if plugin.distribution == "ganforge"}
    assert {*CEILINGS, "biggan_deep"} == built_in


class Convolutions(TorchDispatchMode):
    """Counts convolutions and their backward passes."""

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.total += "convolution" in func.name()
        return func(*args, **(kwargs or {}))


def count_by_phase(name):
    case = cases_of(name)[-1]
    components = resolve(case.config)
    architecture = components.bound_architecture(case.spec)
    nets = architecture.meta_networks()
    for network in nets.values():
        for features in vars(network).values():
            if isinstance(features, FrozenFeatures):  # built on the CPU wherever their owner is
                features.apply(lambda weights: weights.to(META))
    batch = make_batch(make_fields(case, 0, 0), case.spec, META)
    phases, counts = architecture.phases(components.objective), {}
    for index, part in enumerate(architecture.chunks(batch)):
        for phase in phases:
            if not phase.is_due(phase.every - 1, 0, index):
                continue
            for role, network in nets.items():
                network.train().requires_grad_(role in phase.trains)
            with Convolutions() as counted:
                terms = phase.loss(Networks(nets), part)
                assert all(term.is_meta for term in terms.values()), terms
                sum(terms.values()).backward()
            counts[phase.name] = max(counts.get(phase.name, 0), counted.total)
    return counts


@pytest.mark.parametrize("name", CEILINGS)
def test_phases_need_few_convolutions_and_never_the_host(name, monkeypatch):
    # It compares a stored hash with that of the frozen weights, once after loading.
    monkeypatch.setattr(ProjectedDiscriminator, "verify", lambda self: None)

    counts = count_by_phase(name)

    assert max(counts.values()) <= CEILINGS[name], counts
    assert max(counts.values()) >= 0.8 * CEILINGS[name], "lower the ceiling"
