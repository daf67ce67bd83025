"""One of two ranks: batch norm over an uneven split of a known batch; results go to a file."""

import copy
import sys

import torch
from torch import distributed, nn

from ganforge.layers import convert_sync_batchnorm


def main(rank, folder):
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    torch.manual_seed(0)
    x = torch.randn(5, 3, 4, 4) * 2 + 100
    probe, weight = torch.randn(5, 3, 4, 4), torch.rand(3) + 0.5
    part = slice(0, 2) if rank == 0 else slice(2, 5)
    x, probe = x[part].requires_grad_(), probe[part]
    norm = convert_sync_batchnorm(nn.BatchNorm2d(3))
    norm.weight.data.copy_(weight)
    compiled = torch.compile(copy.deepcopy(norm), backend="eager")
    out = norm(x)
    (grad,) = torch.autograd.grad((out**3 * probe).sum(), x, create_graph=True)
    grad.square().sum().backward()
    results = {
        "out": out.detach(),
        "compiled": compiled(x).detach(),
        "grad": grad.detach(),
        "second": x.grad,
        "weight_grad": norm.weight.grad,
        "running_mean": norm.running_mean,
        "running_var": norm.running_var,
    }
    torch.save(results, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
