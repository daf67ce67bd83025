"""The model to measure, and the requests for what it generates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.config.models import DataConfig, EvaluateConfig
from ganforge.data.loader import RealImages
from ganforge.data.shards.index import load_index
from ganforge.encoders.lookup import check_embeddings
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.spec import ImageSpec
from ganforge.metrics.real import real_field
from ganforge.training.engine.make_batch import prepare_field

_FROM_DATA = ("attributes", "text")
"""Conditions that only data can fill; labels are drawn."""


@dataclass(frozen=True)
class MeasuredModel:
    """A generator, and what the records say of it.

    Attributes:
        generate: request -> images [N, C, H, W], or clips [N, T, C, H, W], in [-1, 1]; the same
            on every rank.
        spec: what it generates.
        conditions: its conditions, of `label`, `attributes` and `text`.
        directions: its directions; empty for a generator from noise.
        seen_features: extractors that it was trained against.
        nimg: training progress of the weights, in images.
        num_standing: images behind its standing batch statistics; 0 for running ones.
        ema: whether the weights are averaged ones.
    """

    generate: Callable[[GenerateRequest], Tensor]
    spec: ImageSpec
    conditions: Sequence[str] = ()
    directions: Sequence[str] = ()
    seen_features: Sequence[str] = ()
    nimg: int = 0
    num_standing: int = 0
    ema: bool = True


def direction_fields(direction: str) -> tuple[str, str]:
    """Source and target field of a direction: "source_to_target" -> ("source", "target")."""
    source, _, target = direction.partition("_to_")
    return source, target


class Requests:
    """Maps indices of generated images to requests.

    Image i has the seed `evaluate.seed + i`. Classes are drawn from the seed with the frequencies
    of the reference. What only data can give, source images with their further fields, attributes
    and captions, is that of sample i of the reference, which starts again at its end.
    """

    def __init__(
        self,
        model: MeasuredModel,
        direction: str,
        config: EvaluateConfig,
        reference: str,
        data: DataConfig,
        device: torch.device,
    ) -> None:
        """Open the reference, which `data` says how to read, where requests need its samples.

        `direction` is empty for a generator from noise.

        Raises:
            DataError: the reference cannot be read, or lacks a condition of the model.
        """
        self._spec, self._direction, self._device = model.spec, direction, device
        self._seed, self._truncation = config.seed, config.truncation
        self._has_label = "label" in model.conditions
        self._counts = _class_counts(model.spec, reference) if self._has_label else ()
        self._source = direction_fields(direction)[0]
        self._vectors = [name for name in _FROM_DATA if name in model.conditions]
        self._fields: list[str] = []
        self._samples: RealImages | None = None
        if self._source or self._vectors:
            first = self._source or real_field(load_index(reference).fields, reference, None)
            self._samples = RealImages(data, reference, field=first)
            if self._source:
                self._fields = _fields_beside(self._samples, model.spec)
            check_embeddings(self._samples.index.image_spec, model.spec, reference)

    @property
    def num_sources(self) -> int:
        """Images that the reference has to translate, or samples with conditions; 0 if unused."""
        return 0 if self._samples is None else len(self._samples)

    def __call__(self, indices: Sequence[int]) -> GenerateRequest:
        """The request for some of the generated images."""
        return self.request(indices, self.samples(indices))

    def samples(self, indices: Sequence[int], *more: str) -> dict[str, Tensor]:
        """What the samples of the reference hold: the fields that a request needs, and `more`."""
        if self._samples is None:
            return {}
        numbers = [index % len(self._samples) for index in indices]
        sources = [self._source] if self._source else []
        return self._samples.samples(numbers, [*sources, *self._fields, *self._vectors, *more])

    def request(self, indices: Sequence[int], samples: Mapping[str, Tensor]) -> GenerateRequest:
        """The request for some of the generated images, from their `samples`."""
        seeds = [self._seed + index for index in indices]
        request = GenerateRequest(seeds, self._device, truncation=self._truncation)
        if self._has_label:
            request.label = request.random_label(self._spec.num_classes, self._counts)
        for name in self._vectors:
            setattr(request, name, samples[name].to(self._device))
        if self._source:
            source = samples[self._source]
            request.source = prepare_field(self._source, source, self._spec, self._device)
            request.options = {"direction": self._direction}
        for name in self._fields:
            request.fields[name] = prepare_field(name, samples[name], self._spec, self._device)
        return request


def _fields_beside(samples: RealImages, spec: ImageSpec) -> list[str]:
    """Further fields of the model that the samples of a source hold."""
    schemas = samples.index.fields
    return [
        name for name in spec.fields if name in schemas and schemas[name].stream == samples.stream
    ]


def _class_counts(spec: ImageSpec, reference: str) -> tuple[int, ...]:
    """How often each class of the model occurs in the reference; empty where that is unknown."""
    index = load_index(reference)
    is_known = index.image_spec.class_names == spec.class_names and any(index.class_counts)
    return index.class_counts if is_known else ()
