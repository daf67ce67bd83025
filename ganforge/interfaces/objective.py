"""The training objective: losses, regularizers, augmentations and objective terms."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

import torch
from pydantic import Field
from torch import Tensor, nn

from ganforge.config.models import StrictModel
from ganforge.errors import ConfigError
from ganforge.interfaces.batch import Batch, Networks
from ganforge.interfaces.component import Component, ConfigT

if TYPE_CHECKING:
    from ganforge.interfaces.architecture import Architecture

Terms = dict[str, Tensor]
"""Named scalar loss terms; a phase minimizes their sum."""
PhaseLoss = Callable[[Networks, Batch], Terms]


@dataclass(frozen=True)
class Equilibrium:
    """An adversarial loss where real and generated images cannot be told apart.

    Attributes:
        discriminator: the discriminator's loss; above 0.
        generator_gradient: mean size of the gradient of the generator's loss at a logit.
    """

    discriminator: float
    generator_gradient: float


class AdversarialLoss(Component[ConfigT]):
    """The adversarial game. Logits may have any shape; losses are means over them."""

    kind = "loss"
    generator_needs_real: ClassVar[bool] = False
    """Whether the generator's loss compares with the real logits (relativistic losses)."""
    needs_lipschitz: ClassVar[bool] = False
    """Whether it is unbounded unless the discriminator is Lipschitz (Wasserstein)."""

    @property
    def logit_sign_is_class(self) -> bool:
        """Whether sign(D(x)) classifies real vs. generated; ADA's r_t needs it."""
        return True

    @property
    def equilibrium_logit(self) -> float | None:
        """The logit of a discriminator that cannot tell real from generated images, D = 1/2.

        It minimizes the discriminator's loss among logits that are the same for all images; any of
        them where there are several. None where the loss has no scale, or none is known: the health
        monitor then judges less.
        """
        return None

    @cached_property
    def equilibrium(self) -> Equilibrium | None:
        """What the loss is at `equilibrium_logit`; None without one."""
        if self.equilibrium_logit is None:
            return None
        logit = torch.tensor([self.equilibrium_logit], device="cpu")
        loss, gradient = self.discriminator(logit, logit), self.generator_gradient(logit, logit)
        return Equilibrium(float(loss), float(gradient))

    def generator_gradient(self, real_logits: Tensor, gen_logits: Tensor) -> Tensor:
        """Mean size of the gradient of the generator's loss at a logit: 0 where it saturates."""
        logits = gen_logits.detach().float().requires_grad_(True)
        with torch.enable_grad():
            loss = self.generator(logits, real_logits.detach().float())
            (gradient,) = torch.autograd.grad(loss, logits)
        return gradient.abs().sum()  # the loss is a mean over logits

    @abstractmethod
    def discriminator(self, real_logits: Tensor, gen_logits: Tensor) -> Tensor:
        """Scalar that the discriminator minimizes."""

    @abstractmethod
    def generator(self, gen_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """Scalar that the generator minimizes."""


class RegularizerConfig(StrictModel):
    """Options that every regularizer has."""

    every: int = Field(
        1, gt=0, description="Lazy regularization: apply every N steps, weight scaled by N."
    )


class GradientPenaltyConfig(RegularizerConfig):
    """Options of every regularizer that differentiates a network at images or latents."""

    precision: Literal["fp32", "mixed"] = Field(
        "fp32",
        description="Of the network while it is differentiated. mixed: that of the run's forward "
        "passes where it is bf16: faster, and less exact.",
    )


@dataclass
class PenaltyInput:
    """What a penalty is computed from. The networks are not compiled.

    Autocast is off, unless the regularizer's `precision` is mixed.

    Attributes:
        critic: images [N, C, H, W] -> logits, under the real images' conditions.
        real_img: [N, C, H, W] real images, without gradient.
        gen_img: () -> [N, C, H, W] generated images, without gradient; drawn at the first call.
        synthesize: n -> (img [n, C, H, W], latents that img depends on, with gradient).
        nimg: images shown so far, for weights that follow a schedule.
        gen_critic: as `critic`, under the conditions of `gen_img`; None if they are the same.
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

    State lives in float buffers. The engine averages them over slots and ranks, like gradients,
    and keeps them in the checkpoint.
    """

    kind = "regularizer"
    Config: ClassVar[type[StrictModel]] = RegularizerConfig
    target: ClassVar[Literal["discriminator", "generator"]]
    pairs_images: ClassVar[bool] = False
    """Whether it joins a real and a generated image, which must then share one condition."""
    incompatible: ClassVar[tuple[str, ...]] = ()
    """Incompatible losses and regularizers; using them logs a warning."""

    @property
    def every(self) -> int:
        """Interval in steps."""
        return int(getattr(self.config, "every", 1))

    @property
    def precision(self) -> str:
        """Of the networks in `penalty`: fp32 or mixed."""
        return str(getattr(self.config, "precision", "fp32"))

    def check(self, networks: Mapping[str, nn.Module]) -> None:
        """Raise a ConfigError for networks, by role and on meta, that it cannot regularize."""

    def penalty(self, inputs: PenaltyInput) -> Tensor | None:
        """Weighted scalar penalty, before the factor `every`; None for a projection."""
        return None

    def project(self, network: nn.Module) -> None:
        """Change the weights of `network` in place after its optimizer step."""


class Augmentation(Component[ConfigT], nn.Module):
    """A differentiable change of images shown to the discriminator, real and generated alike.

    `forward` takes images [N, C, H, W], or clips [N, T, C, H, W] whose frames all get the same
    change. State lives in float buffers, as for `Regularizer`.
    """

    kind = "augmentation"

    def paired(self, img: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
        """Augment images as `forward` does, and their conditions by the same geometry.

        Override it to support `objective.augment(img, along=...)`.

        Args:
            img: [N, C, H, W] images or [N, T, C, H, W] clips.
            along: as `img`, with any number of channels and frames; its colors stay.
        """
        raise ConfigError(
            f"augment.name={self.name} cannot move an image and its condition together, which this "
            f"architecture needs. Use ada or diffaugment, or remove `augment`."
        )

    @property
    def reads_sign(self) -> bool:
        """Whether its strength adapts to the sign of the logits that it observes."""
        return False

    def observe(self, real_logits: Tensor) -> None:
        """Receive the discriminator's logits of augmented real images (adaptive strength)."""

    def step_end(self, batch_size: int) -> None:
        """Adapt after a step of `batch_size` images; buffers are equal on all ranks here."""


@dataclass(frozen=True)
class Scores:
    """One discriminator's logits in the current slot: what an objective term sees.

    Attributes:
        batch: the slot's batch; `batch.report` logs a value.
        real: logits of the real images.
        gen: logits of the generated images.
        rescored: logits of the real images under the term's `other_condition`; None without one.
    """

    loss: AdversarialLoss[Any]
    batch: Batch
    real: Tensor
    gen: Tensor
    rescored: Tensor | None = None


class ObjectiveTerm(Component[ConfigT], nn.Module):
    """A term that `loss.terms` adds to the objective of any architecture.

    State lives in float buffers, as for `Regularizer`.
    """

    kind = "objective term"

    def check(self, architecture: Architecture[Any], objective: Objective) -> None:
        """Raise a ConfigError for an architecture or objective that it does not work with."""

    def caveats(self, architecture: Architecture[Any]) -> list[str]:
        """Warnings about training on these data, for the log: "has no effect, because ..."."""
        return []

    def other_condition(self, names: tuple[str, ...], c: Tensor) -> Tensor | None:
        """Conditions under which the discriminator scores the real images once more, or None.

        Args:
            names: the batch fields of the conditions, e.g. ("label",); empty for none.
            c: [N, c_dim] conditioning vectors of the real images.
        """
        return None

    def discriminator(self, scores: Scores) -> Terms:
        """Weighted terms to add to the discriminator's loss, named after this component."""
        return {}

    def wrap_generator(
        self, architecture: Architecture[Any], objective: Objective, loss: PhaseLoss
    ) -> PhaseLoss:
        """The generator's loss, or a replacement for it (unrolling)."""
        return loss


@dataclass(frozen=True)
class Objective:
    """The objective that the pipeline file chose: an architecture passes logits and gets terms."""

    loss: AdversarialLoss[Any]
    regularizers: tuple[Regularizer[Any], ...] = ()
    augmentation: Augmentation[Any] | None = None
    terms: tuple[ObjectiveTerm[Any], ...] = ()
    n_critic: int = 1

    @overload
    def augment(self, img: Tensor) -> Tensor: ...
    @overload
    def augment(self, img: Tensor, along: Tensor) -> tuple[Tensor, Tensor]: ...
    def augment(self, img: Tensor, along: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Augment images for the discriminator, or return them unchanged.

        Args:
            img: [N, C, H, W] images, or [N, T, C, H, W] clips whose frames get the same change.
            along: a condition with the same pixel grid, such as the source image or a one-hot
                label map, with any number of channels. It gets the same geometry and no color.

        Returns:
            The images; with `along`, the images and it.

        Raises:
            ConfigError: the augmentation does not support `along`.
        """
        if self.augmentation is None:
            return img if along is None else (img, along)
        if along is None:
            return self.augmentation(img)  # type: ignore[no-any-return]
        return self.augmentation.paired(img, along)

    def for_target(self, target: str) -> list[Regularizer[Any]]:
        """The regularizers of one network."""
        return [r for r in self.regularizers if r.target == target]

    def refuse_term(self, name: str, why: str) -> None:
        """Raise a ConfigError if the pipeline file lists this term, for `Architecture.check`."""
        if any(term.name == name for term in self.terms):
            raise ConfigError(f"loss.terms: '{name}' cannot be used here: {why}. Remove it.")

    def other_conditions(self, names: tuple[str, ...], c: Tensor) -> dict[str, Tensor]:
        """Further conditions to score the real images under, by term: c [N, c_dim]."""
        found = {term.name: term.other_condition(names, c) for term in self.terms}
        return {name: other for name, other in found.items() if other is not None}

    def discriminator(
        self,
        batch: Batch,
        real_logits: Tensor,
        gen_logits: Tensor,
        *,
        part: str = "",
        adapt: bool = True,
        rescored: Mapping[str, Tensor] | None = None,
    ) -> Terms:
        """The discriminator's terms: adversarial, and what `loss.terms` adds.

        Reports logits and accuracies to the log, and feeds adaptive augmentation if `adapt`.
        The logits are of augmented images. With several discriminators, `part` says which one this
        is; it ends the names of terms and reports. `rescored` holds the logits of the real images
        under `other_conditions`, by term.
        """
        if self.augmentation is not None and adapt:
            self.augmentation.observe(real_logits.detach())
        terms = {"adversarial": self.loss.discriminator(real_logits, gen_logits)}
        self._report(batch, real_logits, gen_logits, part, terms["adversarial"])
        for term in self.terms:
            other = (rescored or {}).get(term.name)
            terms |= term.discriminator(Scores(self.loss, batch, real_logits, gen_logits, other))
        return _named(terms, part)

    def generator(self, gen_logits: Tensor, real: Callable[[], Tensor], *, part: str = "") -> Terms:
        """The generator's adversarial term.

        Logits are of augmented images; `real()` gives them if the loss compares with real images.
        `part` is as for `discriminator`.
        """
        real_logits = real() if self.loss.generator_needs_real else None
        return _named({"adversarial": self.loss.generator(gen_logits, real_logits)}, part)

    def _report(self, batch: Batch, real: Tensor, gen: Tensor, part: str, loss: Tensor) -> None:
        values = {"logits/real": real, "logits/gen": gen}
        if self.loss.logit_sign_is_class:
            values |= {"accuracy/real": real > 0, "accuracy/gen": gen < 0}
        if real.shape == gen.shape:
            values["accuracy/pairs"] = 0.5 + 0.5 * (real - gen).sign()
        if (level := self.loss.equilibrium) is not None:
            values["relative/discriminator_loss"] = loss / level.discriminator
            if level.generator_gradient > 0:
                gradient = self.loss.generator_gradient(real, gen)
                values["relative/generator_gradient"] = gradient / level.generator_gradient
        for name, value in values.items():
            batch.report(name, value)
            if part:
                batch.report(f"{name}_{part}", value)


def _named(terms: Terms, part: str) -> Terms:
    return {f"{name}_{part}": term for name, term in terms.items()} if part else terms
