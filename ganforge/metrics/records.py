"""A number together with everything it depends on, and the rule for comparing two of them."""

from typing import Any

from pydantic import ConfigDict, Field

from ganforge.config.models import StrictModel
from ganforge.errors import MetricError

_PROTOCOL = (
    "metric",
    "name",
    "options",
    "n_gen",
    "n_real",
    "reference",
    "split",
    "extractor",
    "extractor_sha256",
    "layer",
    "resize",
    "precision",
    "ema",
    "truncation",
    "num_standing",
)


class MetricRecord(StrictModel):
    """One measured number and its provenance; `model_dump(mode="json")` is its JSON form.

    Two records may be compared when they were measured alike: all fields but `value`, `seed`,
    `nimg`, `compiled`, `caveats` and `ganforge_version` agree.
    """

    # A broken generator may measure as NaN, and that is worth a record.
    model_config = ConfigDict(allow_inf_nan=True)

    metric: str = Field(description="Registered name of the metric.")
    name: str = Field(description="Which of the metric's values, e.g. is or is_std.")
    value: float
    lower_is_better: bool
    options: dict[str, Any] = Field({}, description="The metric's own options.")
    n_gen: int = Field(description="Generated images.")
    n_real: int = Field(description="Real images; 0 when the metric needs none.")
    reference: str = Field(description="Digest of the real images' index; empty when none.")
    split: str = Field("", description="Stream and field of the real images: main.image.")
    extractor: str = Field(description="Registered name of the feature extractor.")
    extractor_sha256: str = Field(description="Hash of its weights.")
    layer: str = Field(description="Its layer that was used.")
    resize: str = Field(description="How images reach the extractor's size.")
    precision: str = Field(description="Arithmetic of the extractor.")
    compiled: bool = Field(False, description="Whether it was compiled: same to rounding.")
    ema: bool = Field(description="Averaged weights (true) or the weights as trained.")
    truncation: float | None = None
    num_standing: int = Field(
        0, description="Images behind standing batch statistics; 0: the running ones, averaged."
    )
    seed: int = Field(description="Image i came from seed + i.")
    nimg: int = Field(description="Training progress of the weights, in images.")
    caveats: tuple[str, ...] = ()
    ganforge_version: str

    def comparable_with(self, other: "MetricRecord") -> list[str]:
        """Names of the fields that forbid comparing the two; empty when they are alike."""
        return [name for name in _PROTOCOL if getattr(self, name) != getattr(other, name)]

    def is_better_than(self, other: "MetricRecord") -> bool:
        """Whether this number is the better of two that were measured alike.

        Raises:
            MetricError: they were not; names the fields that differ.
        """
        differing = self.comparable_with(other)
        if differing:
            shown = "; ".join(
                f"{name} {getattr(self, name)!r} and {getattr(other, name)!r}" for name in differing
            )
            raise MetricError(
                f"{self.metric}={self.value:.6g} at nimg={self.nimg} and "
                f"{other.metric}={other.value:.6g} at nimg={other.nimg} were not measured alike: "
                f"{shown}. Measure both with the same evaluate section."
            )
        return self.value < other.value if self.lower_is_better else self.value > other.value
