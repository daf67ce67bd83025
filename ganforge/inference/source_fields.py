"""Further fields of the images to translate: maps of instances, depth, boxes, ..."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import torch
from torch import Tensor

from ganforge.data.sources.class_names import natural_order
from ganforge.errors import ConfigError, DataError, ShapeError
from ganforge.imaging.codec import Undecodable, read_image_file, read_npy
from ganforge.inference.sizes import Sizing
from ganforge.inference.source_images import SourceReader
from ganforge.interfaces.spec import FieldSpec, ImageSpec


@dataclass(frozen=True)
class SourceFields:
    """One value of each field for each image.

    Attributes:
        spec: of the model.
        values: by name; maps [C, H, W] as large as their image, and vectors [D].
    """

    spec: ImageSpec
    values: Mapping[str, Sequence[Tensor]]

    def take(self, rows: Sequence[int], sizing: Sizing, device: torch.device) -> dict[str, Tensor]:
        """The fields of some images as networks see them, resized and padded like the images."""
        return {name: self._batch(name, rows, sizing).to(device) for name in self.values}

    def _batch(self, name: str, rows: Sequence[int], sizing: Sizing) -> Tensor:
        kind, chosen = self.spec.fields[name].kind, [self.values[name][row] for row in rows]
        if kind == "vector":
            return torch.stack(chosen)
        sizing = replace(sizing, is_labels=kind == "labels")
        # torch pads and resizes floats only, which hold ids of 16 bits exactly.
        fitted = torch.cat([sizing.fit(value[None].float()) for value in chosen])
        return fitted.to(chosen[0].dtype)


def read_fields(
    spec: ImageSpec, given: Mapping[str, Any] | None, images: Sequence[Tensor]
) -> SourceFields:
    """Read the further fields of images [C, H, W].

    Args:
        spec: of the model, which says what each field holds.
        given: by name: images or label maps as `translate` takes them, or vectors [N, D].
        images: what the fields belong to.

    Raises:
        ConfigError: the model has no such field, or there is not one value for each image.
        ShapeError: a map has another size than its image, or a vector another length.
    """
    values = {}
    for name, value in (given or {}).items():
        check_field(spec, name)
        values[name] = _read(name, spec, value)
        if len(values[name]) != len(images):
            raise ConfigError(
                f"fields[{name!r}] has {len(values[name])} values for {len(images)} images; give "
                f"one for each image, in the same order."
            )
        if spec.fields[name].kind != "vector":
            _check_sizes(name, values[name], images)
    return SourceFields(spec, values)


def check_field(spec: ImageSpec, name: str) -> None:
    """Refuse a field that the model does not read; near names are listed."""
    if name not in spec.fields:
        near = difflib.get_close_matches(name, spec.fields, 1)
        hint = f"Did you mean {near[0]!r}?" if near else "Leave it out."
        known = ", ".join(sorted(spec.fields)) or "none"
        raise ConfigError(f"fields: the model reads no field {name!r} (known: {known}). {hint}")


class FieldFiles(Sequence[Tensor]):
    """The values of a field of a clip, one file for each frame in the order of their names.

    A file is read when its value is used.
    """

    def __init__(self, spec: ImageSpec, name: str, folder: Path) -> None:
        """`folder` holds nothing else.

        Raises:
            DataError: it holds no files.
        """
        self._spec, self._name = spec, name
        files = (path for path in folder.iterdir() if path.is_file())
        self._files = sorted(files, key=lambda path: natural_order(path.name))
        if not self._files:
            raise DataError(f"{folder} holds no files of '{name}'. Check --field.")

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, frames: int) -> Tensor: ...
    @overload
    def __getitem__(self, frames: slice) -> list[Tensor]: ...
    def __getitem__(self, frames: int | slice) -> Tensor | list[Tensor]:
        if isinstance(frames, slice):
            return [self._read(path) for path in self._files[frames]]
        return self._read(self._files[frames])

    def _read(self, path: Path) -> Tensor:
        try:
            return read_field_file(self._spec, self._name, path)
        except Undecodable as err:
            raise DataError(f"{path} {err}. Repair it.") from err


def read_field_file(spec: ImageSpec, name: str, path: Path) -> Tensor:
    """One value of a field from an image file, or of a vector from a .npy file.

    Raises:
        Undecodable: the file cannot be read.
    """
    field = spec.fields[name]
    if field.kind != "vector":
        return SourceReader(spec, field.size, field.kind).read_file(path)
    return torch.from_numpy(read_npy(read_image_file(path))).float()


def _read(name: str, spec: ImageSpec, value: Any) -> list[Tensor]:
    field = spec.fields[name]
    if field.kind == "vector":
        return _read_vectors(name, field, value)
    try:
        return SourceReader(spec, field.size, field.kind).read(value)
    except ShapeError as err:
        raise ShapeError(f"fields[{name!r}]: {err}") from err


def _read_vectors(name: str, field: FieldSpec, value: Any) -> list[Tensor]:
    is_listed = isinstance(value, list | tuple) and value and isinstance(value[0], Tensor)
    vectors = torch.as_tensor(torch.stack(tuple(value)) if is_listed else value).float()
    if vectors.ndim != 2 or vectors.shape[1] != field.size:
        raise ShapeError(
            f"fields[{name!r}] has shape {list(vectors.shape)}; this model wants [N, {field.size}]."
        )
    return list(vectors)


def _check_sizes(name: str, maps: Sequence[Tensor], images: Sequence[Tensor]) -> None:
    for index, (found, image) in enumerate(zip(maps, images, strict=True)):
        if found.shape[-2:] != image.shape[-2:]:
            raise ShapeError(
                f"fields[{name!r}][{index}] is {found.shape[-2]} x {found.shape[-1]} (height x "
                f"width), but its image is {image.shape[-2]} x {image.shape[-1]}. Resize one of "
                f"them (ids by nearest neighbor)."
            )
