"""Penalties on a network and projections of its weights, applied every step or every few.

A critic may return several logits per image (patches, scales); its value at an image is their
mean, as in the adversarial losses, so that one weight fits critics with one or many logits.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganforge.config.schedules import ScheduledPositive, value_at
from ganforge.errors import ConfigError, ShapeError
from ganforge.interfaces.objective import (
    GradientPenaltyConfig,
    PenaltyInput,
    Regularizer,
    RegularizerConfig,
)
from ganforge.layers.batchnorm import BatchNorm
from ganforge.objectives.losses import full
from ganforge.objectives.second_derivatives import input_gradient

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def critic_gradient(critic: Callable[[Tensor], Tensor], img: Tensor) -> Tensor:
    """Gradient of the critic's value at each image: [N, C * H * W], in at least float32.

    It is differentiable in the critic's weights; the history of `img` [N, C, H, W] is cut.
    """
    leaf = full(img.detach()).requires_grad_(True)
    logits = critic(leaf)
    value = full(logits).reshape(leaf.shape[0], -1).mean(1).sum()
    return input_gradient(value, leaf).flatten(1)


def squared_gradient_norm(critic: Callable[[Tensor], Tensor], img: Tensor) -> Tensor:
    """Squared gradient norm of the critic at each image: [N].

    Source: Mescheder et al. 2018, arXiv:1801.04406, Eqs. 9 and 10 (R1 at real images, R2 at
    generated ones), before gamma / 2.
    """
    return critic_gradient(critic, img).square().sum(1)


def lipschitz_penalty(
    critic: Callable[[Tensor], Tensor], img: Tensor, one_sided: bool = False
) -> Tensor:
    """Squared distance of the critic's gradient norm from 1 at each image: [N].

    Where `one_sided`, norms below 1 are not penalized.
    Source: Gulrajani et al. 2017, arXiv:1704.00028, Eq. 3.
    """
    # vector_norm has the subgradient 0 at 0, where the root of a sum of squares gives NaN.
    norm: Tensor = torch.linalg.vector_norm(critic_gradient(critic, img), dim=1)
    excess = norm - 1.0
    return (excess.clamp(min=0.0) if one_sided else excess).square()


def interpolate(real_img: Tensor, gen_img: Tensor) -> Tensor:
    """Points [N, C, H, W] on the lines between real and generated images, one draw per pair.

    Raises:
        ShapeError: the shapes differ.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1.
    """
    if real_img.shape != gen_img.shape:
        raise ShapeError(
            f"gradient_penalty interpolates between pairs, but real images are "
            f"{list(real_img.shape)} and generated ones {list(gen_img.shape)}. Let the "
            f"architecture generate one image of the same size per real image."
        )
    real, gen = full(real_img), full(gen_img)
    epsilon = torch.rand(real.shape[0], 1, 1, 1, device=real.device, dtype=real.dtype)
    return epsilon * real + (1.0 - epsilon) * gen


def path_lengths(img: Tensor, latents: Tensor) -> Tensor:
    """Length [N] of J^T y per image: y is noise of the image's shape, J = d img / d latents.

    Args:
        img: [N, C, H, W], a differentiable function of `latents`.
        latents: [N, w_dim], or [N, num_ws, w_dim] where the mean square over num_ws is taken.

    Source: Karras et al. 2020 (StyleGAN2), arXiv:1912.04958, Eq. 4.
    """
    img = full(img)
    # Unit variance over the area makes the length independent of the resolution (appendix B).
    noise = torch.randn_like(img) / math.sqrt(img.shape[2] * img.shape[3])
    per_latent = full(input_gradient((img * noise).sum(), latents)).flatten(1)
    num_latents = max(1, per_latent.shape[1] // latents.shape[-1])
    length: Tensor = torch.linalg.vector_norm(per_latent, dim=1)
    return length / math.sqrt(num_latents)


def off_diagonal_energy(filters: Tensor) -> Tensor:
    """Sum of squared inner products of different filters [num_filters, ...].

    Source: Brock et al. 2019 (BigGAN), arXiv:1809.11096, Eq. 3.
    """
    flat = full(filters).flatten(1)
    if flat.shape[0] > flat.shape[1]:
        # |W W'| = |W' W|, which is smaller: for BigGAN 1,536 instead of 24,576 numbers a side.
        norms = flat.square().sum(1)
        return (flat.T @ flat).square().sum() - norms.square().sum()
    gram = flat @ flat.T
    return (gram - torch.diag(gram.diagonal())).square().sum()


def _refuse_batchnorm(regularizer: Regularizer[Any], networks: Mapping[str, nn.Module]) -> None:
    """Refuse BatchNorm, which mixes the images of a batch."""
    for role, network in networks.items():
        norm = next((n for n, m in network.named_modules() if isinstance(m, BatchNorm)), None)
        if norm is not None:
            raise ConfigError(
                f"loss.regularizers: '{regularizer.name}' penalizes the gradient of each image "
                f"alone, but the {role} has BatchNorm ('{norm}'), which mixes the images of a "
                f"batch (Gulrajani et al. 2017, sec. 4). Choose another norm for it (e.g. "
                f"model.discriminator_norm: none)."
            )


class GammaConfig(GradientPenaltyConfig):
    """Options of R1 and R2."""

    gamma: ScheduledPositive = Field(
        1.0,
        description="The penalty is gamma / 2 times the mean squared gradient norm. StyleGAN2's "
        "rule of thumb: 0.0002 * height * width / batch_size.",
    )


class R1(Regularizer[GammaConfig]):
    """Zero-centered gradient penalty at real images (Mescheder et al. 2018, arXiv:1801.04406)."""

    name = "r1"
    Config = GammaConfig
    target: ClassVar[Literal["discriminator", "generator"]] = "discriminator"

    def penalty(self, inputs: PenaltyInput) -> Tensor:
        """Half of gamma times the mean squared gradient norm at real images."""
        norms = squared_gradient_norm(inputs.critic, inputs.real_img)
        return value_at(self.config.gamma, inputs.nimg) / 2 * norms.mean()


class R2(Regularizer[GammaConfig]):
    """Zero-centered gradient penalty at generated images (Mescheder et al. 2018)."""

    name = "r2"
    Config = GammaConfig
    target: ClassVar[Literal["discriminator", "generator"]] = "discriminator"

    def penalty(self, inputs: PenaltyInput) -> Tensor:
        """Half of gamma times the mean squared gradient norm at generated images."""
        critic = inputs.gen_critic or inputs.critic
        norms = squared_gradient_norm(critic, inputs.gen_img())
        return value_at(self.config.gamma, inputs.nimg) / 2 * norms.mean()


class WganGpConfig(GradientPenaltyConfig):
    """Options of WGAN-GP's penalty."""

    weight: ScheduledPositive = Field(10.0, description="Lambda of the paper.")
    one_sided: bool = Field(False, description="Penalize only gradient norms above 1.")


