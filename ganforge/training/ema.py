"""Exponential moving average of the generating networks, with a half-life in images."""

import copy
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


class Ema:
    """Averaged copies of some networks, in eval mode and without gradients."""

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        roles: Iterable[str],
        halflife_kimg: float,
        rampup: float | None,
    ) -> None:
        self._live = {role: networks[role] for role in roles}
        self.networks = {
            role: copy.deepcopy(network).eval().requires_grad_(False)
            for role, network in self._live.items()
        }
        self._halflife_nimg = halflife_kimg * 1000
        self._rampup = rampup

    def decay(self, nimg: int, batch_size: int) -> float:
        """Weight of the old average after a batch: 0.5 ** (batch_size / half-life).

        During the ramp-up the half-life is at most `rampup` times the progress
        (Karras et al. 2020, arXiv:2006.06676).
        """
        halflife = self._halflife_nimg
        if self._rampup is not None:
            halflife = min(halflife, nimg * self._rampup)
        return float(0.5 ** (batch_size / max(halflife, 1e-8)))

    @torch.no_grad()
    def update(self, nimg: int, batch_size: int) -> None:
        """Move parameters towards the live ones; copy buffers."""
        decay = self.decay(nimg, batch_size)
        for role, averaged in self.networks.items():
            live = self._live[role]
            own_parameters: list[Tensor] = list(averaged.parameters())
            torch._foreach_lerp_(own_parameters, list(live.parameters()), 1 - decay)
            for own, other in zip(averaged.buffers(), live.buffers(), strict=True):
                own.copy_(other)
