import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ganforge.training.engine.slot_buffers import SlotBuffers


class Launches(TorchDispatchMode):
    """Counts the operations that touch data: not views, nor memory that is only reserved."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        returned = [value.alias_info for value in func._schema.returns]
        is_view = any(alias is not None and not alias.is_write for alias in returned)
        if not is_view and "empty" not in func.name():
            self.names.append(func.name())
        return func(*args, **(kwargs or {}))


class Constants(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("kernel", torch.rand(3, 4, 4))
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
        self.register_buffer("expanded", torch.rand(1).expand(5))
        self.register_buffer("layout", torch.rand(1, 2, 3, 3).to(memory_format=torch.channels_last))
        self.register_buffer("fingerprint", torch.arange(5, dtype=torch.uint8))


def run_phase(buffers, slots, num_slots=None):
    """What a phase does: `slots` are functions that change buffers."""
    buffers.begin_phase()
    for index, slot in enumerate(slots):
        buffers.begin_slot(index)
        slot()
    buffers.end_phase(buffers.changes(), num_slots or len(slots))


def test_slot_buffers_leave_the_mean_of_what_slots_made():
    norm = nn.BatchNorm1d(2, momentum=0.5)
    shares = [torch.tensor([[0.0, 2.0], [4.0, 2.0]]), torch.tensor([[8.0, 0.0], [8.0, 4.0]])]
    buffers = SlotBuffers([norm], 2)
    for count, expected in ((1, [2.5, 1.0]), (2, [3.75, 1.5])):
        run_phase(buffers, [lambda share=share: norm(share) for share in shares])
        torch.testing.assert_close(norm.running_mean, torch.tensor(expected))
        assert norm.num_batches_tracked == count


def test_slot_buffers_of_two_ranks_give_the_mean_over_all_slots():
    shares = torch.randn(4, 8, 3, generator=torch.Generator().manual_seed(0))
    norms = [nn.BatchNorm1d(3) for _ in range(3)]
    alone, *ranks = norms
    run_phase(SlotBuffers([alone], 4), [lambda share=share: alone(share) for share in shares])
    tables = []
    for norm, part in zip(ranks, shares.chunk(2), strict=True):
        tables.append(SlotBuffers([norm], 2))
        tables[-1].begin_phase()
        for index, share in enumerate(part):
            tables[-1].begin_slot(index)
            norm(share)
    summed = [sum(changes) for changes in zip(*(t.changes() for t in tables), strict=True)]
    for table, norm in zip(tables, ranks, strict=True):
        table.end_phase(summed, 4)
        for name, buffer in norm.named_buffers():
            torch.testing.assert_close(buffer, alone.get_buffer(name), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("num_slots", [1, 64])
def test_slot_buffers_keep_the_bits_and_layout_of_what_no_slot_changes(num_slots):
    module = Constants()
    before = {name: (b.clone(), b.stride()) for name, b in module.named_buffers()}
    buffers = SlotBuffers([module], num_slots)
    run_phase(buffers, [lambda: None] * num_slots, 64)
    for name, buffer in module.named_buffers():
        assert torch.equal(buffer, before[name][0]) and buffer.stride() == before[name][1]


def test_slot_buffers_leave_fixed_buffers_to_the_slots():
    norm = nn.BatchNorm1d(2, momentum=1.0)
    buffers = SlotBuffers([norm], 2, fixed=[norm.running_mean])
    run_phase(buffers, [lambda k=k: norm(torch.full((2, 2), k)) for k in (1.0, 3.0)])
    assert torch.equal(norm.running_mean, torch.full((2,), 3.0))


@pytest.mark.parametrize("num_norms", [1, 300])
def test_slot_buffers_take_few_launches_whatever_the_number_of_buffers_and_slots(num_norms):
    norms = nn.ModuleList(nn.BatchNorm1d(5) for _ in range(num_norms))
    buffers = SlotBuffers([norms], 8)
    with Launches() as launches:
        run_phase(buffers, [lambda: None] * 8)
    assert 1 < len(launches.names) <= 10, launches.names


def test_slot_buffers_serve_copies_of_the_modules_and_begin_anew():
    # As after a rollback: a second stepper on the same modules.
    norm = nn.BatchNorm1d(2, momentum=1.0)
    means = [[1.0, 2.0, 3.0], [4.0, 6.0]]
    first, second = ([lambda k=k: norm(torch.full((2, 2), k)) for k in part] for part in means)
    run_phase(SlotBuffers([norm], 3), first)
    copied = copy.deepcopy(norm)
    run_phase(SlotBuffers([norm], 2), second)
    assert copied.running_mean.tolist() == [2.0, 2.0] and norm.running_mean.tolist() == [5.0, 5.0]
