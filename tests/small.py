"""Small architectures that the tests of plugins share."""

import torch

from ganforge.api import ImageSpec

GRAY = ImageSpec(16, 16, 1)
LABELLED = ImageSpec(16, 16, 3, class_names=("a", "b", "c"))


def build(architecture, spec=GRAY, **options):
    """An architecture with its example options and these, bound to a spec."""
    config = architecture.Config(**{**architecture.example_options, **options})
    return architecture(config, spec)


def rebound(architecture, spec):
    """The same architecture for other images."""
    return type(architecture)(architecture.config, spec)


def build_networks(architecture, spec=GRAY, **options):
    """Its networks, of seed 0."""
    torch.manual_seed(0)
    return build(architecture, spec, **options).networks()


def no_label(num):
    return torch.zeros(num, 0)


def num_parameters(network):
    return sum(p.numel() for p in network.parameters())