class GradientPenalty(Regularizer[WganGpConfig]):
    """WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028). The critic must not use BatchNorm."""

    name = "gradient_penalty"
    Config = WganGpConfig
    target: ClassVar[Literal["discriminator", "generator"]] = "discriminator"
    pairs_images: ClassVar[bool] = True
    incompatible: ClassVar[tuple[str, ...]] = ("weight_clipping", "r1", "r2")
    check = _refuse_batchnorm

    def penalty(self, inputs: PenaltyInput) -> Tensor:
        """Weighted mean of (gradient norm - 1)^2 between real and generated images."""
        between = interpolate(inputs.real_img, inputs.gen_img())
        per_image = lipschitz_penalty(inputs.critic, between, self.config.one_sided)
        return value_at(self.config.weight, inputs.nimg) * per_image.mean()


class DraganConfig(GradientPenaltyConfig):
    """Options of DRAGAN."""

    weight: ScheduledPositive = Field(10.0, description="Lambda of the paper.")
    spread: float = Field(
        0.5, gt=0, description="Noise is uniform up to this many standard deviations of the batch."
    )


class Dragan(Regularizer[DraganConfig]):
    """Gradient penalty around real images (Kodali et al. 2017, arXiv:1705.07215)."""

    name = "dragan"
    Config = DraganConfig
    target: ClassVar[Literal["discriminator", "generator"]] = "discriminator"
    incompatible: ClassVar[tuple[str, ...]] = ("gradient_penalty",)
    check = _refuse_batchnorm

    def penalty(self, inputs: PenaltyInput) -> Tensor:
        """Weighted mean of (gradient norm - 1)^2 near real images."""
        real = full(inputs.real_img)
        reach = self.config.spread * real.std(correction=0)
        near = real + reach * torch.rand_like(real)
        per_image = lipschitz_penalty(inputs.critic, near)
        return value_at(self.config.weight, inputs.nimg) * per_image.mean()


