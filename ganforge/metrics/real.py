"""The real images that generated ones are compared with, and their features."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ganforge.config.models import DataConfig
from ganforge.data.loader import RealImages
from ganforge.data.reader_processes import num_readers
from ganforge.data.shards.index import DatasetIndex, FieldSchema, load_index
from ganforge.data.shards.readable_fields import ReadableFields
from ganforge.data.views import END_NIMG, window_at
from ganforge.errors import DataError, GanforgeError, MetricError
from ganforge.metrics.cache import FeatureCache
from ganforge.metrics.features import Output, extract_features
from ganforge.training.runtime import Runtime

PREPROCESSING = "uint8, transparency over white"


class _Batches(Dataset[Tensor | GanforgeError]):
    """Map-style: number of a range -> its images. Errors are values: torch would wrap them."""

    def __init__(self, images: RealImages, plan: Sequence[range]) -> None:
        self.images = images
        self.plan = plan

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> Tensor | GanforgeError:
        try:
            return self.images.batch(self.plan[number])
        except GanforgeError as err:
            return err


def readable_fields(
    data: DataConfig, index: DatasetIndex, reference: str
) -> Mapping[str, FieldSchema]:
    """The fields that can be read of a data set, as `data` says, by name."""
    return ReadableFields(data, index, reference).schemas


def real_field(fields: Mapping[str, FieldSchema], reference: str, field: str | None) -> str:
    """Name of the field of the real images, of all `fields` of the reference.

    When `field` is None it is the first of `image`, `target` and `frames` that there is.

    Raises:
        MetricError: it does not hold images.
    """
    usual = (name for name in ("image", "target", "frames") if name in fields)
    name = field or next(usual, "image")
    if name in fields and fields[name].kind != "image":
        raise MetricError(
            f"The field '{name}' of {reference} holds {fields[name].kind}, but metrics compare "
            f"images. Set evaluate.reference to other shards, or leave evaluate.metrics empty: []."
        )
    return name  # a missing field is refused when it is read


class RealSet:
    """The first images or clips of a reference data set, read in background processes."""

    def __init__(
        self, data: DataConfig, reference: str, num_real: int | None, field: str | None = None
    ) -> None:
        """Open the reference, for its first `num_real` samples or all; `field` as in `real_field`.

        Raises:
            DataError: it is missing or damaged, has no such field, or too few samples.
            MetricError: the field holds no images.
        """
        index = load_index(reference)
        fields = readable_fields(data, index, reference)
        self.field = real_field(fields, reference, field)
        self.images = RealImages(data, reference, num_samples=num_real, field=self.field)
        self.schema = fields[self.field]
        self.digest = index.digest
        self._data = data

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of its images, or (T, C, H, W) of its clips, as they are read."""
        image = (self.schema.channels, *self.images.size)
        return (self.num_frames, *image) if self.is_video else image

    @property
    def is_video(self) -> bool:
        """Whether its samples are clips."""
        return self.schema.is_clip

    @property
    def num_frames(self) -> int:
        """Frames that are read of each clip; 1 for images."""
        clip = self._data.clip
        if clip is None or not self.is_video:
            return self.schema.num_frames
        return window_at(clip, END_NIMG).num_frames

    @property
    def split(self) -> str:
        """Stream and field of the images: "main.image"."""
        return f"{self.schema.stream}.{self.field}"

    def batches(self, plan: Sequence[range]) -> Iterator[Tensor]:
        """The samples of each range: uint8 [n, *shape].

        Raises:
            DataError: a sample cannot be read.
        """
        workers = min(num_readers(self._data.workers), len(plan))
        loader = DataLoader(_Batches(self.images, plan), batch_size=None, num_workers=workers)
        try:
            for found in loader:
                if isinstance(found, GanforgeError):
                    raise found
                yield found
        except RuntimeError as err:
            raise DataError(
                f"A reader process of the reference images died ({err}). If memory ran out, "
                f"lower data.workers (now {workers}) or evaluate.batch_size."
            ) from err


def real_features(
    real: RealSet, outputs: Sequence[Output], cache: FeatureCache, runtime: Runtime, batch_size: int
) -> dict[Output, Tensor]:
    """Features of the real images, from the cache or extracted and put there.

    Returns:
        float32 [len(real) * T, D] by output on rank 0; an empty mapping on the others.
    """
    found: dict[Output, Tensor] = {}

    def look_up() -> list[int]:
        for output in outputs:
            features = cache.load(_key(real, output))
            if features is not None:
                found[output] = features
        return [place for place, output in enumerate(outputs) if output not in found]

    # Places, not outputs: those would carry the network to the other ranks.
    missing = [outputs[place] for place in runtime.on_main(look_up)]
    if not missing:
        return found
    extracted = extract_features(
        real.batches, len(real), missing, runtime, batch_size, real.num_frames
    )

    def keep() -> None:
        for output in missing:
            cache.save(_key(real, output), extracted[output])

    runtime.on_main(keep)
    return found | extracted


def _key(real: RealSet, output: Output) -> dict[str, Any]:
    """All that determines the features; no name or path of the data."""
    extractor = output.extractor
    return {
        "data": real.digest,
        "field": real.field,
        "count": len(real),
        "shape": real.shape,
        "preprocessing": PREPROCESSING,
        "extractor": extractor.name,
        "sha256": extractor.sha256,
        "resize": extractor.resize,
        "precision": extractor.precision,
        "output": output.name,
    }
