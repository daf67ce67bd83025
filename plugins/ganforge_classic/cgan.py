"""Conditional GAN: both networks see label or attributes. Mirza and Osindero 2014, arXiv:1411.1784.

Deviations from the paper: images in [-1, 1] behind a tanh in place of [0, 1] behind a sigmoid;
binary attribute vectors as conditions beside labels.
"""

from collections.abc import Mapping
from typing import Literal, cast

import torch
from torch import Tensor, nn

from ganforge.api import (
    ComponentOptions,
    ConfigError,
    Field,
    GenerateRequest,
    ImageSpec,
    NoiseToImage,
    Objective,
    OptimizerConfig,
    Reads,
    ShapeError,
)
from ganforge_classic.layers import (
    Maxout,
    num_values,
    relu_stack,
    uniform_latent,
    uniform_request_latent,
)

_ATTRIBUTE_STREAM = 1


class CganConfig(ComponentOptions):
    """Options of the conditional GAN; the defaults are the paper's network for MNIST."""

    condition: Literal["label", "attributes", "both"] = Field(
        "label", description="What both networks are conditioned on; the data must have it."
    )
    z_dim: int = Field(100, gt=0, description="Latent size.")
    latent_units: int = Field(200, gt=0, description="ReLU units that see the latent.")
    condition_units: int = Field(1000, gt=0, description="ReLU units that see the condition.")
    joint_units: int = Field(1200, gt=0, description="ReLU units that see both.")
    discriminator_image_units: int = Field(
        240, gt=0, description="Maxout units of 5 pieces that see the image."
    )
    discriminator_condition_units: int = Field(
        50, gt=0, description="Maxout units of 5 pieces that see the condition."
    )
    discriminator_joint_units: int = Field(
        240, gt=0, description="Maxout units of 4 pieces that see both."
    )
    generator_dropout: float = Field(0.5, ge=0, lt=1, description="After the ReLU layers.")
    discriminator_dropout: float = Field(0.5, ge=0, lt=1, description="After the maxout layers.")


def condition_size(spec: ImageSpec) -> int:
    """Classes and attributes that the spec has."""
    return spec.num_classes + len(spec.attribute_names)


class CganGenerator(nn.Module):
    """z [N, z_dim], c [N, c_dim] -> img [N, C, H, W]: one layer for each input, one for both.

    `attribute_mean` follows how often each attribute is on, for requests that do not say.
    """

    attribute_mean: Tensor

    def __init__(self, config: CganConfig, spec: ImageSpec) -> None:
        super().__init__()
        self.shape = (spec.channels, spec.height, spec.width)
        self.num_classes = spec.num_classes
        dropout, joint = config.generator_dropout, config.latent_units + config.condition_units
        self.from_latent = relu_stack((config.z_dim, config.latent_units), dropout)
        self.from_condition = relu_stack((condition_size(spec), config.condition_units), dropout)
        self.joint = relu_stack((joint, config.joint_units), dropout)
        self.out = nn.Linear(config.joint_units, num_values(spec))
        self.register_buffer("attribute_mean", torch.full((len(spec.attribute_names),), 0.5))

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Generate."""
        if self.training and self.attribute_mean.numel():
            with torch.no_grad():
                # Linear in c, so that the mean over slots is the update by all of them.
                self.attribute_mean.lerp_(c[:, self.num_classes :].mean(dim=0), 0.01)
        both = torch.cat([self.from_latent(z), self.from_condition(c)], dim=1)
        img: Tensor = self.out(self.joint(both)).float().tanh()
        return img.reshape(-1, *self.shape)


class CganDiscriminator(nn.Module):
    """img [N, C, H, W], c [N, c_dim] -> logits [N]: maxout for each input, then for both."""

    def __init__(self, config: CganConfig, spec: ImageSpec) -> None:
        super().__init__()
        image, condition = config.discriminator_image_units, config.discriminator_condition_units
        self.from_image = Maxout(num_values(spec), image, 5)
        self.from_condition = Maxout(condition_size(spec), condition, 5)
        self.joint = Maxout(image + condition, config.discriminator_joint_units, 4)
        self.dropout = nn.Dropout(config.discriminator_dropout)
        self.out = nn.Linear(config.discriminator_joint_units, 1)

    def forward(self, img: Tensor, c: Tensor) -> Tensor:
        """Score."""
        both = torch.cat([self.from_image(img.flatten(1)), self.from_condition(c)], dim=1)
        logits: Tensor = self.out(self.dropout(self.joint(self.dropout(both)))).flatten()
        return logits


class Cgan(NoiseToImage[CganConfig]):
    """Conditional GAN (Mirza and Osindero 2014): conditions by concatenation."""

    name, Config = "cgan", CganConfig
    paper = "Mirza and Osindero 2014, arXiv:1411.1784"
    inputs = ("image", "label")
    optimizer = OptimizerConfig(name="sgd", lr=0.1, momentum=0.5)
    example_options = {
        "z_dim": 8,
        "latent_units": 8,
        "condition_units": 8,
        "joint_units": 16,
        "discriminator_image_units": 8,
        "discriminator_condition_units": 4,
        "discriminator_joint_units": 8,
    }

    @classmethod
    def reads(cls, config: CganConfig) -> Reads:
        """Images and the chosen conditions."""
        chosen = ("label", "attributes") if config.condition == "both" else (config.condition,)
        return Reads(required=("image", *chosen))

    def latent(self, num: int, like: Tensor) -> Tensor:
        """Draw z [num, z_dim] from U[-1, 1]."""
        return uniform_latent(num, self.z_dim, like)

    def request_latent(self, request: GenerateRequest) -> Tensor:
        """Draw z [N, z_dim] from U[-1, 1], each row from its seed."""
        return uniform_request_latent(request, self.z_dim)

    def check(self, objective: Objective) -> None:
        """Refuse data without the condition."""
        for name in self.reads(self.config).conditions:
            if name not in self.conditions:
                raise ConfigError(
                    f"model.condition={self.config.condition}: the data have no {name}, which "
                    f"'cgan' is conditioned on. Prepare them with it (labels: a folder per class), "
                    f"choose another model.condition, or model.architecture: vanilla."
                )

    def networks(self) -> dict[str, nn.Module]:
        """Generator and discriminator."""
        return {
            "generator": CganGenerator(self.config, self.spec),
            "discriminator": CganDiscriminator(self.config, self.spec),
        }

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Images [N, C, H, W] from the request's seeds and conditions.

        Conditions that are not given are drawn from the seeds: a class uniformly, each attribute
        on (1) as often as in the training data and else off (0).
        """
        self.check_request(request.truncation, request.options)
        gen = cast(CganGenerator, nets["generator"])
        label = request.random_label(self.spec.num_classes)
        c = torch.cat([label, _attributes(gen.attribute_mean, request)], dim=1)
        img: Tensor = gen(self.request_latent(request), c)
        return img


def _attributes(mean: Tensor, request: GenerateRequest) -> Tensor:
    given, wanted = request.attributes, (request.size, mean.numel())
    if given is None:
        drawn = request.uniform(mean.numel(), stream=_ATTRIBUTE_STREAM) < mean
        return drawn.float()
    if given.shape != wanted:
        raise ShapeError(
            f"attributes has shape {list(given.shape)}; this model wants {list(wanted)}: one row "
            f"per seed, one column per attribute in the order of the data."
        )
    return given.to(mean)
