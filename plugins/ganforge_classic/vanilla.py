"""The original GAN: two fully connected networks. Source: Goodfellow et al. 2014, arXiv:1406.2661.

Deviations from the paper: images in [-1, 1] behind a tanh in place of [0, 1] behind a sigmoid, and
two options that came later, minibatch discrimination (arXiv:1606.03498) and any objective.
"""

from torch import Tensor, nn

from ganforge.api import (
    ComponentOptions,
    Field,
    GenerateRequest,
    ImageSpec,
    NoiseToImage,
    OptimizerConfig,
)
from ganforge.layers import MinibatchDiscrimination
from ganforge_classic.layers import (
    Maxout,
    num_values,
    relu_stack,
    uniform_latent,
    uniform_request_latent,
)


class VanillaConfig(ComponentOptions):
    """Options of the original GAN."""

    z_dim: int = Field(100, gt=0, description="Latent size.")
    generator_widths: tuple[int, ...] = Field(
        (1200, 1200), min_length=1, description="Units of the generator's ReLU layers."
    )
    discriminator_units: tuple[int, ...] = Field(
        (240, 240), min_length=1, description="Units of the discriminator's maxout layers."
    )
    maxout_pieces: int = Field(5, gt=1, description="Linear functions per maxout unit.")
    dropout: float = Field(
        0.5, ge=0, lt=1, description="Part of each maxout layer's output that is dropped."
    )
    minibatch_kernels: int = Field(
        0,
        ge=0,
        description="Features of minibatch discrimination (Salimans et al. 2016); 0 for none.",
    )
    minibatch_kernel_dim: int = Field(
        5, gt=0, description="Dimensions in which each of them measures distance."
    )


class VanillaGenerator(nn.Module):
    """z [N, z_dim] -> img [N, C, H, W] in [-1, 1]: ReLU layers, then tanh."""

    def __init__(self, config: VanillaConfig, spec: ImageSpec) -> None:
        super().__init__()
        self.shape = (spec.channels, spec.height, spec.width)
        self.hidden = relu_stack((config.z_dim, *config.generator_widths))
        self.out = nn.Linear(config.generator_widths[-1], num_values(spec))

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Generate; `c` is [N, 0]."""
        img: Tensor = self.out(self.hidden(z)).float().tanh()
        return img.reshape(-1, *self.shape)


class VanillaDiscriminator(nn.Module):
    """img [N, C, H, W] -> logits [N]: maxout layers with dropout, then a linear one."""

    def __init__(self, config: VanillaConfig, spec: ImageSpec) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        size = num_values(spec)
        for units in config.discriminator_units:
            layers += [Maxout(size, units, config.maxout_pieces), nn.Dropout(config.dropout)]
            size = units
        if config.minibatch_kernels:
            layers.append(
                MinibatchDiscrimination(size, config.minibatch_kernels, config.minibatch_kernel_dim)
            )
            size += config.minibatch_kernels
        self.layers = nn.Sequential(*layers, nn.Linear(size, 1))

    def forward(self, img: Tensor, c: Tensor) -> Tensor:
        """Score; `c` is [N, 0]."""
        logits: Tensor = self.layers(img).flatten()
        return logits


class Vanilla(NoiseToImage[VanillaConfig]):
    """The original GAN (Goodfellow et al. 2014): multilayer perceptrons at any image size."""

    name, Config = "vanilla", VanillaConfig
    paper = "Goodfellow et al. 2014, arXiv:1406.2661"
    optimizer = OptimizerConfig(name="sgd", lr=0.1, momentum=0.5)
    example_options = {
        "z_dim": 8,
        "generator_widths": (16, 16),
        "discriminator_units": (8, 8),
        "maxout_pieces": 2,
        "minibatch_kernels": 3,
    }

    def latent(self, num: int, like: Tensor) -> Tensor:
        """Draw z [num, z_dim] from U[-1, 1]."""
        return uniform_latent(num, self.z_dim, like)

    def request_latent(self, request: GenerateRequest) -> Tensor:
        """Draw z [N, z_dim] from U[-1, 1], each row from its seed."""
        return uniform_request_latent(request, self.z_dim)

    def networks(self) -> dict[str, nn.Module]:
        """Generator and discriminator."""
        return {
            "generator": VanillaGenerator(self.config, self.spec),
            "discriminator": VanillaDiscriminator(self.config, self.spec),
        }
