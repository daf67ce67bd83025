"""What the translators of this package share: phases, discriminator options, and refusals."""

import functools
from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn

from ganforge.api import (
    Architecture,
    Batch,
    ComponentOptions,
    ConfigError,
    Field,
    GenerateRequest,
    Networks,
    Objective,
    OptimizerConfig,
    PenaltyInput,
    Phase,
    Terms,
    with_penalties,
)
from ganforge.layers import (
    MultiScaleDiscriminator,
    PatchDiscriminator,
    Upsampling,
    spectral_norm,
)
from ganforge_translation.requests import checked_source, no_latent

OTHER = {"source": "target", "target": "source"}
"""Each domain's counterpart."""
DiscriminatorNorm = Literal["none", "instance", "spectral"]
UpsamplingOption = Annotated[
    Upsampling,
    Field(
        description="transposed: as in the paper; resize: nearest neighbor and a convolution, "
        "which leaves no checkerboard."
    ),
]
NetworkT = TypeVar("NetworkT", bound=nn.Module)


class PatchDiscriminatorOptions(ComponentOptions):
    """Size of the patch discriminators."""

    discriminator_width: int = Field(64, gt=0, description="Channels of the first layer.")
    discriminator_layers: int = Field(
        3,
        ge=1,
        le=6,
        description="Layers after the first. A logit sees 16, 34, 70, 142 ... pixels with "
        "1, 2, 3, 4 ...",
    )


class TranslatorOptions(PatchDiscriminatorOptions):
    """Options of the patch discriminators, which every translator of images has."""

    discriminator_norm: DiscriminatorNorm = Field(
        "instance",
        description="instance: normalize the maps; spectral: the weights instead; none: neither.",
    )


class LeastSquaresWeights(ComponentOptions):
    """Weights of translators whose papers have the least-squares loss without its 1/2."""

    adversarial_weight: float = Field(
        2.0,
        gt=0,
        description="Generators' adversarial term. 2 undoes the 1/2 in `least_squares`, which "
        "gives the paper's balance; with a loss that has no 1/2 take 1.",
    )
    discriminator_weight: float = Field(
        1.0,
        gt=0,
        description="Discriminators' loss. `least_squares` has the authors' 1/2; with a loss "
        "that has none take 0.5.",
    )


class LeastSquaresOptions(LeastSquaresWeights, TranslatorOptions):
    """Options of patch discriminators, and these weights."""


OptionsT = TypeVar("OptionsT", bound=TranslatorOptions)


