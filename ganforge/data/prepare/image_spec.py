"""The spec of the images to generate, from the fields of the data."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, cast

from ganforge.data.shards.index import PIXEL_KINDS, FieldSchema
from ganforge.errors import DataError
from ganforge.imaging.pose_layouts import POSE_CHANNELS, pose_layout
from ganforge.interfaces.spec import FieldSpec, ImageSpec

_GENERATED = ("image", "target", "frames")
_NAMED = (*_GENERATED, "source", "label", "attributes", "text", "caption")


def main_field(names: Iterable[str]) -> str:
    """The field of the images to generate: image, else target, else frames, else the first."""
    names = list(names)
    return next((name for name in _GENERATED if name in names), min(names, default=""))


def image_spec(
    fields: Mapping[str, FieldSchema], class_names: Sequence[str], attributes: Sequence[str]
) -> ImageSpec:
    """The spec of a data set.

    Raises:
        DataError: there is no image, fields differ in size, or a field cannot serve as its name
            says.
    """
    name, main = _main_image(fields)
    check_sizes(fields)
    if "attributes" in fields and len(attributes) != fields["attributes"].size:
        raise DataError(
            f"The samples have {fields['attributes'].size} attributes, the source names "
            f"{len(attributes)}. Name each attribute in data.source."
        )
    source = fields.get("source") if name != "source" else None
    return ImageSpec(
        main.height,
        main.width,
        main.channels,
        source_channels=None if source is None else _source_channels(source),
        class_names=tuple(class_names),
        attribute_names=tuple(attributes) if "attributes" in fields else (),
        text_dim=fields["text"].size if "text" in fields else 0,
        num_frames=main.num_frames,
        source_kind="image" if source is None else _source_kind(source),
        pose_size=source.size if source is not None and _is_pose(source) else 0,
        bit_depth=main.bit_depth,
        value_range=main.value_range,
        source_value_range=None if source is None else source.value_range,
        fields={n: _field_spec(f) for n, f in sorted(fields.items()) if _is_other(n, f, name)},
    )


def _main_image(fields: Mapping[str, FieldSchema]) -> tuple[str, FieldSchema]:
    wrong = next((n for n in _GENERATED if n in fields and fields[n].kind != "image"), None)
    if wrong is not None:
        raise DataError(
            f"The field '{wrong}' holds {fields[wrong].kind}, but '{wrong}' is what a network "
            f"generates: an image. Give the field another name, or another kind in data.fields."
        )
    images = [name for name, f in fields.items() if f.kind == "image"]
    if not images:
        raise DataError(
            f"The samples hold no image, only {', '.join(sorted(fields))}. Check data.source."
        )
    name = main_field(images)
    return name, fields[name]


def check_sizes(fields: Mapping[str, FieldSchema]) -> None:
    """Refuse images and label maps of several sizes: crops are the same for all of them.

    Raises:
        DataError: two sizes differ.
    """
    pixels = {name: f for name, f in sorted(fields.items()) if f.kind in PIXEL_KINDS}
    name = main_field(pixels)
    for other, field in pixels.items():
        main = pixels[name]
        if (field.height, field.width) != (main.height, main.width):
            raise DataError(
                f"'{other}' images are {field.height} x {field.width}, '{name}' images are "
                f"{main.height} x {main.width}. Set data.resolution to bring both to one size."
            )


def _source_kind(source: FieldSchema) -> Literal["image", "labels", "pose"]:
    if source.kind == "vector":
        return "pose"
    return "labels" if source.kind == "labels" else "image"


def _is_pose(source: FieldSchema) -> bool:
    return source.coordinates == "xyv" and pose_layout(source.size) is not None


def _source_channels(source: FieldSchema) -> int:
    if _is_pose(source):
        return POSE_CHANNELS
    if source.kind == "image":
        return source.channels
    if source.kind == "labels" and source.size > 0:
        return source.size
    if source.kind == "labels":
        raise DataError(
            "The field 'source' has num_labels: 0, so it has no one-hot channels to translate. Set "
            "data.fields.source.num_labels, or give the ids another field name, e.g. instances."
        )
    raise DataError(
        f"The field 'source' holds {source.kind}, but a source is an image, a label map or poses. "
        f"Give the field another name."
    )


def _is_other(name: str, field: FieldSchema, main: str) -> bool:
    return name not in (*_NAMED, main) and field.kind in (*PIXEL_KINDS, "vector")


def _field_spec(field: FieldSchema) -> FieldSpec:
    kind = cast(Literal["image", "labels", "vector"], field.kind)
    return FieldSpec(kind, field.channels if kind == "image" else field.size, field.is_clip)
