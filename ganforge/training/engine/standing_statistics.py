"""Standing statistics: BatchNorm statistics measured on the averaged weights before they generate.

The running statistics of BatchNorm belong to the weights during training, and fit averaged weights
poorly. Standing statistics are measured on the averaged weights, over several batches of fresh
latents. Source: Brock et al. 2019, arXiv:1809.11096, appendix C.1.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.config.models import StandingStatisticsConfig
from ganforge.errors import ConfigError
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest
from ganforge.layers.batchnorm import BatchNorm, moments, unbias

# Far from the seeds of samples and metrics, whose images must not set their own statistics. No
# farther, because torch's CPU generator uses 32 bits of a seed, and a request takes 8 of them.
_FIRST_SEED = 1 << 23


def generating_networks(
    architecture: Architecture[Any],
    averaged: Mapping[str, nn.Module],
    config: StandingStatisticsConfig | None,
) -> dict[str, nn.Module]:
    """The networks that sample pictures, metrics and exports generate with.

    These are copies with standing statistics, or the averaged networks where `config` is None. The
    statistics depend on the weights alone, so that all ranks get the same.
    """
    if config is None:
        return dict(averaged)
    networks = {role: copy.deepcopy(network) for role, network in averaged.items()}
    _measure(architecture, networks, config)
    return networks


def check_standing_statistics(
    architecture: Architecture[Any],
    networks: Mapping[str, nn.Module],
    config: StandingStatisticsConfig | None,
) -> None:
    """Refuse standing statistics where they cannot be measured.

    Raises:
        ConfigError: the generating networks have no BatchNorm, or generate from data.
    """
    if config is None:
        return
    if architecture.directions or "text" in architecture.conditions:
        needs = "images to translate" if architecture.directions else "captions"
        raise ConfigError(
            f"train.standing_statistics: '{architecture.name}' generates from {needs}, but batch "
            f"statistics are measured from seeds and labels alone. Remove it."
        )
    if not any(_norms(networks[role]) for role in architecture.ema_roles):
        raise ConfigError(
            f"train.standing_statistics: the networks of '{architecture.name}' that generate have "
            f"no BatchNorm, so there are no statistics to measure. Remove it."
        )


def _norms(network: nn.Module) -> list[BatchNorm]:
    return [
        module
        for module in network.modules()
        if isinstance(module, BatchNorm) and module.running_mean is not None
    ]


class _MeanMoments:
    """The mean over passes of one norm's batch statistics.

    Each pass is normalized by its own batch statistics. This is a hook, not the training mode of
    the norm: that may average over ranks, and only rank 0 draws sample pictures.
    """

    def __init__(self, norm: BatchNorm) -> None:
        assert norm.running_mean is not None and norm.running_var is not None
        self.running = (norm.running_mean, norm.running_var)
        self.means = [torch.zeros_like(running) for running in self.running]
        self.passes = 0
        self.handle = norm.register_forward_pre_hook(self._observe)

    def _observe(self, norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].float()
        mean, var = moments(x)
        self.passes += 1
        for running, value in zip(self.running, (mean, var), strict=True):
            running.copy_(value)
        batch = (mean, var * unbias(x.numel() / x.shape[1]))
        for total, value in zip(self.means, batch, strict=True):
            total.lerp_(value, 1 / self.passes)

    def finish(self) -> None:
        """Leave the means in the norm."""
        self.handle.remove()
        if self.passes:
            for running, mean in zip(self.running, self.means, strict=True):
                running.copy_(mean)


@torch.no_grad()
def _measure(
    architecture: Architecture[Any],
    networks: Mapping[str, nn.Module],
    config: StandingStatisticsConfig,
) -> None:
    device = next(next(iter(networks.values())).parameters()).device
    measured = [_MeanMoments(norm) for network in networks.values() for norm in _norms(network)]
    for index in range(config.batches):
        first = _FIRST_SEED + index * config.batch_size
        request = GenerateRequest(range(first, first + config.batch_size), device)
        if architecture.spec.num_classes:
            request.label = request.random_label(architecture.spec.num_classes)
        with torch.autocast(device.type, enabled=False):
            architecture.generate(networks, request)
    for norm_moments in measured:
        norm_moments.finish()
