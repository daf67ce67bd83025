"""Leaves out clips that are shorter than the longest window of the training."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from ganforge.config.data import DataConfig
from ganforge.data.prepare.field_kinds import clip_length
from ganforge.data.sources.matching import listed
from ganforge.data.views import longest_span
from ganforge.errors import DataError
from ganforge.interfaces.source import Sample

logger = logging.getLogger(__name__)


@dataclass
class LongClips:
    """The samples whose clips are long enough for `data.clip`; it remembers the others."""

    config: DataConfig
    where: str
    num_kept: int = 0
    short: list[tuple[str, int]] = field(default_factory=list)
    """Key and number of frames."""

    def of(self, samples: Iterator[Sample]) -> Iterator[Sample]:
        """The samples to keep."""
        if self.config.clip is None:
            yield from samples
            return
        span = longest_span(self.config.clip)
        for sample in samples:
            length = clip_length(sample, self.config.fields)
            if length is not None and length < span:
                self.short.append((sample.key, length))
            else:
                self.num_kept += 1
                yield sample

    def report(self) -> None:
        """Warn of the clips that were left out.

        Raises:
            DataError: all were.
        """
        if self.config.clip is None or not self.short:
            return
        names = listed([f"{key} ({length})" for key, length in self.short])
        wanted = f"{longest_span(self.config.clip)} frames, the longest window of data.clip"
        if not self.num_kept:
            raise DataError(
                f"All {len(self.short)} clips of {self.where} have fewer than {wanted}: {names}. "
                f"Lower num_frames or stride of data.clip, or use longer clips."
            )
        logger.warning(
            "Left out: %d of %d clips of %s have fewer than %s: %s.",
            len(self.short),
            len(self.short) + self.num_kept,
            self.where,
            wanted,
            names,
        )
