"""Inception weights, random but fixed, for tests and benchmarks: the real ones are 96 MB."""

from pathlib import Path

import torch
from torch import nn


def random_inception_weights(path: Path) -> Path:
    """Write random weights of torch-fidelity's Inception, scaled to keep the size of signals."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Blank(FeatureExtractorInceptionV3):
        def load_state_dict(self, *args, **kwargs):
            return None

    torch.save({}, path)
    network = Blank("blank", ["2048"], feature_extractor_weights_path=str(path))
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.05, generator=generator)
            nn.init.normal_(module.bias, generator=generator)
    torch.save(network.state_dict(), path)
    return path
