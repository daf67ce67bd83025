"""How networks play against each other: losses, regularizers, augmentations, the objective."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from ganforge.config.models import StrictModel, UnrollConfig
from ganforge.interfaces.component import Component, ConfigT

Terms = dict[str, Tensor]
"""Named scalar loss terms; their sum is what a phase minimises."""


class AdversarialLoss(Component[ConfigT]):
    """How discriminator and generator play. Logits may have any shape; losses are means."""

    kind = "loss"
    generator_needs_real: ClassVar[bool] = False
    """True when the generator's loss compares with the real logits (relativistic losses)."""
    needs_bound: ClassVar[bool] = False
    """True when it has no minimum unless the discriminator's slope is bounded (Wasserstein)."""

    @property
    def sign_decides(self) -> bool:
        """Whether the sign of a logit says real or generated, as adaptive augmentation reads it."""
        return True

    @abstractmethod
    def discriminator(self, real_logits: Tensor, gen_logits: Tensor) -> Tensor:
        """Scalar that the discriminator minimises."""

    @abstractmethod
    def generator(self, gen_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """Scalar that the generator minimises."""


class RegularizerConfig(StrictModel):
    """Options that every regularizer has."""

    every: int = Field(
        1, gt=0, description="Lazy regularization: apply each this many steps, scaled to match."
    )


@dataclass
class PenaltyInput:
    """What a regularizer may look at. Run with autocast off, on uncompiled networks.

    Attributes:
        discriminator: the plain discriminator module.
        generator: the plain generator module.
        critic: images [N, C, H, W] -> logits, with the real images' conditions filled in.
        real_img: [N, C, H, W] real images, without gradient.
        gen_img: () -> [N, C, H, W] generated images, without gradient; made when first asked.
        synthesize: n -> (img [n, C, H, W], latents that img depends on, with gradient).
        nimg: images shown so far, for weights that follow a schedule.
        gen_critic: as `critic`, with the conditions of `gen_img`; None when they are the same.
    """

    discriminator: nn.Module
    generator: nn.Module
    critic: Callable[[Tensor], Tensor]
    real_img: Tensor
    gen_img: Callable[[], Tensor]
    synthesize: Callable[[int], tuple[Tensor, Tensor]]
    nimg: int = 0
    gen_critic: Callable[[Tensor], Tensor] | None = None


class Regularizer(Component[ConfigT], nn.Module):
    """A penalty on one network, or a projection of its weights after each of its steps.

    State lives in float buffers: the engine reduces them over slots and ranks like gradients
    (the mean of what each slot made of the same start) and keeps them in the checkpoint.
    """

    kind = "regularizer"
    Config: ClassVar[type[StrictModel]] = RegularizerConfig
    target: ClassVar[Literal["discriminator", "generator"]]
    forbids_batchnorm: ClassVar[bool] = False
    """True when it differentiates by single images, which batch statistics would mix."""
    pairs_images: ClassVar[bool] = False
    """True when it joins a real and a generated image, which then have one condition."""
    not_with: ClassVar[tuple[str, ...]] = ()
    """Names of losses and regularizers that it is not meant for; a run with them is warned."""

    @property
    def every(self) -> int:
        """Interval in steps."""
        return int(getattr(self.config, "every", 1))

    def penalty(self, inputs: PenaltyInput) -> Tensor | None:
        """Weighted scalar penalty, before the factor `every`; None when there is only a projection.

        Args:
            inputs: images, networks and closures of the current slot.
        """
        return None

    def project(self, network: nn.Module) -> None:
        """Change the weights of `network` in place after its optimizer step."""


class Augmentation(Component[ConfigT], nn.Module):
    """A differentiable change of images shown to the discriminator, real and generated alike.

    State lives in float buffers, as for `Regularizer`.
    """

    kind = "augmentation"

    @property
    def reads_sign(self) -> bool:
        """Whether its strength follows the sign of the logits it observes."""
        return False

    def observe(self, real_logits: Tensor) -> None:
        """See the discriminator's logits for augmented real images (adaptive strength)."""

    def step_end(self, batch_size: int) -> None:
        """Adapt after a step of `batch_size` images; buffers are equal on all ranks here."""


@dataclass(frozen=True)
class Objective:
    """What the pipeline file chose for an architecture to be trained with."""

    loss: AdversarialLoss[Any]
    regularizers: tuple[Regularizer[Any], ...] = ()
    augmentation: Augmentation[Any] | None = None
    n_critic: int = 1
    matching: float = 0.0
    unroll: UnrollConfig | None = None

    def augment(self, img: Tensor) -> Tensor:
        """Augment images for the discriminator, or return them unchanged."""
        return img if self.augmentation is None else self.augmentation(img)

    def for_target(self, target: str) -> list[Regularizer[Any]]:
        """The regularizers of one network."""
        return [r for r in self.regularizers if r.target == target]
