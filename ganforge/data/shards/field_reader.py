"""What the readers of all kinds of fields have in common."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganforge.data.shards.index import FieldSchema
from ganforge.data.shards.member import Member
from ganforge.data.views import Views, Window


class FieldReader:
    """Reads one field of the samples of a batch, as their views show it."""

    dtype: type = np.float32

    def __init__(self, schema: FieldSchema, views: Views) -> None:
        self.schema = schema
        self.views = views
        self.window = views.window or Window(schema.num_frames)

    @property
    def value_shape(self) -> tuple[int, ...]:
        """Shape of one value, or of one frame's."""
        return ()

    def allocate(self, count: int) -> NDArray[Any]:
        """Storage for `count` values: [n, *value_shape], or [n, T, *value_shape] for clips."""
        frames = (self.window.num_frames,) if self.schema.is_clip else ()
        return np.empty((count, *frames, *self.value_shape), dtype=self.dtype)

    @abstractmethod
    def read(self, member: Member, values: NDArray[Any], place: int) -> None:
        """Read one value, of sample `place` of the batch, into `values[place]`.

        Raises:
            Undecodable: the bytes are damaged or not what the schema says.
        """

    def finish(self, values: NDArray[Any]) -> Tensor | list[str]:
        """The batch: a tensor, or captions."""
        return torch.from_numpy(values)
