"""The plan of a pipeline file on some GPUs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ganforge.config.models import PipelineConfig
from ganforge.data.shards.index import INDEX_NAME, load_index
from ganforge.data.shards.readable_fields import ReadableFields
from ganforge.errors import ConfigError
from ganforge.interfaces.architecture import Reads
from ganforge.interfaces.components import Components
from ganforge.interfaces.spec import ImageSpec
from ganforge.planning.data_rate import DataRate, rate_of_photographs, rate_of_shards
from ganforge.planning.gpus import Cluster
from ganforge.planning.measure import measure_phases, this_cluster
from ganforge.planning.plan import Plan, make_plan
from ganforge.planning.workload import count_work
from ganforge.training.fields import IMAGES, choose_fields, expected_spec, model_spec
from ganforge.training.precision import Precision, choose_precision
from ganforge.training.preflight import check_labels, check_trainable, choose_slots
from ganforge.training.runtime import Runtime

_HALF: Mapping[Precision, torch.dtype | None] = {
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp32": None,
}


@dataclass(frozen=True)
class _Data:
    """What training would read."""

    spec: ImageSpec
    fields: tuple[str, ...]
    rate: DataRate
    note: str = ""


def plan_pipeline(components: Components, cluster: Cluster, price: float | None = None) -> Plan:
    """What a run will take on GPUs whose data sheet is known.

    Args:
        components: of the pipeline file.
        cluster: the GPUs.
        price: of one GPU for one hour.

    Raises:
        ConfigError: batch, slots and GPUs do not fit; the file does not say how large images are.
    """
    wanted, has_bf16 = components.config.train.precision, cluster.gpu.has_bf16
    precision, advice = choose_precision(wanted, has_bf16, is_cpu=False)
    if precision == "bf16" and not has_bf16:
        precision = "fp32"  # emulated; not faster than that
    planned = _plan(components, cluster, precision, price)
    return planned if has_bf16 else replace(planned, notes=(advice, *planned.notes))


def plan_measured(components: Components, count: int, price: float | None = None) -> Plan:
    """What a run will take on `count` devices like that of this machine, where a step is measured.

    Raises:
        ConfigError: as for `plan_pipeline`.
    """
    train = components.config.train
    runtime = Runtime(train.precision, cpu_threads=train.cpu_threads)
    cluster = this_cluster(count, runtime)
    return _plan(components, cluster, runtime.precision, price, runtime)


def _plan(
    components: Components,
    cluster: Cluster,
    precision: Precision,
    price: float | None,
    runtime: Runtime | None = None,
) -> Plan:
    config = components.config
    slots = choose_slots(config, cluster.count, None)
    data, micro_batch = _data(config, components), config.train.batch_size // slots
    architecture = components.bound_architecture(data.spec)
    check_trainable(architecture, components.objective, config, slots)
    measured = None
    if runtime is not None:
        measured = measure_phases(components, data.spec, data.fields, micro_batch, runtime)
    basis = "roofline" if runtime is None else "measured on this machine"
    return make_plan(
        config,
        count_work(components, data.spec, data.fields, micro_batch, _HALF[precision]),
        cluster,
        slots // cluster.count,
        data.rate,
        basis=f"{basis}, {precision}",
        measured=measured,
        price=price,
        notes=(data.note,) if data.note else (),
    )


def _data(config: PipelineConfig, components: Components) -> _Data:
    chosen = components.architecture
    reads = check_labels(config, chosen.component, chosen.config)
    location = config.data.shards or str(config.run_folder / "shards")
    if config.data.shards is None and not (Path(location) / INDEX_NAME).exists():
        return _expected(config, reads)
    index = load_index(location)
    data = ReadableFields(config.data, index, location)
    fields = choose_fields(config, chosen.component.name, reads, data)
    rate = rate_of_shards(config.data, location, index, fields)
    return _Data(model_spec(config, data, fields), fields, rate)


def _expected(config: PipelineConfig, reads: Reads) -> _Data:
    """What the file says of data that are not prepared yet."""
    spec = expected_spec(config, reads)
    if spec is None:
        raise ConfigError(
            "data.resolution is not set and there are no shards yet, so that the size of the "
            "images is not known. Set it, e.g. data.resolution=256, or prepare the data first."
        )
    fields = reads.required
    stored = sum(name in (*IMAGES, "source") for name in fields) * spec.num_frames
    note = "The data are not prepared yet: their rate is that of a made-up photograph."
    if {"label", "attributes", "text"} & set(fields):
        note += " Conditions count as the smallest possible."
    return _Data(spec, fields, rate_of_photographs(config.data, spec, stored), note)
