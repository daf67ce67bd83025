"""A number together with everything it depends on, and the rule for comparing two of them."""

from typing import Any

from pydantic import ConfigDict, Field

from ganforge.config.models import StrictModel
from ganforge.errors import MetricError

_NOT_COMPARED = "value lower_is_better seed nimg compiled caveats ganforge_version".split()


class MetricRecord(StrictModel):
    """One measured number and its provenance; `model_dump(mode="json")` is its JSON form.

    Two records may be compared when they were measured alike: all fields agree except `value`,
    `seed`, `nimg`, `compiled`, `caveats` and `ganforge_version`.
    """

    # A broken generator may measure as NaN, and that is worth a record.
    model_config = ConfigDict(allow_inf_nan=True)

    metric: str = Field(description="Registered name of the metric.")
    name: str = Field(description="Which of the metric's values, e.g. is or is_std.")
    value: float
    lower_is_better: bool
    options: dict[str, Any] = Field({}, description="The metric's own options.")
    n_gen: int = Field(description="Generated images, or clips of video.")
    n_real: int = Field(description="Real images or clips; 0 when the metric needs none.")
    num_frames: int = Field(1, description="Frames of each clip, all of them measured.")
    reference: str = Field(description="Digest of the real images' index; empty when none.")
    split: str = Field("", description="Stream and field of the real images: main.image.")
    direction: str = Field("", description="Of a translator: source_to_target.")
    needs: str = Field(description="Output of the extractor that was used, or pairs.")
    extractor: str = Field("", description="Registered name; empty for pair metrics.")
    extractor_sha256: str = Field("", description="Hash of its weights.")
    resize: str = Field("none", description="How images reach the extractor's size.")
    precision: str = Field("fp32", description="Arithmetic of the extractor.")
    compiled: bool = Field(False, description="Whether the extractor was compiled.")
    ema: bool = Field(description="Averaged weights (true) or the weights as trained.")
    truncation: float | None = None
    num_standing: int = Field(
        0, description="Images behind standing batch statistics; 0: the running ones, averaged."
    )
    seed: int = Field(description="Image i came from seed + i.")
    nimg: int = Field(description="Training progress of the weights, in images.")
    caveats: tuple[str, ...] = ()
    ganforge_version: str

    @property
    def label(self) -> str:
        """Name and, of a translator, direction: "fid", "psnr/source_to_target"."""
        return f"{self.name}/{self.direction}" if self.direction else self.name

    def comparable_with(self, other: "MetricRecord") -> list[str]:
        """Names of the fields that forbid a comparison; empty when the two were measured alike."""
        compared = (name for name in MetricRecord.model_fields if name not in _NOT_COMPARED)
        return [name for name in compared if getattr(self, name) != getattr(other, name)]

    def is_better_than(self, other: "MetricRecord") -> bool:
        """Whether this number is better than another that was measured alike.

        Raises:
            MetricError: they were not measured alike; names the fields that differ.
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
