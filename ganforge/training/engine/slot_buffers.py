"""Module buffers over the slots of a phase: all slots start from equal values, the mean remains."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

# Elements. Compiled kernels and vector loads want each buffer to start at such a boundary.
_ALIGNMENT = 16


class SlotBuffers:
    """Buffers of all modules, reduced over slots like gradients.

    All slots of a phase start from the same buffers, which end as the mean over the slots. A buffer
    that no slot changes keeps its bits. Buffers that are not floating point (counters) keep the
    values of this rank's last slot.

    Buffers of one type lie in one row of a table with a row per slot, so that a phase takes a few
    operations however many buffers and slots there are. During a slot the modules' buffers point to
    its row; between phases they point to row 0. What ranks exchange is the sum of all changes in
    that layout, so that they need not agree on which buffers changed.

    Args:
        modules: their buffers are moved into the table.
        num_slots: slots of this rank.
        fixed: buffers to leave alone.
    """

    def __init__(
        self, modules: Iterable[nn.Module], num_slots: int, fixed: Iterable[Tensor] = ()
    ) -> None:
        left_out = {id(buffer) for buffer in fixed}
        found = [b for module in modules for b in module.buffers() if id(b) not in left_out]
        kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for buffer in dict.fromkeys(found):
            # Otherwise it is a view with gaps or overlaps, such as an expanded constant.
            if torch.empty_like(buffer).stride() == buffer.stride():
                kinds.setdefault((buffer.dtype, buffer.device), []).append(buffer)
        self._tables = [_Table(buffers, num_slots) for buffers in kinds.values()]

    def begin_phase(self) -> None:
        """Give every slot the values of now."""
        for table in self._tables:
            table.begin_phase()

    def begin_slot(self, index: int) -> None:
        """Point the buffers to the values of this rank's slot `index`."""
        for table in self._tables:
            table.point(index)

    def changes(self) -> list[Tensor]:
        """The sums over this rank's slots of what they changed, to be summed in place over ranks.

        Slots that change nothing give exact zeros.
        """
        return [table.sum_changes() for table in self._tables if table.is_float]

    def end_phase(self, changes: Iterable[Tensor], num_slots: int) -> None:
        """Write the means; `changes` are summed over all ranks, `num_slots` are of all ranks."""
        remaining = iter(changes)
        for table in self._tables:
            table.end_phase(next(remaining) if table.is_float else None, num_slots)


class _Table:
    """Buffers of one type: a row [width] for each slot, and one of the values at the start."""

    def __init__(self, buffers: Sequence[Tensor], num_slots: int) -> None:
        self.is_float = buffers[0].is_floating_point()
        self._buffers = buffers
        starts, width = [], 0
        for buffer in buffers:
            starts.append(width)
            width += -(-buffer.numel() // _ALIGNMENT) * _ALIGNMENT
        table = buffers[0].new_zeros(num_slots + 1, width)
        self._slots, self._start = table[:-1], table[-1]
        self._views = [
            [
                row[start : start + buffer.numel()].as_strided(buffer.size(), buffer.stride())
                for start, buffer in zip(starts, buffers, strict=True)
            ]
            for row in self._slots
        ]
        torch._foreach_copy_(self._views[0], list(buffers))
        self.point(0)

    def point(self, slot: int) -> None:
        for buffer, view in zip(self._buffers, self._views[slot], strict=True):
            buffer.data = view

    def begin_phase(self) -> None:
        first = self._slots[0]
        self._start.copy_(first)
        if len(self._slots) > 1:
            self._slots[1:] = first

    def sum_changes(self) -> Tensor:
        changes = self._slots - self._start
        # Not only to keep zeros exact: the difference of equal infinities is NaN.
        return changes.masked_fill_(self._slots == self._start, 0).sum(0)

    def end_phase(self, changes: Tensor | None, num_slots: int) -> None:
        if changes is not None:
            torch.add(self._start, changes, alpha=1 / num_slots, out=self._slots[0])
        elif len(self._slots) > 1:
            self._slots[0].copy_(self._slots[-1])
        self.point(0)
