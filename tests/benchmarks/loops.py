"""Both loops of a benchmark that `turns` times: what they share, whatever the architecture."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from turns import Kind, serve

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.spec import ImageSpec
from ganforge.layers import InstanceNorm, ReflectionPad, resample
from ganforge.registry.components import resolve
from ganforge.training.build import build_run
from ganforge.training.cpu.heap import keep_heap
from ganforge.training.engine.loop import make_batches
from ganforge.training.engine.progress import Progress
from ganforge.training.engine.step import Stepper
from ganforge.training.runtime import Runtime
from ganforge.training.state.run_state import TrainingRun

PLAIN_TRAIN = {"precision": "fp32", "channels_last": False, "compile": False}
"""The `train` section of the usual loop's networks."""


class TorchInstanceNorm(nn.Module):
    """What nn.InstanceNorm2d calls, without its check of the number of channels."""

    def __init__(self, norm: InstanceNorm) -> None:
        super().__init__()
        self.scale, self.bias = norm.scale, norm.bias

    def forward(self, x: Tensor) -> Tensor:
        """Normalize [N, C, H, W]."""
        affine = [None if p is None else p.flatten() for p in (self.scale, self.bias)]
        return nn.functional.instance_norm(x, weight=affine[0], bias=affine[1])


def with_torch_layers(network: nn.Module) -> nn.Module:
    """Replace ganforge's layers by torch's, in place."""
    for name, child in network.named_children():
        if isinstance(child, InstanceNorm):
            setattr(network, name, TorchInstanceNorm(child))
        elif isinstance(child, ReflectionPad):
            setattr(network, name, nn.ReflectionPad2d(child.pad))
        else:
            with_torch_layers(child)
    return network


def random_images(size: int, batch: int) -> Tensor:
    """The same bytes for both, [batch, 3, size, size] uint8."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (batch, 3, size, size), dtype=torch.uint8, generator=generator)


def num_parameters(networks: Mapping[str, nn.Module]) -> dict[str, int]:
    """By role."""
    return {role: sum(p.numel() for p in net.parameters()) for role, net in networks.items()}


def plain_run(config: PipelineConfig, spec: ImageSpec) -> TrainingRun:
    """Networks in training mode for a textbook loop, in float32."""
    # As published: a depthwise convolution for every filter.
    resample._MAX_MATRIX_SIDE = 0
    run = build_run(resolve(config), spec, Runtime("fp32"))
    for network in run.nets.modules().values():
        network.train()
    return run


def serve_engine(
    config: PipelineConfig,
    spec: ImageSpec,
    fields: Mapping[str, Tensor],
    watched: str,
    kinds: Sequence[Kind],
    *,
    own_heap: bool = True,
) -> None:
    """Serve the engine's steps on one batch, from its bytes on, the average included.

    Args:
        config: the pipeline.
        spec: of the images.
        fields: the batch as the loader gives it.
        watched: the sums that begin so are the loss of a step.
        kinds: of steps.
        own_heap: keep the C heap on a CPU, as a run does.
    """
    if own_heap and not torch.cuda.is_available():
        keep_heap()
    run = build_run(resolve(config), spec, Runtime(config.train.precision))
    stepper, batch = Stepper(run), config.train.batch_size

    def step(number: int) -> float:
        progress = Progress(number, number * batch)
        result = stepper.step(make_batches(run, [dict(fields)]), progress)
        run.ema.update(progress.nimg + batch, batch)
        found = [value for name, value in result.sums.items() if name.startswith(watched)]
        return float(torch.stack(found).sum())

    serve(step, kinds, parameters=num_parameters(run.nets.modules()))
