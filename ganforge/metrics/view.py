"""One direction of an evaluation: what is generated, and the real images to compare it with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.config.models import DataConfig, EvaluateConfig
from ganforge.metrics.features import as_bytes, samples_per_batch
from ganforge.metrics.real import RealSet
from ganforge.metrics.requests import MeasuredModel, Requests, direction_fields


@dataclass(frozen=True)
class View:
    """A model in one direction, and the real images that its outputs should resemble.

    The direction is empty for a generator from noise.
    """

    model: MeasuredModel
    config: EvaluateConfig
    direction: str
    real: RealSet
    requests: Requests

    @classmethod
    def open(
        cls,
        model: MeasuredModel,
        direction: str,
        config: EvaluateConfig,
        reference: str,
        data: DataConfig,
        device: torch.device,
    ) -> "View":
        """Open the reference, for its images and for what requests need.

        Raises:
            DataError: the reference cannot be read, or lacks what the model needs.
            MetricError: it holds no images.
        """
        field = direction_fields(direction)[1] or None
        real = RealSet(data, reference, config.num_real, field)
        requests = Requests(model, direction, config, reference, data, device)
        return cls(model, config, direction, real, requests)

    @property
    def num_gen(self) -> int:
        """Samples to generate for metrics of features: a source is translated only once."""
        wanted = self.config.num_images
        return min(wanted, self.requests.num_sources) if self.direction else wanted

    def samples_per_batch(self, count: int) -> int:
        """Samples of a batch, of `count` in all: at least one clip."""
        return samples_per_batch(self.config.batch_size, count, self.real.num_frames)

    def generate(self, plan: Sequence[range]) -> Iterator[Tensor]:
        """The generated samples of each range of indices: uint8 [n, *shape] of the real ones.

        Raises:
            MetricError: they have another shape than the real ones, or NaN pixels.
        """
        for indices in plan:
            request = self.requests(indices)
            yield as_bytes(self.model.generate(request), request.seeds, self.real.shape)
