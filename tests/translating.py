"""What the tests of the translators share: batches, objectives, and a phase run as in training."""

import torch

from ganforge.api import Batch, Networks, Objective
from ganforge.objectives.losses import LeastSquares


def build(architecture_class, spec, options):
    """An architecture with these options, and its networks from seed 0."""
    architecture = architecture_class(architecture_class.Config(**options), spec)
    torch.manual_seed(0)
    return architecture, Networks(architecture.networks())


def images_of(spec, size):
    """A batch of both domains, the same whenever it is made."""
    generator = torch.Generator().manual_seed(7)
    shapes = {"source": spec.source_channels, "target": spec.channels}
    return Batch(
        {
            name: torch.rand(size, channels, spec.height, spec.width, generator=generator) * 2 - 1
            for name, channels in shapes.items()
        }
    )


def component(kind, **options):
    return kind(kind.Config(**options))


def objective(*regularizers, loss=LeastSquares, **options):
    return Objective(component(loss), tuple(regularizers), **options)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def run_phase(phase, nets, batch):
    """Freeze all but what the phase trains and go backward, as the engine does."""
    for role in nets:
        nets[role].requires_grad_(role in phase.trains)
        nets[role].zero_grad()
    terms = phase.loss(nets, batch)
    torch.stack(list(terms.values())).sum().backward()
    return {name: term.item() for name, term in terms.items()}
