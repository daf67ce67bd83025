"""Numbers that change during training: the learning rate, and fields that take a schedule.

Such a field is `0.05`, or `{from: 0.05, to: 0.005, over_kimg: 20000}`.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from ganforge.config.base import StrictModel


class Schedule(StrictModel):
    """A number that moves from one value to another over the first part of the training."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    start: float = Field(alias="from", ge=0, description="Value at the start of training.")
    to: float = Field(ge=0, description="Value from `over_kimg` on.")
    over_kimg: float = Field(gt=0, description="Length of the change, in thousands of real images.")
    shape: Literal["cosine", "linear", "doubling"] = Field(
        "cosine",
        description="cosine: half a wave; linear: a straight line; doubling: the value doubles (or "
        "halves) at equal intervals, until it is `to`.",
    )

    def at(self, nimg: int) -> float:
        """The value after `nimg` images. It depends only on progress, so that resuming is exact."""
        done = min(1.0, nimg / (1000 * self.over_kimg))
        if self.shape == "doubling":
            return self._doubled(done)
        share = done if self.shape == "linear" else (1 - math.cos(math.pi * done)) / 2
        return self.start + share * (self.to - self.start)

    def _doubled(self, done: float) -> float:
        if done == 1.0:
            return self.to
        # 4 -> 30 takes three doublings, of which the last one ends at 30.
        count = math.ceil(abs(math.log2(self.to / self.start)))
        factor = 2.0 ** int(done * count)
        return self.start * factor if self.to > self.start else self.start / factor

    @model_validator(mode="after")
    def _doubling_starts_above_zero(self) -> "Schedule":
        if self.shape == "doubling" and not (self.start and self.to):
            raise ValueError(f"shape=doubling needs ends above 0, got {self.start:g}, {self.to:g}")
        return self

    def to_power(self, exponent: float) -> "Schedule":
        """The schedule with both ends raised to a power."""
        return self.model_copy(update={"start": self.start**exponent, "to": self.to**exponent})


class ScheduleConfig(StrictModel):
    """Learning-rate schedule: a factor on the learning rate as a function of progress."""

    name: Literal["constant", "linear", "cosine", "step"] = "constant"
    warmup_kimg: float = Field(0.0, ge=0, description="Linear warm-up from 0.")
    decay_start_kimg: float = Field(0.0, ge=0, description="Start of the decay.")
    decay_end_kimg: float | None = Field(None, description="End of the decay. Default: total_kimg.")
    final_factor: float = Field(0.0, ge=0, description="Factor at the end of the decay.")
    step_kimg: float | None = Field(
        None, gt=0, description="With step: interval between two decays."
    )
    factor: float = Field(
        0.5, gt=0, le=1, description="With step: multiply the learning rate by this each time."
    )

    @model_validator(mode="after")
    def _decays_forwards(self) -> "ScheduleConfig":
        start, end = self.decay_start_kimg, self.decay_end_kimg
        if end is not None and end < start:
            raise ValueError(f"decay_end_kimg={end:g} is before decay_start_kimg={start:g}")
        return self

    @model_validator(mode="after")
    def _steps_have_an_interval(self) -> "ScheduleConfig":
        if self.name != "step":
            if self.step_kimg is not None:
                raise ValueError(f"step_kimg has no effect with name={self.name}; use name: step")
            return self
        if self.step_kimg is None:
            raise ValueError("name=step needs step_kimg, e.g. step_kimg: 100")
        if self.decay_start_kimg or self.decay_end_kimg is not None or self.final_factor:
            raise ValueError(
                "decay_start_kimg, decay_end_kimg and final_factor have no effect with name=step; "
                "use step_kimg and factor"
            )
        return self


def value_at(value: float | Schedule, nimg: int) -> float:
    """A number as it is, or the value of a schedule after `nimg` images."""
    return value.at(nimg) if isinstance(value, Schedule) else value


def _branch(value: Any) -> str:
    return "schedule" if isinstance(value, Mapping | Schedule) else "number"


_Scheduled = Annotated[Schedule, Tag("schedule")]

Scheduled = Annotated[Annotated[float, Tag("number")] | _Scheduled, Discriminator(_branch)]
"""A number or a schedule."""

ScheduledNonNegative = Annotated[
    Annotated[float, Field(ge=0), Tag("number")] | _Scheduled, Discriminator(_branch)
]
"""A number of at least 0, or a schedule."""

ScheduledPositive = Annotated[
    Annotated[float, Field(gt=0), Tag("number")] | _Scheduled, Discriminator(_branch)
]
"""A number above 0, or a schedule."""
