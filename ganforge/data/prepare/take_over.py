"""Takes over the samples that an earlier prepare encoded before it was stopped."""

import itertools
import logging
from collections.abc import Callable, Iterator

from ganforge.data.prepare.fingerprint import fingerprint
from ganforge.data.prepare.sample_encoder import Encoded, SampleEncoder
from ganforge.data.prepare.spool import Spool
from ganforge.interfaces.source import Sample

logger = logging.getLogger(__name__)


def take_over(
    spool: Spool,
    samples: Iterator[Sample],
    add: Callable[[Encoded], None],
    encoder: SampleEncoder,
) -> Iterator[Sample]:
    """Take over what `spool` holds already, as long as the source gives the same samples.

    Args:
        spool: ready to be appended to afterwards.
        samples: of the source, from the first one on.
        add: called with each sample that is taken over.
        encoder: tries bad samples again, whose cause may have passed.

    Returns:
        the samples that are left to encode.
    """
    change = ""
    for encoded in spool.earlier():
        sample = next(samples, None)
        change = _change(encoded, sample, encoder)
        if change:
            samples = itertools.chain(() if sample is None else [sample], samples)
            break
        add(encoded)
        spool.take_over(encoded)
    num_bytes = spool.cut()
    if num_bytes and not change:
        change = f"the last {num_bytes} bytes of its spool are damaged or incomplete"
    if change or spool.num_records:
        logger.info(
            "Taken over from an earlier prepare: %d samples of %s%s.",
            spool.num_records,
            encoder.where,
            f"; the rest is encoded again, because {change}" if change else "",
        )
    return samples


def _change(encoded: Encoded, sample: Sample | None, encoder: SampleEncoder) -> str:
    """How a sample differs from the one that was encoded; empty if it does not."""
    key = encoded.sample.key
    if sample is None:
        return f"there is no sample '{key}' any more"
    if sample.key != key:
        return f"sample '{sample.key}' is in the place of '{key}'"
    if fingerprint(sample) != encoded.fingerprint:
        return f"sample '{key}' has changed"
    is_good_now = encoded.fault and not encoder.encode(sample).fault
    return f"sample '{key}' can be read now" if is_good_now else ""
