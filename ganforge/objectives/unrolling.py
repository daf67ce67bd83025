"""Unrolled GANs: the generator learns against the discriminator of a few steps ahead.

Source: Metz et al. 2017, arXiv:1611.02163, Eqs. 5 to 8.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from ganforge.config.models import StrictModel
from ganforge.errors import ConfigError
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.batch import Batch, Networks, full_precision
from ganforge.interfaces.objective import Objective, ObjectiveTerm, PhaseLoss, Terms
from ganforge.objectives.adversarial_pair import NoiseToImage


class UnrollingConfig(StrictModel):
    """Discriminator steps that the generator looks ahead."""

    steps: int = Field(5, gt=0, description="Number of steps; each costs a second derivative.")
    lr: float = Field(
        gt=0, description="Learning rate of these steps, which are plain gradient descent."
    )


class Unrolling(ObjectiveTerm[UnrollingConfig]):
    """The generator plays against the discriminator of a few steps ahead (Metz et al. 2017)."""

    name, Config = "unrolling", UnrollingConfig

    def check(self, architecture: Architecture[Any], objective: Objective) -> None:
        """Refuse other games than one generator against one discriminator, and augmentation."""
        if not isinstance(architecture, NoiseToImage):
            raise ConfigError(
                f"loss.terms: 'unrolling' looks ahead in the game of one generator against one "
                f"discriminator, which '{architecture.name}' does not play. Remove it."
            )
        if objective.augmentation is not None:
            raise ConfigError(
                f"loss.terms: 'unrolling' does not go with augment.name="
                f"{objective.augmentation.name}: the augmentation would see the steps that are "
                f"only tried. Remove one."
            )

    def wrap_generator(
        self, architecture: Architecture[Any], objective: Objective, loss: PhaseLoss
    ) -> PhaseLoss:
        """The generator's loss against the discriminator of some steps ahead."""
        assert isinstance(architecture, NoiseToImage)  # by check()
        pair = architecture

        def unrolled(nets: Networks, batch: Batch) -> Terms:
            with full_precision(batch.image):
                c = pair.gen_condition(objective, batch)
                gen_img = nets["generator"](pair.latent(batch.size, c), c)
                ahead = self._look_ahead(
                    nets,
                    pair.with_generated(batch, gen_img, c),
                    lambda n, b: pair.discriminator_terms(objective, n, b),
                )
                terms = loss(ahead, batch)
                if not objective.loss.generator_needs_real:
                    terms["answer"] = _answer(pair, objective, ahead, batch, (gen_img, c))
                return terms

        return unrolled

    def _look_ahead(self, nets: Networks, batch: Batch, discriminator_loss: PhaseLoss) -> Networks:
        """The networks with the discriminator after some steps on the batch.

        It depends on the generator through the steps, so that the generator's gradient includes
        how the discriminator will respond.
        """
        network = nets.eager("discriminator")
        values: dict[str, Tensor] = {
            name: parameter.detach().requires_grad_(True)
            for name, parameter in network.named_parameters()
        }
        for _ in range(self.config.steps):
            terms = discriminator_loss(_with(nets, network, values), batch)
            gradients = torch.autograd.grad(
                torch.stack(list(terms.values())).sum(),
                list(values.values()),
                create_graph=True,
                allow_unused=True,
            )
            values = {
                name: value if gradient is None else value - self.config.lr * gradient
                for (name, value), gradient in zip(values.items(), gradients, strict=True)
            }
        return _with(nets, network, values)


def _answer(
    pair: NoiseToImage[Any],
    objective: Objective,
    nets: Networks,
    batch: Batch,
    generated: tuple[Tensor, Tensor],
) -> Tensor:
    """What the discriminator of some steps ahead loses on real images, negated.

    The generator moves that discriminator, and so its loss on real images too. Without this half
    of the game's value generated images would repel each other twice as much as real ones attract
    them.
    """
    discriminator, (gen_img, gen_c) = nets["discriminator"], generated
    real_logits = discriminator(objective.augment(batch.image), pair.condition(batch))
    with torch.no_grad():
        gen_logits = discriminator(objective.augment(gen_img), gen_c)
    return -objective.loss.discriminator(real_logits, gen_logits)


class NetworkAt(nn.Module):
    """A network at other values of its parameters, which keep their history.

    Its own parameters and buffers stay unchanged.
    """

    def __init__(self, network: nn.Module, values: dict[str, Tensor]) -> None:
        super().__init__()
        self._network = (network,)  # in a tuple, so that it is no submodule
        self._values = values

    def forward(self, *args: object) -> Tensor:
        """The network's output for `args` at these values."""
        (network,) = self._network
        # Copies: steps that are only tried must not move batch statistics or power iterations.
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        found: Tensor = functional_call(network, (self._values, buffers), args)
        return found


def _with(nets: Networks, network: nn.Module, values: dict[str, Tensor]) -> Networks:
    role = "discriminator"
    fastest = {other: nets[other] for other in nets if other != role}
    return Networks({**nets.modules(), role: NetworkAt(network, values)}, fastest)
