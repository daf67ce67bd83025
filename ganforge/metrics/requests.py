"""What a model that is measured is asked for: from seeds to requests like the reference."""

from collections.abc import Callable, Collection, Sequence

import torch

from ganforge.config.models import DataConfig
from ganforge.data.loader import RealImages
from ganforge.data.shards.index import load_index
from ganforge.encoders.lookup import check_embeddings
from ganforge.imaging.images import from_uint8
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.spec import ImageSpec

_IN_TURN = ("attributes", "text")


def request_maker(
    spec: ImageSpec,
    conditions: Collection[str],
    translates: Sequence[str],
    reference: str,
    data: DataConfig,
    *,
    device: torch.device,
    truncation: float | None = None,
) -> Callable[[Sequence[int]], GenerateRequest]:
    """The function seeds -> request that metrics draw by.

    Classes are drawn as often as the reference has them. Attributes and captions are the
    reference's, in turn. A translator is asked for its first direction, on the reference's source
    images in turn.

    Args:
        spec: what the model makes.
        conditions: what it is told, of `label`, `attributes` and `text`.
        translates: its directions; empty for one that starts from noise.
        reference: folder or URL of the shards of the real images.
        data: how the reference is read.
        device: where the model is.
        truncation: see `GenerateRequest`.

    Raises:
        DataError: the reference cannot be read, or lacks what the model is told.
    """
    told = [name for name in _IN_TURN if name in conditions]
    counts = _class_counts(spec, reference) if "label" in conditions else ()
    sources: RealImages | None = None
    if translates or told:
        field = translates[0].split("_to_")[0] if translates else "image"
        sources = RealImages(data, reference, field=field)
        check_embeddings(sources.index.image_spec, spec, reference)

    def ask(seeds: Sequence[int]) -> GenerateRequest:
        request = GenerateRequest(seeds, device, truncation=truncation)
        if "label" in conditions:
            request.label = request.random_label(spec.num_classes, counts)
        if sources is not None:
            numbers = [seed % len(sources) for seed in seeds]
            for name in told:
                setattr(request, name, sources.vectors(numbers, name).to(device))
            if translates:
                request.source = from_uint8(sources.batch(numbers)).to(device)
                request.options = {"direction": translates[0]}
        return request

    return ask


def _class_counts(spec: ImageSpec, reference: str) -> tuple[int, ...]:
    """How often the reference has each class of the model; empty where it does not tell."""
    index = load_index(reference)
    is_told = index.image_spec.class_names == spec.class_names and any(index.class_counts)
    return index.class_counts if is_told else ()
