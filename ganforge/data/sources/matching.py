"""Matches two sets of files by name, and reports those without a partner."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ganforge.data.sources.class_names import natural_order
from ganforge.errors import DataError

logger = logging.getLogger(__name__)
_MAX_LISTED = 10


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _MAX_LISTED} more" * (len(names) > _MAX_LISTED)
    return ", ".join(f"'{name}'" for name in names[:_MAX_LISTED]) + more


def partners(
    sides: Mapping[str, Mapping[str, Any]], unmatched: Literal["error", "skip"], what: str
) -> list[str]:
    """The names that both sides have, in natural order.

    Args:
        sides: by a description of the side ("source='maps'"), what it has by name.
        unmatched: whether names that only one side has are an error, or are left out with a
            warning.
        what: images or clips.

    Raises:
        DataError: a name has no partner, or none has one.
    """
    (first, one), (second, other) = sides.items()
    alone = {
        first: sorted(set(one) - set(other), key=natural_order),
        second: sorted(set(other) - set(one), key=natural_order),
    }
    faults = [f"{len(names)} in {side}: {listed(names)}" for side, names in alone.items() if names]
    common = sorted(set(one) & set(other), key=natural_order)
    if faults and (unmatched == "error" or not common):
        raise DataError(
            f"There are {what} without a partner, {'; '.join(faults)}. Give partners equal names, "
            f"set unmatched: skip to leave them out, or use the source 'unpaired'."
        )
    if faults:
        logger.warning("Left out: %s without a partner, %s.", what, "; ".join(faults))
    return common
