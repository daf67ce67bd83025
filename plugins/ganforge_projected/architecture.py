"""Projected GAN: discriminators on frozen features. Source: Sauer et al. 2021, arXiv:2111.01007.

The networks are those of the authors' code, `--cfg=fastgan`. Deviation: no class condition.
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from ganforge.api import (
    Batch,
    ConfigError,
    FrozenFeatures,
    GenerateRequest,
    Networks,
    NoiseToImage,
    Objective,
    OptimizerConfig,
    Terms,
)
from ganforge.layers import base_grid
from ganforge_projected.discriminator import ProjectedDiscriminator
from ganforge_projected.generator import FastGenerator, ProjectedConfig

_NOISE_STREAM = 1


class ProjectedGan(NoiseToImage[ProjectedConfig]):
    """Projected GAN with FastGAN's generator (Sauer et al. 2021)."""

    name, Config = "projected_gan", ProjectedConfig
    paper = "Sauer et al. 2021, arXiv:2111.01007"
    optimizer = OptimizerConfig(name="adam", lr=2e-4, betas=(0.0, 0.99))
    example_options = {
        "z_dim": 8,
        "channels": 8,
        "features": "fashion_mnist",
        "projection_channels": 4,
        "discriminator_channels": 4,
    }

    @property
    def seen_features(self) -> tuple[str, ...]:
        """The extractor that its discriminators look through."""
        return (self.config.features.name,)

    def _frozen(self) -> FrozenFeatures:
        return FrozenFeatures(self.config.features, "model.features")

    def check(self, objective: Objective) -> None:
        """Refuse sizes that are not reached, transparency, and features that cannot be had."""
        spec = self.spec
        if spec.channels == 4:
            raise ConfigError(
                f"'{self.name}' looks at images through a feature network, which knows no "
                f"transparency. Set data.channels: 3: it is laid over data.background."
            )
        base_grid(spec.height, spec.width, self.name)
        features = self._frozen()
        with torch.device("meta"):
            ProjectedDiscriminator(self.config, spec, features)
        _ = features.extractor

    def networks(self) -> dict[str, nn.Module]:
        """The generator, and one discriminator for each scale of the features."""
        return {
            "generator": FastGenerator(self.config, self.spec, self.name),
            "discriminator": ProjectedDiscriminator(self.config, self.spec, self._frozen()),
        }

    def discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """The adversarial term, after a look at whether the features are those of the state."""
        discriminator = nets.eager("discriminator")
        assert isinstance(discriminator, ProjectedDiscriminator)
        discriminator.verify()
        return super().discriminator_terms(objective, nets, batch)

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Images [N, C, H, W] from the request's seeds, which also give the noise."""
        generator = cast(FastGenerator, nets["generator"])
        self.check_request(request.truncation, request.options)
        counts = [height * width for height, width in generator.noise_grids]
        drawn = request.noise(sum(counts), stream=_NOISE_STREAM, is_latent=False)
        noise = [
            part.reshape(-1, 1, *grid)
            for part, grid in zip(
                torch.split(drawn, counts, dim=1), generator.noise_grids, strict=True
            )
        ]
        img: Tensor = generator(
            self.request_latent(request), self.request_condition(request), noise
        )
        return img.clamp(-1.0, 1.0)
