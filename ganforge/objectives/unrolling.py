"""Unrolled GANs: the generator learns against the discriminator of a few steps ahead.

Source: Metz et al. 2017, arXiv:1611.02163, Eqs. 5 to 8.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ganforge.config.models import UnrollConfig
from ganforge.interfaces.batch import Batch, Networks
from ganforge.interfaces.objective import Terms


class NetworkAt(nn.Module):
    """A network at other values of its parameters, which keep their history.

    Its own parameters and buffers stay as they are.
    """

    def __init__(self, network: nn.Module, values: dict[str, Tensor]) -> None:
        super().__init__()
        self._network = (network,)  # in a tuple, so that it is no part of this module
        self._values = values

    def forward(self, *args: object) -> Tensor:
        """What the network makes of `args` at these values."""
        (network,) = self._network
        # Copies: batch statistics and power iterations are not to move by what is only tried.
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        found: Tensor = functional_call(network, (self._values, buffers), args)
        return found


def look_ahead(
    nets: Networks,
    batch: Batch,
    discriminator_loss: Callable[[Networks, Batch], Terms],
    config: UnrollConfig,
) -> Networks:
    """The networks with the discriminator of a few steps ahead.

    Args:
        nets: as they are.
        batch: what the steps are made on; `memory` holds images with gradient.
        discriminator_loss: terms whose sum a step goes down.
        config: how many steps of which size, by plain gradient descent.

    Returns:
        Networks whose discriminator depends on the generator through the steps, so that the
        generator's gradient tells how the discriminator will answer.
    """
    network = nets.eager("discriminator")
    values: dict[str, Tensor] = {
        name: parameter.detach().requires_grad_(True)
        for name, parameter in network.named_parameters()
    }
    for _ in range(config.steps):
        terms = discriminator_loss(_with(nets, network, values), batch)
        gradients = torch.autograd.grad(
            torch.stack(list(terms.values())).sum(),
            list(values.values()),
            create_graph=True,
            allow_unused=True,
        )
        values = {
            name: value if gradient is None else value - config.lr * gradient
            for (name, value), gradient in zip(values.items(), gradients, strict=True)
        }
    return _with(nets, network, values)


def _with(nets: Networks, network: nn.Module, values: dict[str, Tensor]) -> Networks:
    role = "discriminator"
    fastest = {other: nets[other] for other in nets if other != role}
    return Networks({**nets.modules(), role: NetworkAt(network, values)}, fastest)


def trial_batch(batch: Batch, gen_img: Tensor, gen_c: Tensor) -> Batch:
    """The batch for the steps ahead: generated images with gradient; nothing is reported."""
    return replace(batch, memory={"gen_img": gen_img, "gen_c": gen_c}, reports={})
