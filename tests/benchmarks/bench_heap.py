"""A training step of a small DCGAN on a CPU, with glibc's heap as it is and as a run keeps it.

python tests/benchmarks/bench_heap.py [--json]
"""

import click
import torch
from loops import serve_engine
from turns import Kind, common_arguments, compete, options, show

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.spec import ImageSpec

KINDS = (Kind("step", 1.0, 0),)


@click.command()
@options(size=32, batch=64, turns=300)
def main(
    size: int,
    batch: int,
    turns: int,
    precision: str,
    compiled: bool,
    as_json: bool,
    served: str | None,
) -> None:
    """Measure and print; `usual` is the engine on the heap as it is."""
    if served is None:
        arguments = common_arguments(size, batch, precision, compiled)
        show(compete(__file__, arguments, KINDS, batch, turns), as_json)
        return
    config = PipelineConfig.model_validate(
        {
            "name": "heap",
            "data": {"shards": "unused"},
            "model": {"architecture": "dcgan", "base_channels": 32},
            "train": {"batch_size": batch, "precision": precision, "compile": compiled},
        }
    )
    image = torch.randint(256, (batch, 1, size, size), dtype=torch.uint8)
    watched = "loss/discriminator/adversarial"
    spec, own_heap = ImageSpec(size, size, 1), served == "engine"
    serve_engine(config, spec, {"image": image}, watched, KINDS, own_heap=own_heap)


if __name__ == "__main__":
    main()
