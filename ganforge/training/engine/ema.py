"""Exponential moving average of the generating networks, with a half-life in images.

Running statistics of BatchNorm are averaged with the weights, so that both lag alike. Other
buffers are copied: singular vectors of spectral normalization have no meaningful mean, and an
average latent is a mean already.
"""

import copy
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from ganforge.config.schedules import Schedule, value_at
from ganforge.layers.batchnorm import BatchNorm


class Ema:
    """Averaged copies of some networks, in eval mode and without gradients.

    Args:
        networks: all networks by role.
        roles: the networks to average.
        halflife_kimg: half-life of the average in thousands of images; 0 copies the weights.
        rampup: limits the half-life to this fraction of the progress; None for no limit.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        roles: Iterable[str],
        halflife_kimg: float | Schedule,
        rampup: float | None,
    ) -> None:
        self._live = {role: networks[role] for role in roles}
        self.networks = {
            role: copy.deepcopy(network).eval().requires_grad_(False)
            for role, network in self._live.items()
        }
        self._is_statistic = {
            role: _is_statistic(network) for role, network in self.networks.items()
        }
        self._halflife_kimg = halflife_kimg
        self._rampup = rampup

    def decay(self, nimg: int, batch_size: int) -> float:
        """Weight of the old average in an update: 0.5 ** (batch_size / half-life).

        During the ramp-up the half-life is at most `rampup` times the progress.
        Source: Karras et al. 2020, arXiv:2006.06676.
        """
        halflife = value_at(self._halflife_kimg, nimg) * 1000
        if self._rampup is not None:
            halflife = min(halflife, nimg * self._rampup)
        return float(0.5 ** (batch_size / max(halflife, 1e-8)))

    def restart(self) -> None:
        """Make the averages equal to the live networks."""
        for role, averaged in self.networks.items():
            averaged.load_state_dict(self._live[role].state_dict())

    @torch.no_grad()
    def update(self, nimg: int, batch_size: int) -> None:
        """Move parameters and batch statistics towards the live ones; copy other buffers."""
        decay = self.decay(nimg, batch_size)
        for role, averaged in self.networks.items():
            live = self._live[role]
            averages, targets = list[Tensor](averaged.parameters()), list[Tensor](live.parameters())
            buffers = zip(averaged.buffers(), live.buffers(), strict=True)
            for (mine, theirs), is_statistic in zip(buffers, self._is_statistic[role], strict=True):
                if is_statistic:
                    averages.append(mine)
                    targets.append(theirs)
                else:
                    mine.copy_(theirs)
            torch._foreach_lerp_(averages, targets, 1 - decay)


def _is_statistic(network: nn.Module) -> list[bool]:
    """For each buffer, in order, whether it is a running mean or variance of a BatchNorm."""
    statistics = {
        id(buffer)
        for module in network.modules()
        if isinstance(module, BatchNorm)
        for buffer in (module.running_mean, module.running_var)
    }
    return [id(buffer) in statistics for buffer in network.buffers()]
