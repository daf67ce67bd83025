"""Records the kernels that code would launch on a GPU, from tensors on the meta device.

Nothing is computed and no memory is taken: shapes and types are enough to know how many operations
a kernel does, how many bytes it moves, and how much memory lives at a time.
"""

import contextlib
import math
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

KernelKind = Literal["dense", "opaque", "reduction", "pointwise"]
"""dense: a convolution or matrix product; opaque: anything that a compiler cannot fuse."""

_REDUCTIONS = {"sum", "mean", "var_mean", "var", "std", "amax", "amin", "linalg_vector_norm"}
_LIKE_POINTWISE = {"_to_copy", "clone", "copy_", "cat", "constant_pad_nd", "flip", "repeat"}
_FREE = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "detach"}
_CONVOLUTIONS = {"convolution", "convolution_backward", "_convolution"}
_LOW_PRECISION = (
    *(torch.conv1d, torch.conv2d, torch.conv3d, torch.conv_transpose2d, torch.conv_transpose3d),
    *(torch.nn.functional.linear, torch.matmul, torch.mm, torch.bmm, torch.addmm, torch.baddbmm),
    *(torch.einsum, Tensor.matmul, Tensor.__matmul__, Tensor.mm, Tensor.bmm),
    torch.nn.functional.scaled_dot_product_attention,
)


@dataclass(frozen=True)
class Kernel:
    """One launch.

    Attributes:
        name: of the operator.
        kind: how a compiler sees it.
        flops: of convolutions and matrix products, two for each multiplication with addition.
        is_half: whether its result has 16 bits.
        is_grouped: a convolution in groups, which tensor cores do not help.
        reads: the values that it reads: (value, bytes).
        writes: the values that it writes.
    """

    name: str
    kind: KernelKind
    flops: float
    is_half: bool
    is_grouped: bool
    reads: tuple[tuple[int, int], ...]
    writes: tuple[tuple[int, int], ...]

    @property
    def traffic(self) -> int:
        """Bytes that it moves."""
        return sum(size for _, size in (*self.reads, *self.writes))


@dataclass
class Trace:
    """What was recorded.

    Attributes:
        kernels: in order.
        peak_bytes: most memory of tensors that were made meanwhile, at one time.
    """

    kernels: list[Kernel] = field(default_factory=list)
    peak_bytes: int = 0


@contextlib.contextmanager
def recording(half: torch.dtype | None, smallest_half: int | None = None) -> Iterator[Trace]:
    """Record the kernels of a block that works on the meta device.

    Args:
        half: the type to which autocast casts, outside of `full_precision`; None for float32.
        smallest_half: cast as the authors of StyleGAN2 and 3 do instead: every convolution of
            images of at least this side, those of penalties too.
    """
    trace = Trace()
    with contextlib.ExitStack() as stack:
        if half is not None:
            stack.enter_context(torch.autocast("cpu", dtype=torch.bfloat16))
            stack.enter_context(_MetaAutocast(half, smallest_half))
        stack.enter_context(_Recorder(trace))
        yield trace


