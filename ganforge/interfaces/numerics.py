"""How NVIDIA GPUs compute in float32: process-wide switches of torch, set for a while."""

import contextlib
from collections.abc import Iterator

import torch


def set_tf32(allowed: bool) -> None:
    """Let float32 convolutions and matrix products use TF32, whose mantissa has 10 bits, or not.

    torch allows it for convolutions by default, so that what is called float32 is not.
    """
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """`set_tf32` within a context."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    set_tf32(allowed)
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@contextlib.contextmanager
def cudnn_benchmark(enabled: bool) -> Iterator[None]:
    """Within it, cuDNN times its algorithms for each new shape and keeps the fastest, or not."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = enabled
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
