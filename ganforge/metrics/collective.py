"""Work that rank 0 does for all ranks, without leaving them waiting when it fails."""

from collections.abc import Callable
from typing import TypeVar

from ganforge.errors import GanforgeError
from ganforge.training.runtime import Runtime

T = TypeVar("T")


def on_main(runtime: Runtime, action: Callable[[], T]) -> T:
    """Rank 0's result of `action` on every rank.

    Raises:
        GanforgeError: what `action` raised on rank 0, on every rank.
    """
    outcome: tuple[T | None, GanforgeError | None] = (None, None)
    if runtime.is_main:
        try:
            outcome = (action(), None)
        except GanforgeError as err:
            outcome = (None, err)
    value, error = runtime.broadcast_object(outcome)
    if error is not None:
        raise error
    return value  # type: ignore[no-any-return]  # broadcast_object keeps the type
