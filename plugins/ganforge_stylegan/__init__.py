"""StyleGAN2: a style-based generator with modulated convolutions. Source: arXiv:1912.04958.

Deviations from the paper: any base grid of at least 4 pixels a side in place of 4x4, style mixing
chosen for each image in place of each batch, and class labels as in arXiv:2006.06676.
"""

import functools
from collections.abc import Mapping
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from ganforge.api import (
    Architecture,
    ConfigError,
    GenerateRequest,
    ImageSpec,
    NoiseToImage,
    Objective,
    OptimizerConfig,
    hookimpl,
)
from ganforge_stylegan.config import Stylegan2Config, base_grid
from ganforge_stylegan.discriminator import Stylegan2Discriminator
from ganforge_stylegan.generator import Stylegan2Generator

_NOISE_STREAM = 1


class Stylegan2(NoiseToImage[Stylegan2Config]):
    """StyleGAN2, config F (Karras et al. 2020)."""

    name, Config = "stylegan2", Stylegan2Config
    paper = "Karras et al. 2020, arXiv:1912.04958"
    optional_inputs = ("label",)
    optimizer = OptimizerConfig(name="adam", lr=0.0025, betas=(0.0, 0.99), eps=1e-8)
    supports_truncation = True
    latent_spaces = ("z", "w")
    generate_options = {
        "truncation_cutoff": "layers that truncation applies to, from the coarsest; default all",
        "noise": "random (default) draws each image's noise from its seed; const is the same noise "
        "for all images; none leaves it out",
    }
    example_options = {
        "z_dim": 8,
        "w_dim": 8,
        "mapping_layers": 2,
        "channel_base": 64,
        "channel_max": 8,
        "mbstd_group": None,
    }

    @property
    def z_dim(self) -> int:
        """Latent size."""
        return self.config.z_dim

    def check(self, spec: ImageSpec, objective: Objective) -> None:
        """Refuse sizes that doubling a small grid does not reach."""
        base_grid(spec)
        super().check(spec, objective)

    def check_request(self, truncation: float | None, options: Mapping[str, Any]) -> None:
        """Refuse unknown options and values."""
        super().check_request(truncation, options)
        noise = options.get("noise", "random")
        if noise not in ("random", "const", "none"):
            raise ConfigError(
                f"The generation option 'noise' of 'stylegan2' is {noise!r}; "
                f"use random, const or none."
            )
        cutoff = options.get("truncation_cutoff")
        if cutoff is None:
            return
        if not isinstance(cutoff, int) or cutoff < 0:
            raise ConfigError(
                f"The generation option 'truncation_cutoff' of 'stylegan2' is {cutoff!r}; "
                f"give a number of layers, 0 or more, or leave it out to truncate all."
            )
        if truncation is None:
            raise ConfigError(
                f"truncation_cutoff={cutoff} has no effect without truncation. "
                f"Set truncation as well, e.g. 0.7, or leave truncation_cutoff out."
            )

    def networks(self, spec: ImageSpec) -> dict[str, nn.Module]:
        """A generator and a discriminator of mirrored widths."""
        return {
            "generator": Stylegan2Generator(self.config, spec),
            "discriminator": Stylegan2Discriminator(self.config, spec),
        }

    def synthesize(self, generator: nn.Module, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Images and their ws [n, num_ws, w_dim], which path length regularization measures."""
        gen = cast(Stylegan2Generator, generator)
        ws = gen.styles(z, c)
        return gen.synthesis(ws), ws

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Images [N, C, H, W] from the request's seeds, labels, truncation and options."""
        gen = cast(Stylegan2Generator, nets["generator"])
        self.check_request(request.truncation, request.options)
        ws = request.blended("w", functools.partial(self._ws, gen))
        noise = _request_noise(gen, request, request.options.get("noise", "random"))
        img: Tensor = gen.synthesis(ws, noise)
        return img.clamp(-1.0, 1.0)

    def num_styles(self, nets: Mapping[str, nn.Module]) -> int:
        """One style per layer, and one for the finest step to the image."""
        return cast(Stylegan2Generator, nets["generator"]).synthesis.num_ws

    def _ws(self, gen: Stylegan2Generator, request: GenerateRequest) -> Tensor:
        w = gen.mapping(self.request_latent(request), request.random_label(gen.c_dim))
        psi = 1.0 if request.truncation is None else request.truncation
        return gen.truncated(w, psi, request.options.get("truncation_cutoff"))


def _request_noise(
    gen: Stylegan2Generator, request: GenerateRequest, kind: Literal["random", "const", "none"]
) -> list[Tensor] | None:
    if kind == "const":
        return None
    grids = gen.synthesis.noise_grids
    if kind == "none":
        return [torch.zeros(request.size, 1, *grid, device=request.device) for grid in grids]
    sizes = [grid.numel() for grid in grids]
    drawn_noise = request.noise(sum(sizes), stream=_NOISE_STREAM, is_latent=False)
    drawn = torch.split(drawn_noise, sizes, dim=1)
    return [part.reshape(-1, 1, *grid) for part, grid in zip(drawn, grids, strict=True)]


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register StyleGAN2."""
    return [Stylegan2]
