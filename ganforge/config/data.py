"""The `data` section of a pipeline file: where images come from, and how they are read."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from ganforge.config.base import MAX_SIDE, Byte, StrictModel
from ganforge.config.choices import Chooses, ComponentChoice
from ganforge.config.schedules import ScheduledPositive

MAX_CHANNELS = 16
Channels = Annotated[int, Field(ge=1, le=MAX_CHANNELS)]
DeclaredKind = Literal["image", "labels", "vector"]
Coordinates = Literal["xyxy", "xywh", "xy", "xyv"]
"""Points of a vector, in pixels: boxes by two corners, or by a corner and a size; keypoints,
also with a visibility."""


_KIND_OF_OPTION: Mapping[str, DeclaredKind] = {
    "channels": "image",
    "value_range": "image",
    "num_labels": "labels",
    "coordinates": "vector",
    "swap": "vector",
}


def _height_width(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _in_range(value: int | tuple[int, int]) -> int | tuple[int, int]:
    if not all(1 <= side <= MAX_SIDE for side in _height_width(value)):
        raise ValueError(f"each side must be 1 to {MAX_SIDE} pixels")
    return value


Resolution = Annotated[int | tuple[int, int], AfterValidator(_in_range)]
"""A side length, or [height, width], in pixels."""


class FieldConfig(StrictModel):
    """What one field of a sample holds."""

    kind: DeclaredKind | None = Field(
        None,
        description="image; labels: an integer label map, never interpolated; vector: numbers. "
        "Default: from the options below, else from its values.",
    )
    channels: Channels | None = Field(None, description="image: default `data.channels`.")
    value_range: tuple[float, float] | None = Field(
        None, description="image of floats: the values of black and white; others are clamped."
    )
    num_labels: int | None = Field(
        None,
        ge=0,
        le=65536,
        description="labels: one-hot channels; larger ids are all zeros. Default: the largest id "
        "+ 1. 0 gives the ids themselves, as for instance maps.",
    )
    coordinates: Coordinates | None = Field(
        None,
        description="vector: its numbers are points in pixels, which follow resizing, crops and "
        "mirroring. Boxes: xyxy (two corners) or xywh (corner and size); keypoints: xy, or xyv "
        "with a visibility.",
    )
    swap: tuple[tuple[int, int], ...] = Field(
        (), description="vector: pairs of points that change places in a mirror, e.g. the eyes."
    )

    @model_validator(mode="after")
    def _fits_one_kind(self) -> "FieldConfig":
        given = [name for name in _KIND_OF_OPTION if getattr(self, name) not in (None, ())]
        if {_KIND_OF_OPTION[name] for name in given} - {self.known_kind}:
            raise ValueError(
                f"{', '.join(given)} with kind: {self.kind or 'not set'}; channels and value_range "
                f"are for images, num_labels for labels, coordinates and swap for vectors"
            )
        if self.value_range is not None and self.value_range[0] == self.value_range[1]:
            raise ValueError(f"value_range {self.value_range} needs two different values")
        return self

    @property
    def known_kind(self) -> DeclaredKind | None:
        """The kind, given or implied by the other options; None if it depends on the values."""
        if self.kind is not None:
            return self.kind
        given = (name for name in _KIND_OF_OPTION if getattr(self, name) not in (None, ()))
        return next((_KIND_OF_OPTION[name] for name in given), None)


class CropConfig(StrictModel):
    """Random crops of `data.resolution`, the same for all fields and frames of a sample."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    stored: Resolution = Field(
        alias="from",
        description="Size at which `prepare` stores the images: 286 for crops of 256.",
    )
    scale: tuple[float, float] = Field(
        (1.0, 1.0),
        description="Range of a random enlargement: the crop shows 1 / scale of its usual side.",
    )

    @model_validator(mode="after")
    def _enlarges(self) -> "CropConfig":
        low, high = self.scale
        if not 1 <= low <= high <= 16:
            raise ValueError(f"scale must be two numbers from 1 to 16, rising, got {self.scale}")
        return self


class ClipConfig(StrictModel):
    """The window of frames that is read of each clip."""

    num_frames: ScheduledPositive = Field(
        description="Frames per window: a number, or a schedule rounded to whole frames."
    )
    stride: ScheduledPositive = Field(
        1, description="Take every N-th frame: a number or a schedule, rounded."
    )


class ValidationConfig(StrictModel):
    """Held-out data. Give exactly one of the three."""

    num_samples: int | None = Field(
        None, gt=0, description="Hold out this many samples of `data.source`."
    )
    source: Annotated[ComponentChoice | None, Chooses("source")] = Field(
        None, description="Another source, which `prepare` reads in the same way."
    )
    shards: str | None = Field(None, description="Folder or URL of prepared shards.")

    @model_validator(mode="after")
    def _is_one(self) -> "ValidationConfig":
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give one of num_samples, source and shards, not {' and '.join(given) or 'none'}"
            )
        return self


