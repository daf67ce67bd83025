"""A published generator, ready to use: `from_pretrained`, `generate`, `translate`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ganforge.errors import ConfigError
from ganforge.hub.format import ModelInfo
from ganforge.hub.pull import Location, fetch_info, fetch_weights
from ganforge.imaging.images import to_pil
from ganforge.inference.devices import resolve_device
from ganforge.inference.generate import iterate_request, run_request
from ganforge.inference.loading import build_architecture, build_networks
from ganforge.inference.outputs import Output, OutputType, check_output_type, convert_output
from ganforge.inference.requests import build_request
from ganforge.inference.sampling import SamplingMethods
from ganforge.inference.translation import TranslationMethods
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest


class PretrainedGan(TranslationMethods, SamplingMethods):
    """A published generator: its architecture, networks by role, and `config.json` as `info`."""

    def __init__(
        self,
        architecture: Architecture[Any],
        networks: Mapping[str, nn.Module],
        info: ModelInfo,
        device: torch.device | str = "cpu",
    ) -> None:
        self.architecture = architecture
        self.info = info
        self.device = torch.device(device)
        self.networks = {
            role: network.to(self.device).eval().requires_grad_(False)
            for role, network in networks.items()
        }

    @classmethod
    def from_pretrained(
        cls,
        path_or_repo: str | Path,
        *,
        revision: str | None = None,
        token: str | None = None,
        device: torch.device | str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> "PretrainedGan":
        """Load a published model. No code from the Hub is run.

        Args:
            path_or_repo: an export or a run's folder, or owner/name on the Hub.
            revision: branch, tag or commit of the repository. Default: main.
            token: Hub token. Default: the one of `hf auth login` or HF_TOKEN.
            device: e.g. "cpu" or "cuda:1". Default: the GPU if there is one.
            cache_dir: where downloads are kept. Default: the Hub client's cache.
            local_files_only: use only what is in the cache.

        Raises:
            ConfigError: there is no such device.
            PublishError: the model cannot be found, reached, read or trusted.
            PluginNotFound: its architecture is in a package that is not installed; names it.
            PluginError: the installed package is too old for it.
        """
        device = resolve_device(device)  # before anything is downloaded
        location = Location(str(path_or_repo), revision, token, cache_dir, local_files_only)
        folder, info = fetch_info(location)
        architecture = build_architecture(info, location.path_or_repo)
        (weights,) = fetch_weights(location, folder, info)
        networks = build_networks(architecture, info, weights, location.path_or_repo)
        return cls(architecture, networks, info, device)

    def to(self, device: torch.device | str) -> "PretrainedGan":
        """Move the networks; returns itself."""
        self.device = resolve_device(device)
        for network in self.networks.values():
            network.to(self.device)
        return self

    def __repr__(self) -> str:
        spec = self.spec
        return (
            f"PretrainedGan({self.info.architecture}, {spec.channels} x {spec.height} x "
            f"{spec.width}, {len(self.class_names)} classes, {self.info.nimg} images shown, "
            f"{self.device})"
        )

    def request(self, **conditions: Any) -> GenerateRequest:
        """A request for `images` from `num_images`, `seeds` and the conditions of `generate`.

        Raises:
            ConfigError: it does not fit this model.
        """
        if self.architecture.directions:
            raise ConfigError(
                f"'{self.info.architecture}' translates images "
                f"({', '.join(self.architecture.directions)}) and has no latents to sample; use "
                f"translate(images)."
            )
        return build_request(self.architecture, self.info, self.device, **conditions)

    def images(self, request: GenerateRequest, batch_size: int = 16) -> Iterator[Image.Image]:
        """The images of a request as PIL images, made batch by batch as they are consumed."""
        for img in iterate_request(self.architecture, self.networks, request, batch_size):
            yield from to_pil(img)

    @overload
    def generate(
        self, num_images: int | None = None, *, output_type: Literal["pt"], **conditions: Any
    ) -> Tensor: ...
    @overload
    def generate(
        self, num_images: int | None = None, *, output_type: Literal["np"], **conditions: Any
    ) -> NDArray[np.uint8]: ...
    @overload
    def generate(
        self, num_images: int | None = None, *, output_type: Literal["pil"] = ..., **conditions: Any
    ) -> list[Image.Image]: ...
    def generate(
        self,
        num_images: int | None = None,
        *,
        batch_size: int = 16,
        output_type: OutputType = "pil",
        **conditions: Any,
    ) -> Output:
        """Generate images. A seed gives the same image in any batch.

        Args:
            num_images: how many. Default: one per seed, label, text or vector, else 1.
            batch_size: images generated at a time; bounds the memory.
            output_type: "pil" list of images, "pt" float [N, C, H, W] in [-1, 1] on the CPU,
                "np" uint8 [N, H, W, C].
            **conditions: each as one for all images, or one for each:

                - `seeds`: integers. Default: 0, 1, 2, ...
                - `labels`: classes, by index or name. Default: drawn from the seed.
                - `attributes`: "female, glasses=0.5", or vectors [N, A].
                - `text`: captions, or their embeddings [N, D].
                - `text_encoder`: options of the text encoder that differ on this machine, e.g.
                  {"path": "words.txt"}.
                - `truncation`: truncation psi or threshold, a number.
                - the architecture's own options.

        Raises:
            ConfigError: the request does not fit this model; nothing has been generated.
        """
        check_output_type(output_type)
        request = self.request(num_images=num_images, **conditions)
        img = run_request(self.architecture, self.networks, request, batch_size)
        return convert_output(img, output_type)
