"""The base of all configuration, and the bounds that its sections share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAX_SIDE = 16384
"""The longest side of an image, in pixels."""
# Beyond any run; keeps counts of images in the range of a 64-bit integer.
MAX_KIMG = 1e12
Kimg = Annotated[float, Field(gt=0, le=MAX_KIMG)]


class StrictModel(BaseModel):
    """A frozen model without unknown keys or non-finite numbers: the base of all configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
