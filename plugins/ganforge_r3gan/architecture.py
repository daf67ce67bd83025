"""R3GAN: a modern baseline GAN. Source: Huang et al. 2024, arXiv:2501.05441.

The loss (`relativistic`) and the penalties (`r1` and `r2`) come from the pipeline file. Deviation
from the paper: any base grid of at least 4 pixels a side in place of 4x4.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from ganforge.api import (
    GenerateRequest,
    NoiseToImage,
    Objective,
    OptimizerConfig,
)
from ganforge_r3gan.networks import R3ganConfig, R3ganDiscriminator, R3ganGenerator


class R3gan(NoiseToImage[R3ganConfig]):
    """R3GAN, config E (Huang et al. 2024)."""

    name, Config = "r3gan", R3ganConfig
    paper = "Huang et al. 2024, arXiv:2501.05441"
    optional_inputs = ("label",)
    per_sample_discriminator = True
    optimizer = OptimizerConfig(name="adam", lr=2e-4, betas=(0.0, 0.99))
    example_options = {"z_dim": 4, "channel_base": 64, "channel_max": 8, "group_width": 4}

    def check(self, objective: Objective) -> None:
        """Refuse sizes that are not reached, and groups that do not fit."""
        self.config.widths(self.spec, self.name)

    def networks(self) -> dict[str, nn.Module]:
        """A generator and the discriminator that mirrors it."""
        return {
            "generator": R3ganGenerator(self.config, self.spec, self.name),
            "discriminator": R3ganDiscriminator(self.config, self.spec, self.name),
        }

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Images [N, C, H, W] from the request's seeds and labels."""
        return super().generate(nets, request).clamp(-1.0, 1.0)