class DataConfig(StrictModel):
    """Where images come from, how they are stored, and how they are read."""

    source: Annotated[ComponentChoice | None, Chooses("source")] = Field(
        None, description="Raw images, which `prepare` reads, e.g. {name: folder, path: photos}."
    )
    shards: str | None = Field(
        None,
        description="Folder or URL of the shards and their index.json. Default: <run_dir>/shards, "
        "which `prepare` writes.",
    )
    text_encoder: Annotated[ComponentChoice | None, Chooses("text encoder")] = Field(
        None,
        description="Embeds the captions in `prepare`, e.g. {name: word_vectors, path: "
        "words.txt}. `ganforge data embed` embeds the captions of existing shards.",
    )
    derive: Annotated[ComponentChoice | None, Chooses("derivation")] = Field(
        None,
        description="Makes the source of a translation from the image, e.g. edges: any folder of "
        "images is then a paired data set.",
    )
    validation: ValidationConfig | None = Field(
        None, description="Held-out data, for sample pictures and pair metrics."
    )
    fields: dict[str, FieldConfig] = Field(
        default_factory=dict,
        description="What the fields of a sample hold, where that is not clear from their names: "
        "{source: {kind: labels}}.",
    )
    resolution: Resolution | None = Field(
        None, description="Side length, or [height, width], in pixels. Default: as in the source."
    )
    channels: Channels | None = Field(
        None,
        description="1: grayscale, 3: RGB, 4: RGBA, up to 16. Default: as in the source. "
        "`data.fields` sets it for one field.",
    )
    crop: CropConfig | None = Field(
        None, description="Random crops for training. Default: whole images."
    )
    clip: ClipConfig | None = Field(
        None, description="Frames to read of each clip. Default: all frames of the shortest clip."
    )
    frame_format: Literal["png", "jpeg"] = Field(
        "png",
        description="How `prepare` stores the frames of clips that it must encode. png: exact; "
        "jpeg: of quality 95, smaller and faster to read. Label maps are always exact.",
    )
    resize: Literal["none", "pad", "crop", "fit", "stretch"] = Field(
        "crop",
        description="How `prepare` brings images to the resolution. none: sizes must match; pad: "
        "pad with `background`; crop: scale the short side and crop the center; fit: scale the "
        "long side and pad; stretch: ignore the aspect ratio.",
    )
    background: tuple[Byte, Byte, Byte] = Field(
        (255, 255, 255), description="RGB, 0 to 255. Fills transparent pixels and padding."
    )
    use_labels: bool | None = Field(
        None, description="Condition on class labels. Default: if the architecture supports it."
    )
    flip: bool = Field(
        False,
        description="Mirror each sample horizontally with probability 1/2, in all its fields.",
    )
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = Field(
        "auto",
        description="Reader processes per rank; 0 reads in the training process. auto: 1 on a CPU; "
        "on a GPU the cores of the rank less one, at most 8.",
    )
    shuffle_window: int = Field(
        16384, gt=0, description="Samples shuffled together, per lane (a fixed share of the data)."
    )
    samples_per_shard: int = Field(
        4096, gt=0, description="Samples in each shard that `prepare` writes."
    )
    cache_dir: str | None = Field(
        None,
        description="Folder in which remote shards are cached. Default: on a local disk of each "
        "node: $SLURM_TMPDIR, else the user's cache folder, else $TMPDIR where that is on NFS.",
    )
    cache_bytes: int = Field(50 * 2**30, gt=0, description="Maximum size of the cache, in bytes.")
    on_bad_sample: Literal["error", "skip"] = Field(
        "error",
        description="skip: use a neighboring sample in place of one that cannot be decoded, or "
        "whose shard cannot be read.",
    )
    max_bad_samples: int = Field(
        100, ge=0, description="Stop the run after more skipped samples than this."
    )

    @model_validator(mode="after")
    def _crops_fit(self) -> "DataConfig":
        if self.crop is None:
            return self
        size, stored = self.height_width, self.stored_size
        if size is None or stored is None:
            raise ValueError("crop needs `resolution`, the size of the crops")
        if any(side < crop for side, crop in zip(stored, size, strict=True)):
            raise ValueError(
                f"crop.from={stored[0]}x{stored[1]} is smaller than resolution="
                f"{size[0]}x{size[1]}; images are stored at `from`, and cropped to `resolution`"
            )
        return self

    @property
    def height_width(self) -> tuple[int, int] | None:
        """The resolution as (height, width)."""
        return None if self.resolution is None else _height_width(self.resolution)

    @property
    def stored_size(self) -> tuple[int, int] | None:
        """(height, width) of the images in the shards; None for that of the source."""
        return self.height_width if self.crop is None else _height_width(self.crop.stored)