class ImageTranslator(Architecture[OptionsT]):
    """A translator trained in two phases, against patch discriminators.

    Subclasses name their roles, and give the terms of both phases.
    """

    inputs = ("source", "target")
    optimizer = OptimizerConfig(name="adam", lr=2e-4, betas=(0.5, 0.999))
    directions: ClassVar[tuple[str, ...]] = ("source_to_target",)
    stride: int = 4  # the networks halve each side of the image twice
    is_paired: ClassVar[bool] = False
    generator_roles: tuple[str, ...] = ("generator",)
    discriminator_roles: tuple[str, ...] = ("discriminator",)
    num_scales: int = 1
    """Discriminators of one image, each of half the size of the one before."""
    size_options: ClassVar[tuple[str, ...]] = ("discriminator_layers",)
    """Options that decide how small an image may be."""
    stride_options: ClassVar[tuple[str, ...]] = ()
    """Options that decide `stride`."""

    @abstractmethod
    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """What the generators minimize."""

    @abstractmethod
    def discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """What the discriminators minimize, without penalties."""

    @abstractmethod
    def penalty_inputs(
        self, objective: Objective, nets: Networks, batch: Batch
    ) -> dict[str, PenaltyInput]:
        """What penalties are computed from, by discriminator, for `with_penalties`."""

    def phases(self, objective: Objective) -> list[Phase]:
        """The generators, the discriminators, then the discriminators' lazy penalties."""
        plural = "s" if len(self.discriminator_roles) > 1 else ""
        generators = functools.partial(self.generator_terms, objective)
        discriminators = functools.partial(self.discriminator_terms, objective)
        every = objective.n_critic
        return [
            Phase(f"generator{plural}", self.generator_roles, generators, every=every),
            *with_penalties(
                Phase(f"discriminator{plural}", self.discriminator_roles, discriminators),
                objective.for_target("discriminator"),
                functools.partial(self.penalty_inputs, objective),
            ),
        ]

    @property
    def channels(self) -> dict[str, int]:
        """Channels of the images of each domain."""
        return {
            "source": self.spec.source_channels or self.spec.channels,
            "target": self.spec.channels,
        }

    def penalized(
        self,
        nets: Networks,
        batch: Batch,
        critic: Callable[[nn.Module, Tensor], Tensor],
        gen_img: Callable[[], Tensor],
        *,
        generator: str = "generator",
        domain: str = "",
    ) -> PenaltyInput:
        """What penalties on one discriminator are computed from.

        Args:
            nets: by role.
            batch: has the real images.
            critic: (discriminator, images) -> logits of the images through the augmentation, as
                in the loss.
            gen_img: () -> translations, without gradient.
            generator: role of what made them.
            domain: of the discriminator; empty where there is one, of the target.
        """
        discriminator = nets.eager(f"discriminator_{domain}" if domain else "discriminator")
        return PenaltyInput(
            discriminator=discriminator,
            generator=nets.eager(generator),
            critic=functools.partial(critic, discriminator),
            nimg=batch.nimg,
            real_img=batch[domain or "target"].detach(),
            gen_img=gen_img,
            synthesize=no_latent(self.name),
        )

    def patch_discriminator(
        self, channels: int, *, affine: bool = False, antialias: bool = False
    ) -> PatchDiscriminator:
        """A discriminator with the options of the file; arguments as for `PatchDiscriminator`."""
        config = self.config
        network = PatchDiscriminator(
            channels,
            config.discriminator_width,
            config.discriminator_layers,
            affine=affine,
            normalize=config.discriminator_norm == "instance",
            antialias=antialias,
        )
        return self.normalized(network)

    def multi_scale_discriminator(self, channels: int) -> MultiScaleDiscriminator:
        """Discriminators of `num_scales` sizes of an image, with the options of the file."""
        config = self.config
        network = MultiScaleDiscriminator(
            channels,
            config.discriminator_width,
            config.discriminator_layers,
            self.num_scales,
            normalize=config.discriminator_norm == "instance",
        )
        return self.normalized(network)

    def normalized(self, network: NetworkT) -> NetworkT:
        """The discriminator, with spectral normalization if `discriminator_norm` says so."""
        if self.config.discriminator_norm == "spectral":
            for layer in [m for m in network.modules() if isinstance(m, nn.Conv2d)]:
                spectral_norm(layer)
        return network

    def is_forward(self, request: GenerateRequest) -> bool:
        """Whether to translate from the source to the target."""
        return self._direction(request) == self.directions[0]

    def _direction(self, request: GenerateRequest) -> str:
        return str(request.options.get("direction", self.directions[0]))

    def checked_source(self, request: GenerateRequest) -> Tensor:
        """The images [N, C, H, W] to translate, on the device of the request.

        Raises:
            ConfigError: the request has options that the architecture does not have.
            ShapeError: there is no source, or its shape does not fit.
        """
        self.check_request(request.truncation, request.options)
        channels = self.spec.source_channels if self.is_forward(request) else None
        direction = self._direction(request) if len(self.directions) > 1 else ""
        return checked_source(
            self.name, request, channels or self.spec.channels, self.stride, direction
        )

    def check(self, objective: Objective) -> None:
        """Refuse data without sources, sizes that do not fit, and penalties without a meaning."""
        self._check_source()
        self._check_size()
        for regularizer in objective.for_target("generator"):
            raise ConfigError(
                f"loss.regularizers: '{regularizer.name}' is made for a generator that starts from "
                f"a latent; that of '{self.name}' starts from an image. Remove it; penalties on "
                f"the discriminator (r1, r2, gradient_penalty, ...) work."
            )

    def _check_source(self) -> None:
        if self.spec.source_channels is not None:
            return
        if self.is_paired:
            raise ConfigError(
                f"model.architecture: '{self.name}' learns from pairs, but the data has one image "
                f"per sample. Prepare pairs with data.source: {{name: pairs, source: ..., target: "
                f"...}} (for label maps add data.fields: {{source: {{kind: labels}}}}), or derive "
                f"the source from the image, e.g. data.derive: edges."
            )
        raise ConfigError(
            f"model.architecture: '{self.name}' translates between two domains, but the data has "
            f"one. Prepare both with data.source: {{name: unpaired, source: ..., target: ...}}."
        )

    def _check_size(self) -> None:
        sides = (self.spec.height, self.spec.width)
        least = MultiScaleDiscriminator.smallest_size(
            self.config.discriminator_layers, self.num_scales
        )
        if min(sides) < least:
            raise ConfigError(
                f"data.resolution: {sides[0]}x{sides[1]} is too small for the discriminators of "
                f"'{self.name}' with {self._with(self.size_options)}, which want {least} pixels or "
                f"more a side. Use larger images, or lower one of these options."
            )
        if any(side % self.stride for side in sides):
            most = -(-least // self.stride) * self.stride
            near = [max(most, round(side / self.stride) * self.stride) for side in sides]
            also = f", or lower {self._with(self.stride_options)}" if self.stride_options else ""
            raise ConfigError(
                f"data.resolution: '{self.name}' halves each side down to a fraction of "
                f"1/{self.stride}, so that {sides[0]}x{sides[1]} would not come back; both must be "
                f"multiples of {self.stride}. Use {near}{also}."
            )

    def _with(self, options: tuple[str, ...]) -> str:
        values = self.config.model_dump()
        return " and ".join(f"model.{name}={values[name]}" for name in options)


def seen_by(objective: Objective) -> Callable[[nn.Module, Tensor], Tensor]:
    """(discriminator, images) -> logits of the images through the augmentation, for penalties."""

    def critic(discriminator: nn.Module, img: Tensor) -> Tensor:
        logits: Tensor = discriminator(objective.augment(img))
        return logits

    return critic


def augmented_pair(objective: Objective, img: Tensor, source: Tensor) -> Tensor:
    """Images under their sources, [N, S + C, H, W], augmented alike."""
    img, source = objective.augment(img, along=source)
    return torch.cat([source, img], dim=1)


def remembered(batch: Batch, name: str, translate: Callable[[], Tensor]) -> Tensor:
    """Translations that an earlier phase left in `batch.memory`; new ones where it was not due."""
    if name not in batch.memory:
        with torch.no_grad():
            batch.memory[name] = translate()
    img: Tensor = batch.memory[name]
    return img


def weighted(terms: Terms, weight: float) -> Terms:
    """The terms, each times `weight`."""
    return {name: weight * term for name, term in terms.items()}


def l1(img: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference, float32."""
    return (img.float() - wanted.float()).abs().mean()