class WeightClippingConfig(RegularizerConfig):
    """Options of WGAN's weight clipping."""

    limit: float = Field(0.01, gt=0, description="Weights are clamped to [-limit, limit].")


class WeightClipping(Regularizer[WeightClippingConfig]):
    """The original WGAN's Lipschitz constraint (Arjovsky et al. 2017, arXiv:1701.07875)."""

    name = "weight_clipping"
    Config = WeightClippingConfig
    target: ClassVar[Literal["discriminator", "generator"]] = "discriminator"
    incompatible: ClassVar[tuple[str, ...]] = (
        "minimax",
        "nonsaturating",
        "least_squares",
        "hinge",
        "relativistic",
    )

    @torch.no_grad()
    def project(self, network: nn.Module) -> None:
        """Clamp every parameter."""
        for parameter in network.parameters():
            parameter.clamp_(-self.config.limit, self.config.limit)


class PathLengthConfig(GradientPenaltyConfig):
    """Options of StyleGAN2's path length regularization."""

    every: int = Field(
        4, gt=0, description="Lazy regularization: apply every N steps, weight scaled by N."
    )
    weight: ScheduledPositive = Field(2.0, description="Factor on the penalty.")
    decay: float = Field(0.01, gt=0, le=1, description="Step of the running mean length.")
    batch_shrink: int = Field(2, gt=0, description="Use this part of the batch, to save memory.")


class PathLength(Regularizer[PathLengthConfig]):
    """A step in w should change the image by a fixed amount (Karras et al. 2020, Eq. 4)."""

    name = "path_length"
    Config = PathLengthConfig
    target: ClassVar[Literal["discriminator", "generator"]] = "generator"

    mean_length: Tensor

    def __init__(self, config: PathLengthConfig) -> None:
        super().__init__(config)
        self.register_buffer("mean_length", torch.zeros(()))

    def penalty(self, inputs: PenaltyInput) -> Tensor:
        """Weighted mean squared distance from the running mean length, which is updated.

        The batch's part of the mean keeps its gradient, as in the authors' code.
        """
        num_images = max(1, inputs.real_img.shape[0] // self.config.batch_shrink)
        lengths = path_lengths(*inputs.synthesize(num_images))
        # Linear in the lengths, so the mean over slots equals one update with all of them.
        mean_length = self.mean_length.to(lengths).lerp(lengths.mean(), self.config.decay)
        self.mean_length.copy_(mean_length.detach())
        distance = (lengths - mean_length).square()
        return value_at(self.config.weight, inputs.nimg) * distance.mean()


class OrthogonalConfig(RegularizerConfig):
    """Options of BigGAN's orthogonal regularization."""

    weight: ScheduledPositive = Field(1e-4, description="Beta of the paper.")
    exclude: tuple[str, ...] = Field(
        (), description="Skip modules whose name contains one of these. Embeddings never count."
    )


class Orthogonal(Regularizer[OrthogonalConfig]):
    """Filters should not overlap; their norm is free (Brock et al. 2019, arXiv:1809.11096)."""

    name = "orthogonal"
    Config = OrthogonalConfig
    target: ClassVar[Literal["discriminator", "generator"]] = "generator"

    def penalty(self, inputs: PenaltyInput) -> Tensor:
        """Weighted off-diagonal energy of all of the generator's filter banks."""
        energies = [off_diagonal_energy(bank) for bank in self._filter_banks(inputs.generator)]
        total = torch.stack(energies).sum() if energies else inputs.real_img.new_zeros(())
        return value_at(self.config.weight, inputs.nimg) * total

    def _filter_banks(self, network: nn.Module) -> Iterator[Tensor]:
        for name, module in network.named_modules():
            skipped = (nn.Embedding, parametrize.ParametrizationList)
            if isinstance(module, skipped) or any(part in name for part in self.config.exclude):
                continue
            for weight in _own_weights(module):
                if weight.ndim >= 2:
                    yield weight.transpose(0, 1) if isinstance(module, _TRANSPOSED) else weight


def _own_weights(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters(recurse=False)
    if parametrize.is_parametrized(module):
        # The raw weight, before spectral normalization divides it.
        for tensors in module.parametrizations.children():  # type: ignore[union-attr]
            yield from tensors.parameters(recurse=False)
