"""How ranks agree to do something between two steps, because time has passed or a signal came.

Clocks and signals differ between ranks, and something that only some of them did would leave the
others waiting. So each rank votes before a step, and the votes are summed with the gradients of
that step: no collective is added. On a GPU the sum is copied to the host asynchronously and read
after the next step, so that the host never waits for the device.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ganforge.training.engine.host_copy import HostCopy
from ganforge.training.runtime import Runtime


class Agreement:
    """What any rank wants, learned by all ranks at the same step edge.

    Args:
        runtime: of this rank.
        wishes: () -> what this rank wants now, always equally many.
        late: read the votes one step later. Default: on GPUs.
    """

    def __init__(
        self, runtime: Runtime, wishes: Callable[[], Sequence[bool]], late: bool | None = None
    ) -> None:
        self._device, self._is_alone = runtime.device, runtime.world_size == 1
        self._wishes = wishes
        self._late = self._device.type == "cuda" if late is None else late
        self._votes: Tensor | None = None
        self._underway: HostCopy | None = None
        self._done: set[int] = set()

    def vote(self) -> Tensor | None:
        """This rank's votes on the coming step edge, to be summed in place over the ranks.

        None for a single rank, which decides alone.
        """
        if self._is_alone:
            return None
        votes = torch.tensor(self._wishes(), dtype=torch.float32)
        if self._device.type == "cuda":  # from pinned memory, or the host would wait
            votes = votes.pin_memory()
        self._votes = votes.to(self._device, non_blocking=True)
        return self._votes

    def outcome(self) -> list[bool]:
        """What any rank wants at this step edge, equal on all ranks; call it once a step."""
        if self._votes is None:
            return list(self._wishes())
        heard: HostCopy | None = HostCopy(self._votes)
        if self._late:
            heard, self._underway = self._underway, heard
        votes = [0.0] * len(self._votes) if heard is None else heard.read()
        outdated, self._done = self._done, set()
        return [vote > 0 and index not in outdated for index, vote in enumerate(votes)]

    def done(self, index: int) -> None:
        """Wish `index` has been fulfilled: votes for it that are underway no longer count."""
        if self._late:
            self._done.add(index)
