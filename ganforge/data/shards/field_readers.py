"""From stored bytes to batch tensors: the reader of each kind of field."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.data.shards.captions import caption_lines
from ganforge.data.shards.field_reader import FieldReader
from ganforge.data.shards.index import PIXEL_KINDS, FieldSchema
from ganforge.data.shards.member import Member
from ganforge.data.shards.pixel_reader import PixelReader
from ganforge.data.shards.vector_reader import VectorReader
from ganforge.data.views import Size, Views
from ganforge.imaging.codec import Undecodable


class _LabelReader(FieldReader):
    """Class numbers: int64 [n]."""

    dtype = np.int64

    def read(self, member: Member, values: NDArray[Any], place: int) -> None:
        data = member.read()
        try:
            label = int(data)
        except ValueError as err:
            raise Undecodable(f"is not an integer: {data[:20]!r}") from err
        if not 0 <= label < self.schema.size:
            raise Undecodable(
                f"is the label {label}; the index has the classes 0 to {self.schema.size - 1}"
            )
        values[place] = label


class _CaptionReader(FieldReader):
    """Captions, one per line: a list of n strings."""

    dtype = object

    def read(self, member: Member, values: NDArray[Any], place: int) -> None:
        try:
            lines = caption_lines(member.read().decode("utf-8")) or [""]
        except UnicodeDecodeError as err:
            raise Undecodable(f"is not UTF-8 text ({err})") from err
        values[place] = lines[self.views.choose(place, len(lines))]

    def finish(self, values: NDArray[Any]) -> list[str]:
        return list(values)


def field_reader(schema: FieldSchema, views: Views, stored: Size) -> FieldReader:
    """The reader of a kind of field, for a batch with these views of images of `stored` size."""
    if schema.kind in PIXEL_KINDS:
        return PixelReader(schema, views)
    if schema.kind == "label":
        return _LabelReader(schema, views)
    if schema.kind == "caption":
        return _CaptionReader(schema, views)
    return VectorReader(schema, views, stored)
