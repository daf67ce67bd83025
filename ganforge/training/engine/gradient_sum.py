"""The sum of gradients over ranks: in place, in buckets, during the last backward pass."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ganforge.errors import PluginContractError
from ganforge.training.runtime import Runtime

# As DistributedDataParallel: large enough for full bandwidth, small enough to start early.
_BUCKET_BYTES = 25 * 2**20


class GradientSum:
    """Sums the gradients of one group of networks over ranks.

    With several ranks, each `.grad` ends as a view into flat memory that lives as long as this
    object. Buckets follow the parameters backwards, as gradients arrive, and are sent in this order
    on every rank, whatever a backward pass reaches. A parameter without gradient counts as zero.

    Args:
        runtime: the ranks.
        parameters: by name; the same on all ranks.
        overlaps: send buckets during the last backward pass. Not where it contains collectives
            itself: their order among the buckets could differ between ranks.
        bucket_bytes: the size from which a bucket is full.
    """

    def __init__(
        self,
        runtime: Runtime,
        parameters: Mapping[str, nn.Parameter],
        *,
        overlaps: bool = True,
        bucket_bytes: int = _BUCKET_BYTES,
    ) -> None:
        self._runtime, self._parameters, self._overlaps = runtime, parameters, overlaps
        several = runtime.world_size > 1
        self._buckets = list(_buckets(parameters, bucket_bytes)) if several else []
        self.num_sent = 0
        """Buckets of this phase that are underway or summed."""

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Context of the last backward pass of a phase: sends each bucket that is complete.

        Raises:
            PluginContractError: a gradient arrives after its bucket was sent.
        """
        self._begin()
        handles = [
            parameter.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                partial(self._arrived, bucket, name)
            )
            for bucket in self._buckets * self._overlaps
            for name, parameter in bucket.parameters.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def finish(self) -> list[Tensor]:
        """Send what is left and wait; returns the gradients in the order of the parameters."""
        for bucket in self._buckets[self.num_sent :]:
            self._send(bucket)
        for bucket in self._buckets:
            bucket.wait()
        for parameter in self._parameters.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in self._parameters.values()]
        return [gradient for gradient in gradients if gradient is not None]

    def _begin(self) -> None:
        self.num_sent = 0
        for bucket in self._buckets:
            bucket.num_missing = len(bucket.parameters)

    def _arrived(self, bucket: "_Bucket", name: str, parameter: Tensor) -> None:
        bucket.num_missing -= 1
        if bucket.num_missing < 0:
            raise PluginContractError(
                f"The gradient of {name} arrives twice in one backward pass, and its sum over "
                f"ranks has begun. Reentrant checkpointing does this: use "
                f"torch.utils.checkpoint.checkpoint(..., use_reentrant=False)."
            )
        for following in self._buckets[self.num_sent :]:
            if following.num_missing:
                return
            self._send(following)

    def _send(self, bucket: "_Bucket") -> None:
        bucket.fill()
        bucket.work = self._runtime.start_sum(bucket.flat)
        self.num_sent += 1


class _Bucket:
    """Some parameters, and flat memory for their gradients in the parameters' layouts."""

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self.parameters = parameters
        self.num_missing = len(parameters)
        self.work: torch.distributed.Work | None = None
        sizes = [parameter.numel() for parameter in parameters.values()]
        self.flat = next(iter(parameters.values())).detach().new_zeros(sum(sizes))
        parts = torch.split(self.flat, sizes)
        self._views = [
            part.as_strided(like.size(), torch.empty_like(like).stride())
            for part, like in zip(parts, parameters.values(), strict=True)
        ]

    @torch.no_grad()
    def fill(self) -> None:
        """Copy the gradients in, and make them views of the flat memory."""
        pairs = list(zip(self._views, self.parameters.values(), strict=True))
        missing = [view for view, parameter in pairs if parameter.grad is None]
        found = [(view, p.grad) for view, p in pairs if p.grad is not None]
        if missing:
            torch._foreach_zero_(missing)
        if found:
            torch._foreach_copy_([view for view, _ in found], [gradient for _, gradient in found])
        for view, parameter in pairs:
            parameter.grad = view

    def wait(self) -> None:
        """Until the sum over ranks is in the flat memory."""
        if self.work is not None:
            self.work.wait()
            self.work = None


def _buckets(parameters: Mapping[str, nn.Parameter], limit: int) -> Iterator[_Bucket]:
    """The last parameters first; a bucket has one type, and ends where it passes the limit."""
    part: dict[str, nn.Parameter] = {}
    size, dtype = 0, None
    for name, parameter in reversed(list(parameters.items())):
        if part and (size >= limit or parameter.dtype != dtype):
            yield _Bucket(part)
            part, size = {}, 0
        part[name], dtype = parameter, parameter.dtype
        size += parameter.numel() * parameter.element_size()
    if part:
        yield _Bucket(part)


@torch.no_grad()
def reduce_flat(runtime: Runtime, tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its sum over ranks, through one collective."""
    if runtime.world_size == 1 or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
    flat = runtime.all_reduce_sum(flat)
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view(tensor.shape))
