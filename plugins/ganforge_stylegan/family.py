"""What the architectures of the family share: networks, generation, truncation."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from ganforge.api import (
    ConfigError,
    GenerateRequest,
    NoiseToImage,
    Objective,
    OptimizerConfig,
)
from ganforge.layers import base_grid
from ganforge_stylegan.config import StyleConfig
from ganforge_stylegan.discriminator import StyleDiscriminator
from ganforge_stylegan.generator import NoisySynthesis, StyleGenerator, Synthesis

_NOISE_STREAM = 1
StyleConfigT = TypeVar("StyleConfigT", bound=StyleConfig)


class StyleFamily(NoiseToImage[StyleConfigT]):
    """A mapping network, a synthesis network driven by its output, and a discriminator."""

    optional_inputs = ("label",)
    optimizer = OptimizerConfig(name="adam", lr=0.0025, betas=(0.0, 0.99), eps=1e-8)
    latent_spaces = ("z", "w")
    generate_options = {
        "truncation_cutoff": "layers that truncation applies to, from the coarsest; default all",
        "truncation_mean": "class (default) draws w towards the mean of the image's own class; all "
        "towards the mean of all",
    }
    example_options = {
        "z_dim": 8,
        "w_dim": 8,
        "mapping_layers": 2,
        "discriminator_mapping_layers": 2,
        "channel_base": 64,
        "channel_max": 8,
        "mbstd_group": None,
    }

    def check(self, objective: Objective) -> None:
        """Refuse sizes that doubling a small grid does not reach."""
        base_grid(self.spec.height, self.spec.width, self.name)

    @classmethod
    def check_truncation(cls, truncation: float) -> None:
        """Any psi of at least 0."""

    @classmethod
    def check_request(cls, truncation: float | None, options: Mapping[str, Any]) -> None:
        """Refuse unknown options and values."""
        super().check_request(truncation, options)
        cutoff, mean = options.get("truncation_cutoff"), options.get("truncation_mean")
        if cutoff is not None and (not isinstance(cutoff, int) or cutoff < 0):
            raise ConfigError(
                f"The generation option 'truncation_cutoff' of '{cls.name}' is {cutoff!r}; "
                f"give a number of layers, 0 or more, or leave it out to truncate all."
            )
        if mean not in (None, "class", "all"):
            raise ConfigError(
                f"The generation option 'truncation_mean' of '{cls.name}' is {mean!r}; "
                f"use class or all."
            )
        given = {"truncation_cutoff": cutoff, "truncation_mean": mean}
        for option, value in given.items():
            if value is not None and truncation is None:
                raise ConfigError(
                    f"{option}={value} has no effect without truncation. "
                    f"Set truncation as well, e.g. 0.7, or leave {option} out."
                )

    @abstractmethod
    def synthesis(self) -> Synthesis:
        """The synthesis network."""

    def networks(self) -> dict[str, nn.Module]:
        """A generator and a discriminator of mirrored widths."""
        grid = base_grid(self.spec.height, self.spec.width, self.name)
        return {
            "generator": StyleGenerator(self.config, self.c_dim, self.synthesis()),
            "discriminator": StyleDiscriminator(self.config, self.spec, grid),
        }

    def synthesize(self, generator: nn.Module, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Images and their ws [n, num_ws, w_dim], which path length regularization measures."""
        gen = cast(StyleGenerator, generator)
        ws = gen.styles(z, c)
        return gen.synthesis(ws), ws

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Images [N, C, H, W] from the request's seeds, labels, truncation and options."""
        gen = cast(StyleGenerator, nets["generator"])
        self.check_request(request.truncation, request.options)
        ws = request.blended("w", lambda part: self._ws(gen, part))
        img: Tensor = gen.synthesis(ws, self.second_input(gen.synthesis, request))
        return img.clamp(-1.0, 1.0)

    @abstractmethod
    def second_input(self, synthesis: Synthesis, request: GenerateRequest) -> Any:
        """What the synthesis network takes beside ws, from the request's options."""

    def num_styles(self, nets: Mapping[str, nn.Module]) -> int:
        """Latents w that one image takes."""
        return cast(StyleGenerator, nets["generator"]).synthesis.num_ws

    def _ws(self, gen: StyleGenerator, request: GenerateRequest) -> Tensor:
        c = self.request_condition(request)
        w = gen.mapping(self.request_latent(request), c)
        if request.truncation is None:
            return gen.truncated(w, 1.0)
        by_class = self.c_dim > 0 and request.options.get("truncation_mean") != "all"
        return gen.truncated(
            w,
            request.truncation,
            request.options.get("truncation_cutoff"),
            gen.class_means(c) if by_class else None,
        )


class NoisyFamily(StyleFamily[StyleConfigT]):
    """Synthesis networks whose layers add noise."""

    generate_options = {
        **StyleFamily.generate_options,
        "noise": "random (default) draws each image's noise from its seed; const is the same noise "
        "for all images; none leaves it out",
    }

    @classmethod
    def check_request(cls, truncation: float | None, options: Mapping[str, Any]) -> None:
        """Refuse unknown options and values."""
        super().check_request(truncation, options)
        noise = options.get("noise", "random")
        if noise not in ("random", "const", "none"):
            raise ConfigError(
                f"The generation option 'noise' of '{cls.name}' is {noise!r}; "
                f"use random, const or none."
            )

    def second_input(self, synthesis: Synthesis, request: GenerateRequest) -> list[Tensor] | None:
        """Noise of every layer; None for the constants."""
        kind, grids = request.options.get("noise", "random"), cast(NoisySynthesis, synthesis)
        if kind == "const":
            return None
        sizes = grids.noise_grids
        if kind == "none":
            return [torch.zeros(request.size, 1, *grid, device=request.device) for grid in sizes]
        counts = [grid.numel() for grid in sizes]
        drawn = request.noise(sum(counts), stream=_NOISE_STREAM, is_latent=False)
        parts = torch.split(drawn, counts, dim=1)
        return [part.reshape(-1, 1, *grid) for part, grid in zip(parts, sizes, strict=True)]
