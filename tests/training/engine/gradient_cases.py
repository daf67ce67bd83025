"""Gradients of a small network on this rank, summed by `GradientSum` and by a plain all-reduce."""

import torch
from torch import nn

from ganforge.training.engine.gradient_sum import GradientSum

CASES = {"float64": torch.float64, "float32": torch.float32}
SMALL_BUCKET = 16


class Network(nn.Module):
    """A convolution in channels_last, a layer that only rank 0 uses, a dead and a frozen one."""

    def __init__(self):
        super().__init__()
        self.dead = nn.Linear(4, 4)
        self.conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        self.sometimes = nn.Linear(4, 4)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.last = nn.Linear(4, 1)

    def forward(self, x, rank):
        x = self.frozen(self.conv(x).mean((2, 3)))
        return self.last(self.sometimes(x) if rank == 0 else x)


def backward(network, rank, slot):
    generator = torch.Generator().manual_seed(10 * rank + slot)
    dtype = network.last.weight.dtype
    x = torch.randn(2, 3, 5, 5, generator=generator, dtype=torch.float64).to(dtype)
    network(x, rank).square().mean().backward()


def compare(runtime, dtype):
    """What differs between the two, and how many buckets left during the backward pass."""
    torch.manual_seed(0)
    network = Network().to(dtype)
    parameters = {n: p for n, p in network.named_parameters() if p.requires_grad}
    backward(network, runtime.rank, 0)
    backward(network, runtime.rank, 1)
    plain = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters.values()]
    flat = runtime.all_reduce_sum(torch.cat([g.reshape(-1) for g in plain]))
    plain = flat.split([p.numel() for p in parameters.values()])
    found = GradientSum(runtime, parameters, bucket_bytes=SMALL_BUCKET)
    for _ in range(2):  # the second phase finds the memory of the first
        for parameter in parameters.values():
            parameter.grad = None
        backward(network, runtime.rank, 0)
        with found.watching():
            backward(network, runtime.rank, 1)
            early = found.num_sent
        gradients = found.finish()
    return {
        "early": early,
        "buckets": found.num_sent,
        "unequal": [
            name
            for name, p, ours in zip(parameters, plain, gradients, strict=True)
            if not torch.equal(ours.reshape(-1), p)
        ],
        "layouts": all(
            g.stride() == p.stride() and p.grad is g
            for g, p in zip(gradients, parameters.values(), strict=True)
        ),
    }
