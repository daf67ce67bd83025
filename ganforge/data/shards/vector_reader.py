"""Vectors: attributes, embeddings of captions, and numbers such as boxes and keypoints."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.data.shards.coordinates import crop_points, mirror_points
from ganforge.data.shards.field_reader import FieldReader
from ganforge.data.shards.index import FieldSchema
from ganforge.data.shards.member import Member
from ganforge.data.views import Size, Views
from ganforge.imaging.codec import Bytes, Undecodable, read_npy


class VectorReader(FieldReader):
    """Attributes (JSON), text embeddings and vectors (npy): float32 [n, D], clips [n, T, D].

    Of several captions, [K, D], it reads the one that belongs to the caption.
    """

    def __init__(self, schema: FieldSchema, views: Views, stored: Size) -> None:
        super().__init__(schema, views)
        self.width = stored[1] if views.crops is None else views.crops.size[1]

    @property
    def value_shape(self) -> tuple[int, ...]:
        """The length of the vector."""
        return (self.schema.size,)

    def read(self, member: Member, values: NDArray[Any], place: int) -> None:
        """Read a vector, or those of the frames of a window."""
        vector = self._decode(member.read())
        if not self.schema.is_clip:
            rows = vector[None] if vector.ndim == 1 or self.schema.kind != "text" else vector
            chosen: Any = self.views.choose(place, max(len(rows), 1))
        else:
            rows = vector
            numbers = self.views.frames(place, len(rows) if rows.ndim else 0, self.window)
            if not 0 <= numbers.start < numbers.stop <= len(rows):
                raise Undecodable(f"has {len(rows)} frames, fewer than {self.window.span}")
            chosen = slice(numbers.start, numbers.stop, numbers.step)
        if rows.ndim != 2 or rows.shape[1:] != self.value_shape or len(rows) == 0:
            raise Undecodable(
                f"has shape {list(vector.shape)}, the index says {list(self.value_shape)}"
            )
        values[place] = self._seen(rows[chosen], place)

    def _decode(self, data: Bytes) -> NDArray[Any]:
        try:
            if self.schema.kind == "attributes":
                return np.asarray(json.loads(bytes(data)), dtype=np.float32)
            return np.asarray(read_npy(data), dtype=np.float32)
        except (ValueError, TypeError, OverflowError, RecursionError) as err:
            raise Undecodable(f"is not a vector ({err})") from err

    def _seen(self, points: NDArray[Any], place: int) -> NDArray[Any]:
        """The vector as it is, or points in the image where the view shows them."""
        kind, crops = self.schema.coordinates, self.views.crops
        if kind is None:
            return points
        if crops is not None:
            points = crop_points(points, kind, crops.regions[place].tolist(), crops.size)
        if self.views.is_mirrored(place):
            points = mirror_points(points, kind, self.width, self.schema.swap)
        return points
