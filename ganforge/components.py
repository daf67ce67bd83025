"""The base classes of everything a plugin can provide, from architectures to pipeline stages.

A component is a named class with a pydantic `Config`. It is chosen by that name in the pipeline
file and built from the options beside the name.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from ganforge.batch import Batch, GenerateRequest, ImageSpec, Networks
from ganforge.component import Component as Component
from ganforge.component import ConfigT as ConfigT
from ganforge.component import hookimpl as hookimpl
from ganforge.config import OptimizerConfig, StrictModel, UnrollConfig
from ganforge.errors import ConfigError, suggest
from ganforge.source import Sample as Sample
from ganforge.source import Source as Source
from ganforge.stage import RunContext as RunContext
from ganforge.stage import Stage as Stage

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


@dataclass(frozen=True)
class Phase:
    """One kind of optimizer update within a step.

    Attributes:
        name: unique in the architecture; part of log keys and of the random seed.
        trains: roles that this phase updates; all other networks are frozen.
        loss: (networks, batch) -> named terms, whose sum is minimised.
        every: the phase runs each this many steps, at the end of the interval.
        lazy: a regularization phase that shares an optimizer with a main phase; the optimizer's
            learning rate and betas are scaled to make up for it (Karras et al. 2020,
            arXiv:1912.04958, appendix B).
        after_step: called with the networks after the optimizer step, without gradient.
    """

    name: str
    trains: tuple[str, ...]
    loss: Callable[[Networks, Batch], Terms]
    every: int = 1
    lazy: bool = False
    after_step: Callable[[Networks], None] | None = None


class Architecture(Component[ConfigT]):
    """What is trained: networks, the phases that train them, and how to generate.

    It never says how it is run: no device, rank, precision, optimizer step, file or log.
    """

    kind = "architecture"
    paper: ClassVar[str]
    """Citation: authors, year, arXiv number."""
    inputs: tuple[str, ...] = ("image",)
    """Batch fields it must have; an instance may set its own, where an option decides."""
    optional_inputs: tuple[str, ...] = ()
    """Batch fields it uses when the data has them; as for `inputs`."""
    ema_roles: tuple[str, ...] = ("generator",)
    """Networks that generate: averaged over training, measured, exported; as for `inputs`."""
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig()
    """The paper's optimizer; `train.optimizer` in the pipeline file overrides its fields."""
    optimizers: ClassVar[Mapping[str, OptimizerConfig]] = {}
    """Fields that differ for some roles; `train.optimizers` overrides them."""
    translates: ClassVar[tuple[str, ...]] = ()
    """Names of the directions it translates images in; empty for noise-to-image models.

    The first goes from source to target, a second one back. `request.options["direction"]` holds
    the one asked for; the first when it is absent.
    """
    supports_unrolling: ClassVar[bool] = False
    """Whether its phases follow `Objective.unroll`."""
    supports_matching: ClassVar[bool] = False
    """Whether its phases follow `Objective.matching`."""
    supports_truncation: ClassVar[bool] = False
    """Whether `generate` follows `request.truncation`."""
    generate_options: ClassVar[Mapping[str, str]] = {}
    """Further `request.options` that `generate` understands: name -> what it does, with unit."""
    latent_spaces: tuple[str, ...] = ("z",)
    """Spaces in which latents can be blended, the one that looks best last.

    z, the draws of `request.noise` and `request.uniform`, needs nothing more. For each other one
    `generate` calls `request.blended(space, ...)`.
    """
    example_options: ClassVar[Mapping[str, Any]] = {}
    """Options of a very small model: the contract checks build and train it."""

    @property
    def seen_features(self) -> tuple[str, ...]:
        """Feature extractors that its losses look through: records of metrics on them say so."""
        return ()

    def check(self, spec: ImageSpec, objective: Objective) -> None:
        """Refuse what cannot work before anything is built.

        Raises:
            ConfigError: an unreachable resolution, a forbidden combination, ...
        """

    @abstractmethod
    def networks(self, spec: ImageSpec) -> dict[str, nn.Module]:
        """Build the initialised networks by role."""

    @abstractmethod
    def phases(self, objective: Objective) -> list[Phase]:
        """The phases of a step, in order."""

    @abstractmethod
    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Images [N, C, H, W] in [-1, 1], one per seed: the one inference path.

        Args:
            nets: at least the `ema_roles`, in eval mode, without gradient.
            request: seeds and conditions. The result depends on nothing else.
        """

    def num_styles(self, nets: Mapping[str, nn.Module]) -> int:
        """Layers that take their own row of the last latent space, [N, layers, ...]; 0 for none.

        With layers, styles can be mixed: some from one seed, the others from another.
        """
        return 0

    def check_request(self, truncation: float | None, options: Mapping[str, Any]) -> None:
        """Refuse what `generate` would not understand, before anything is generated.

        Raises:
            ConfigError: truncation where there is none, or that is negative or not finite; an
                unknown option, near names listed.
        """
        if truncation is not None and not self.supports_truncation:
            raise ConfigError(
                f"truncation={truncation} was asked for, but the architecture '{self.name}' has "
                f"no truncation. Leave it out."
            )
        is_number = isinstance(truncation, float | int)
        if truncation is not None and not (
            is_number and math.isfinite(truncation) and truncation >= 0
        ):
            raise ConfigError(
                f"truncation={truncation} was asked for of '{self.name}'. Give a finite number, 0 "
                f"or more, e.g. 0.7, or leave it out."
            )
        known = {*self.generate_options, *(("direction",) if self.translates else ())}
        for name in options:
            if name not in known:
                raise ConfigError(
                    f"The architecture '{self.name}' has no generation option '{name}'. "
                    f"{suggest(name, known)}"
                )
        direction = options.get("direction")
        if direction is not None and direction not in self.translates:
            raise ConfigError(
                f"The architecture '{self.name}' has no direction {direction!r}. "
                f"{suggest(str(direction), self.translates)}"
            )

    def chunks(self, batch: Batch) -> Iterator[Batch]:
        """Cut a slot's batch into parts that are trained one after the other.

        The phases run for each part. Sequence models yield a few frames at a time and carry
        detached state in `batch.memory` (truncated back-propagation through time).
        """
        yield batch


class FeatureExtractor(Component[ConfigT], nn.Module):
    """A frozen network whose features metrics compare.

    It follows torch-fidelity: `forward` maps uint8 images [N, C, H, W] to a dict of float32
    features [N, D] by layer name.
    """

    kind = "feature extractor"
    layers: ClassVar[Mapping[str, str]]
    """The layer each metric uses: {"fid": ..., "kid": ..., "is": ...}."""
    resize: ClassVar[str] = "none"
    """How images reach the network's size, in words: part of each number's provenance."""
    precision: str = "fp32"
    """Arithmetic of the forward pass: part of each number's provenance."""
    compiled: bool = False
    """Whether the forward pass is compiled: the same numbers to rounding."""

    @property
    @abstractmethod
    def sha256(self) -> str:
        """Hash of the weights: part of each number's provenance."""

    @abstractmethod
    def forward(self, img: Tensor) -> dict[str, Tensor]:
        """Features of uint8 images [N, C, H, W] by layer name."""

    @classmethod
    def map_shapes(cls, config: ConfigT, height: int, width: int) -> list[tuple[int, int, int]]:
        """Channels, height and width of each of `maps`, from the finest; reads no weights.

        Raises:
            ConfigError: it gives no maps, or takes no images of this size.
        """
        raise ConfigError(
            f"The feature extractor '{cls.name}' gives no feature maps, only pooled features. "
            f"Choose one of which docs/extractors.md says that it gives maps."
        )

    def maps(self, img: Tensor) -> list[Tensor]:
        """Feature maps [N, c, h, w] of float images [N, C, H, W] in [-1, 1], from the finest.

        They can be differentiated by the images: architectures may train against them.

        Raises:
            ConfigError: as `map_shapes`.
        """
        self.map_shapes(self.config, *img.shape[-2:])
        raise ConfigError(f"'{self.name}' names the shapes of maps, but `maps` is not overridden.")


class Metric(Component[ConfigT]):
    """A number computed from features of generated, and mostly of real, images."""

    kind = "metric"
    needs_real: ClassVar[bool] = True
    lower_is_better: ClassVar[bool] = True

    def check(self, num_gen: int, num_real: int) -> None:
        """Refuse counts that cannot work, before anything is generated.

        Raises:
            MetricError: too few images for the options; says how many are needed.
        """

    def caveats(
        self, gen: Mapping[str, Tensor], real: Mapping[str, Tensor], layers: Mapping[str, str]
    ) -> list[str]:
        """What a reader of the number must know; kept in its record. Arguments as `compute`."""
        return []

    @abstractmethod
    def compute(
        self, gen: Mapping[str, Tensor], real: Mapping[str, Tensor], layers: Mapping[str, str]
    ) -> dict[str, float]:
        """Values by name.

        Args:
            gen: features of generated images by layer, each [N, D] on the CPU.
            real: features of real images, or empty.
            layers: the extractor's layer for each metric.
        """
