"""Weights that are equal on all ranks: made so at the start, checked at checkpoints."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ganforge.errors import TrainingError
from ganforge.training.state.run_state import TrainingRun
from ganforge.training.state.tensors import flatten

_CHUNK = 2**23


@torch.no_grad()
def broadcast_weights(run: TrainingRun) -> None:
    """Give all ranks the networks and averages of rank 0.

    Equal seeds do not suffice: orthogonal initialization calls LAPACK, which rounds differently on
    different processors.
    """
    if run.runtime.world_size == 1:
        return
    for part in _chunks(list(_weights(run).values())):
        flat = torch.cat([tensor.reshape(-1) for tensor in part])
        torch.distributed.broadcast(flat, src=0)
        values = torch.split(flat, [tensor.numel() for tensor in part])
        for tensor, value in zip(part, values, strict=True):
            tensor.copy_(value.view(tensor.shape))


def check_same_weights(run: TrainingRun) -> None:
    """Compare checksums of the networks and averages over ranks.

    Raises:
        TrainingError: they differ; raised on all ranks, names the first rank and tensor.
    """
    if run.runtime.world_size == 1:
        return
    weights = _weights(run)
    mine = torch.stack([checksum(tensor) for tensor in weights.values()])
    table = run.runtime.gather(mine).view(run.runtime.world_size, -1)
    different = (table != table[0]).nonzero().tolist()
    if different:
        rank, index = different[0]
        raise TrainingError(
            f"The weights of rank {rank} differ from those of rank 0 at {run.shown_kimg} kimg, "
            f"first in {list(weights)[index]}. No checkpoint is saved; earlier ones are intact. "
            f"Use processors or GPUs of one model on all nodes, look for a faulty one, and run "
            f"the same command to resume."
        )


def checksum(tensor: Tensor) -> Tensor:
    """A sum of the bits, int64, which does not depend on the order of the additions."""
    bits = torch.int64 if tensor.element_size() == 8 else torch.int32
    if tensor.element_size() < 4:
        tensor = tensor.float()
    return tensor.detach().reshape(-1).view(bits).sum(dtype=torch.int64)


def _weights(run: TrainingRun) -> dict[str, Tensor]:
    """Counters are left out: a rank keeps those of its own slots."""
    live = flatten({role: net.state_dict() for role, net in run.nets.modules().items()})
    mean = flatten({f"{role} (average)": n.state_dict() for role, n in run.ema.networks.items()})
    return {name: t for name, t in {**live, **mean}.items() if t.is_floating_point()}


def _chunks(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    part: list[Tensor] = []
    for tensor in tensors:
        is_full = sum(other.numel() for other in part) >= _CHUNK
        if part and (is_full or tensor.dtype != part[0].dtype):
            yield part
            part = []
        part.append(tensor)
    if part:
        yield part
