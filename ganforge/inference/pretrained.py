"""A published generator, ready to use: `from_pretrained`, `generate`, `translate`."""

from collections.abc import Callable, Mapping, Sequence
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
from ganforge.imaging.images import Resize, to_pil, to_uint8
from ganforge.inference.batches import run_request
from ganforge.inference.devices import resolve_device
from ganforge.inference.loading import build_architecture, load_networks
from ganforge.inference.prompts import prompt_count, resolve_prompts
from ganforge.inference.requests import (
    Label,
    resolve_attributes,
    resolve_labels,
    resolve_seeds,
    resolve_vectors,
)
from ganforge.inference.sampling import SamplingMethods
from ganforge.inference.source_images import Images, source_batch
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.spec import ImageSpec

OutputType = Literal["pil", "pt", "np"]
Output = list[Image.Image] | Tensor | NDArray[np.uint8]
_OUTPUTS: Mapping[str, Callable[[Tensor], Output]] = {
    "pil": to_pil,
    "pt": lambda img: img,
    "np": lambda img: to_uint8(img).permute(0, 2, 3, 1).contiguous().numpy(),
}


class PretrainedGan(SamplingMethods):
    """The networks of a published model that generate, and what they were trained for.

    Attributes:
        architecture: builds and runs the networks.
        networks: in eval mode, by role.
        info: what `config.json` says: provenance, metrics, nimg.
        device: where the networks are.
    """

    def __init__(
        self,
        architecture: Architecture[Any],
        networks: Mapping[str, nn.Module],
        info: ModelInfo,
        device: torch.device | str | None = None,
    ) -> None:
        self.architecture = architecture
        self.info = info
        self.device = resolve_device(device)
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
            device: where to put it. Default: the GPU if there is one.
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
        weights = fetch_weights(location, folder, info)
        networks = load_networks(architecture, info, weights, location.path_or_repo)
        return cls(architecture, networks, info, device)

    @property
    def spec(self) -> ImageSpec:
        """What its images look like."""
        return self.info.spec

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes it can be asked for; empty when there are none."""
        return self.spec.class_names if "label" in self.info.conditioning else ()

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

    @overload
    def generate(
        self, num_images: int | None = None, *, output_type: Literal["pt"], **request: Any
    ) -> Tensor: ...
    @overload
    def generate(
        self, num_images: int | None = None, *, output_type: Literal["np"], **request: Any
    ) -> NDArray[np.uint8]: ...
    @overload
    def generate(
        self, num_images: int | None = None, *, output_type: Literal["pil"] = ..., **request: Any
    ) -> list[Image.Image]: ...
    def generate(
        self,
        num_images: int | None = None,
        seeds: Sequence[int] | int | None = None,
        labels: Sequence[Label] | Tensor | Label | None = None,
        truncation: float | None = None,
        batch_size: int = 16,
        output_type: OutputType = "pil",
        **options: Any,
    ) -> Output:
        """Make images. The same seed, label and options give the same image in any batch.

        Args:
            num_images: how many. Default: one per seed, label or text, else 1.
            seeds: one integer per image. Default: 0, 1, 2, ...
            labels: a class for all images or one per image, by index or name; drawn from the
                seed when left out.
            truncation: truncation psi; only for architectures that have it.
            batch_size: images made at a time; bounds the memory, never changes the images.
            output_type: "pil" list of images, "pt" float [N, C, H, W] in [-1, 1] on the CPU,
                "np" uint8 [N, H, W, C].
            options: `attributes`, by name ("female, glasses") or as vectors [N, A], or `text`,
                one for all images or a list, or as embeddings [N, D], for models conditioned on
                them; `text_encoder`, options of the text's encoder that differ on this machine
                ({"path": ...}); and the architecture's own options.

        Raises:
            ConfigError: the request does not fit this model; nothing has been generated.
        """
        if self.architecture.translates:
            raise ConfigError(
                f"'{self.info.architecture}' translates images "
                f"({', '.join(self.architecture.translates)}); use translate(images)."
            )
        if num_images is None and seeds is None and isinstance(labels, Sequence | Tensor):
            num_images = 1 if isinstance(labels, str) else len(labels)
        elif num_images is None and seeds is None:
            num_images = prompt_count(options.get("text"))
        request = self._request(resolve_seeds(num_images, seeds), labels, truncation, options)
        return self._run(request, batch_size, output_type)

    @overload
    def translate(
        self, images: Images, *, output_type: Literal["pt"], **request: Any
    ) -> Tensor: ...
    @overload
    def translate(
        self, images: Images, *, output_type: Literal["np"], **request: Any
    ) -> NDArray[np.uint8]: ...
    @overload
    def translate(
        self, images: Images, *, output_type: Literal["pil"] = ..., **request: Any
    ) -> list[Image.Image]: ...
    def translate(
        self,
        images: Images,
        direction: str | None = None,
        seeds: Sequence[int] | int | None = None,
        resize: Resize | None = "crop",
        batch_size: int = 16,
        output_type: OutputType = "pil",
        **options: Any,
    ) -> Output:
        """Translate images to the model's other domain.

        Args:
            images: one or more PIL images of any mode and size (transparency is composited over
                white), or float tensors in [-1, 1] or uint8, [C, H, W] or [N, C, H, W].
            direction: one of `info.directions`. Default: the first.
            seeds: one per image, for models that also take noise. Default: 0, 1, 2, ...
            resize: how an image of another size is brought to the model's: "crop", "pad" or
                "stretch"; None refuses it.
            batch_size: images translated at a time.
            output_type: as for `generate`.
            options: the architecture's own options.

        Raises:
            ConfigError: the request does not fit this model; nothing has been translated.
            ShapeError: a tensor is not an image.
        """
        directions = self.architecture.translates
        if not directions:
            raise ConfigError(
                f"'{self.info.architecture}' makes images from noise and translates none; use "
                f"generate(), or a translation model."
            )
        chosen = directions[0] if direction is None else direction
        self.architecture.check_request(None, {**options, "direction": chosen})
        forward = chosen == directions[0]
        spec = self.spec
        channels = (spec.source_channels or spec.channels) if forward else spec.channels
        source = source_batch(images, channels, spec.height, spec.width, resize)
        found = resolve_seeds(len(source), seeds)
        request = self._request(found, None, None, {**options, "direction": chosen})
        request.source = source
        return self._run(request, batch_size, output_type)

    def _request(
        self, seeds: list[int], labels: Any, truncation: float | None, options: dict[str, Any]
    ) -> GenerateRequest:
        spec, count, takes = self.spec, len(seeds), self.info.conditioning
        options = resolve_prompts(options, spec, "text" in takes, count)
        if "attributes" in options:
            names = spec.attribute_names if "attributes" in takes else ()
            attributes = resolve_attributes(options["attributes"], names, count)
            options = {**options, "attributes": attributes}
        vectors: dict[str, Any] = {
            name: resolve_vectors(options.get(name), name, size if name in takes else 0, count)
            for name, size in (
                ("attributes", len(spec.attribute_names)),
                ("text", spec.text_dim),
            )
        }
        own = {name: value for name, value in options.items() if name not in vectors}
        self.architecture.check_request(truncation, own)
        request = GenerateRequest(
            seeds=seeds,
            device=self.device,
            label=resolve_labels(labels, spec, "label" in takes, count),
            truncation=truncation,
            options=own,
            **vectors,
        )
        if request.label is None and "label" in takes:
            # An architecture does not know the number of classes; the spec does.
            request.label = request.random_label(spec.num_classes)
        return request

    def _run(self, request: GenerateRequest, batch_size: int, output_type: str) -> Output:
        if output_type not in _OUTPUTS:
            raise ConfigError(
                f"output_type={output_type!r} is unknown. Use {', '.join(map(repr, _OUTPUTS))}."
            )
        return _OUTPUTS[output_type](
            run_request(self.architecture, self.networks, request, batch_size)
        )
