"""Standing statistics: batch statistics of the averaged weights, measured before they generate.

The running statistics in BatchNorm are those of the weights as they were trained, which are poor
estimates for averaged weights. Standing statistics are measured on the averaged weights themselves,
over several batches of fresh latents. Source: Brock et al. 2019, arXiv:1809.11096, appendix C.1.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganforge.config.models import StandingConfig
from ganforge.errors import ConfigError
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest

# Far from the seeds of samples and metrics, whose images must not set their own statistics; not
# farther, because torch's generator on the CPU looks at 32 bits, of which a request takes 8.
_FIRST_SEED = 1 << 23


def generating_networks(
    architecture: Architecture[Any],
    averaged: Mapping[str, nn.Module],
    config: StandingConfig | None,
) -> dict[str, nn.Module]:
    """The networks that sample pictures, metrics and exports generate with.

    Args:
        architecture: generates.
        averaged: the averaged networks, in eval mode; they stay as they are.
        config: how many batches to measure; None for the averaged networks themselves.

    Returns:
        Copies with standing statistics, a function of the weights alone and so equal on all ranks,
        or the averaged networks where there is no `config`.
    """
    if config is None:
        return dict(averaged)
    networks = {role: copy.deepcopy(network) for role, network in averaged.items()}
    _measure(architecture, networks, config)
    return networks


def check_standing(
    architecture: Architecture[Any],
    networks: Mapping[str, nn.Module],
    config: StandingConfig | None,
) -> None:
    """Refuse standing statistics where there is nothing to measure, or no way to.

    Raises:
        ConfigError: the generating networks have no BatchNorm, or generate from data.
    """
    if config is None:
        return
    if architecture.translates or "text" in architecture.conditions:
        needs = "images to translate" if architecture.translates else "captions"
        raise ConfigError(
            f"train.standing_statistics: '{architecture.name}' generates from {needs}, but batch "
            f"statistics are measured from seeds and labels alone. Remove it."
        )
    if not any(_norms(networks[role]) for role in architecture.ema_roles):
        raise ConfigError(
            f"train.standing_statistics: the networks of '{architecture.name}' that generate have "
            f"no BatchNorm, so there are no statistics to measure. Remove it."
        )


def _norms(network: nn.Module) -> list[_BatchNorm]:
    return [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    ]


class _Moments:
    """Mean over passes of one norm's batch statistics, while each pass is normalised by its own.

    A hook before the norm and not its training mode: that may average over ranks, and not all of
    them draw sample pictures.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        assert norm.running_mean is not None and norm.running_var is not None
        self.running = (norm.running_mean, norm.running_var)
        self.means = [torch.zeros_like(running) for running in self.running]
        self.passes = 0
        self.handle = norm.register_forward_pre_hook(self._observe)

    def _observe(self, norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].float()
        var, mean = torch.var_mean(x, dim=[0, *range(2, x.dim())], correction=0)
        count = x.numel() / x.shape[1]
        self.passes += 1
        for running, found in zip(self.running, (mean, var), strict=True):
            running.copy_(found)
        for total, found in zip(self.means, (mean, var * (count / max(count - 1, 1))), strict=True):
            total.lerp_(found, 1 / self.passes)

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
    config: StandingConfig,
) -> None:
    device = next(next(iter(networks.values())).parameters()).device
    found = [_Moments(norm) for network in networks.values() for norm in _norms(network)]
    for index in range(config.batches):
        first = _FIRST_SEED + index * config.batch_size
        request = GenerateRequest(range(first, first + config.batch_size), device)
        if architecture.spec.num_classes:
            request.label = request.random_label(architecture.spec.num_classes)
        with torch.autocast(device.type, enabled=False):
            architecture.generate(networks, request)
    for moments in found:
        moments.finish()
