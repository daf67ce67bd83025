"""The base of all configuration."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A frozen model without unknown keys or non-finite numbers: the base of all configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
