"""What the values of an export's `config.json` must be: it may come from anywhere."""

from typing import Annotated, Any

from pydantic import Field, StrictInt, StrictStr, field_validator

from ganforge.config.models import StrictModel
from ganforge.imaging.images import MODES

_Side = Annotated[StrictInt, Field(gt=0, le=16384)]
_Names = tuple[StrictStr, ...]


class _EncodingFields(StrictModel):
    """Fields of `TextEncoding`."""

    name: StrictStr
    options: dict[str, Any] = Field(default_factory=dict)
    revision: StrictStr = ""


class SpecFields(StrictModel):
    """Fields of `ImageSpec`; pydantic names the one that is wrong."""

    height: _Side
    width: _Side
    channels: StrictInt = 3
    source_channels: StrictInt | None = None
    class_names: _Names = ()
    attribute_names: _Names = ()
    text_dim: Annotated[StrictInt, Field(ge=0)] = 0
    num_frames: Annotated[StrictInt, Field(gt=0)] = 1
    text_encoding: _EncodingFields | None = None

    @field_validator("channels", "source_channels")
    @classmethod
    def _is_drawn(cls, value: int | None) -> int | None:
        if value is not None and value not in MODES:
            raise ValueError(f"{value} channels; images have {', '.join(map(str, MODES))}")
        return value