class _MetaAutocast(TorchFunctionMode):
    """Autocast for the meta device, which has none.

    It follows the switch of the CPU's, which `full_precision` turns off for meta tensors.
    """

    def __init__(self, half: torch.dtype, smallest: int | None) -> None:
        super().__init__()
        self._half, self._smallest = half, smallest

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _LOW_PRECISION and self._is_on(args[0]):
            args = [self._cast(arg) for arg in args]
            kwargs = {name: self._cast(arg) for name, arg in (kwargs or {}).items()}
        return func(*args, **(kwargs or {}))

    def _is_on(self, first: Any) -> bool:
        if self._smallest is None:
            return torch.is_autocast_enabled("cpu")
        return isinstance(first, Tensor) and min(first.shape[2:], default=0) >= self._smallest

    def _cast(self, value: Any) -> Any:
        if isinstance(value, Tensor) and value.is_meta and value.dtype == torch.float32:
            return value.to(self._half)
        return value


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, trace: Trace) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._trace = trace
        self._values: dict[int, int] = {}
        """The value that each living storage holds."""
        self._num_values = 0
        self._live_bytes = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        inputs = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor) and t.is_meta]
        reads = tuple((self._value_of(tensor), _num_bytes(tensor)) for tensor in inputs)
        result = func(*args, **kwargs)
        outputs = [t for t in tree_leaves(result) if isinstance(t, Tensor) and t.is_meta]
        if not outputs or _is_view(func):
            return result
        is_new = [self._is_new(tensor) for tensor in outputs]
        name = func.overloadpacket.__name__
        if name in _FREE or not (any(is_new) or func._schema.is_mutable):
            return result
        writes = tuple((self._renew(tensor), _num_bytes(tensor)) for tensor in outputs)
        self._trace.kernels.append(
            Kernel(
                name=name,
                kind=_kind(func, name),
                flops=_flops(func, args, kwargs, result),
                is_half=outputs[0].itemsize == 2,
                is_grouped=name in _CONVOLUTIONS and _groups(args) > 1,
                reads=reads,
                writes=writes,
            )
        )
        return result

    def _is_new(self, tensor: Tensor) -> bool:
        known = tensor.untyped_storage()._cdata in self._values
        if not known:
            self._value_of(tensor)
            self._live_bytes += tensor.untyped_storage().nbytes()
            self._trace.peak_bytes = max(self._trace.peak_bytes, self._live_bytes)
            weakref.finalize(
                tensor.untyped_storage(), self._free, tensor.untyped_storage().nbytes()
            )
        return not known

    def _free(self, num_bytes: int) -> None:
        self._live_bytes -= num_bytes

    def _value_of(self, tensor: Tensor) -> int:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._values:
            weakref.finalize(storage, self._values.pop, storage._cdata, None)
            return self._renew(tensor)
        return self._values[storage._cdata]

    def _renew(self, tensor: Tensor) -> int:
        """A new value in the storage of a tensor."""
        self._num_values += 1
        self._values[tensor.untyped_storage()._cdata] = self._num_values
        return self._num_values


def _is_view(func: Any) -> bool:
    returned = [value.alias_info for value in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in returned)


def _num_bytes(tensor: Tensor) -> int:
    # An expanded tensor has more elements than memory.
    return min(tensor.numel() * tensor.itemsize, tensor.untyped_storage().nbytes())


def _kind(func: Any, name: str) -> KernelKind:
    if name in _CONVOLUTIONS or func.overloadpacket in flop_registry:
        return "dense"
    if name in _REDUCTIONS:
        return "reduction"
    if torch.Tag.pointwise in func.tags or name in _LIKE_POINTWISE:
        return "pointwise"
    return "opaque"


def _groups(args: Sequence[Any]) -> int:
    """Of a convolution or its backward pass, whose last integer argument is the groups."""
    return int(next(a for a in reversed(args) if isinstance(a, int) and not isinstance(a, bool)))


def _flops(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> float:
    name = func.overloadpacket.__name__
    if name in ("convolution", "_convolution"):
        x, weight, transposed = args[0], args[1], args[6]
        return _convolution_flops(x if transposed else result, weight)
    if name == "convolution_backward":
        grad, x, weight, transposed, wanted = args[0], args[1], args[2], args[7], args[10]
        num_gradients: int = sum(wanted[:2])
        return num_gradients * _convolution_flops(x if transposed else grad, weight)
    if func.overloadpacket in flop_registry:
        return float(flop_registry[func.overloadpacket](*args, **kwargs, out_val=result))
    return 0.0


def _convolution_flops(coarse: Tensor, weight: Tensor) -> float:
    """PyTorch's counter takes gradients of convolutions in groups for those without."""
    return 2.0 * coarse.numel() * math.prod(weight.shape[1:])
