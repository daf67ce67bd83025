"""Leaves out clips that are shorter than the window that training reads."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from ganforge.config.data import DataConfig
from ganforge.data.prepare.field_kinds import clip_length
from ganforge.errors import DataError
from ganforge.interfaces.source import Sample

logger = logging.getLogger(__name__)
_MAX_LISTED = 10


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
        for sample in samples:
            length = clip_length(sample, self.config.fields)
            if length is not None and length < self.config.clip.span:
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
        listed = ", ".join(f"'{key}' ({length})" for key, length in self.short[:_MAX_LISTED])
        more = f" and {len(self.short) - _MAX_LISTED} more" * (len(self.short) > _MAX_LISTED)
        wanted = f"{self.config.clip.span} frames, the longest window of data.clip"
        if not self.num_kept:
            raise DataError(
                f"All {len(self.short)} clips of {self.where} have fewer than {wanted}: {listed}"
                f"{more}. Lower num_frames or stride of data.clip, or use longer clips."
            )
        logger.warning(
            "Left out: %d of %d clips of %s have fewer than %s: %s%s.",
            len(self.short),
            len(self.short) + self.num_kept,
            self.where,
            wanted,
            listed,
            more,
        )
