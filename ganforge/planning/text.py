"""A plan in words."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ganforge.planning.plan import Memory, Plan
from ganforge.training.tasks.forecast import shown_duration


def describe(plan: Plan) -> str:
    """All of a plan, for people."""
    rows = [*_size(plan), *_time(plan), *_around(plan)]
    width = max(len(topic) for topic, _ in rows)
    lines = [f"{topic:<{width}}  {text}" for topic, text in rows]
    return "\n".join([*lines, *(f"Note: {note}" for note in plan.notes)])


def to_dict(plan: Plan) -> dict[str, Any]:
    """All of a plan, ready for JSON."""
    stalls = {"checkpoints": plan.checkpoints, "evaluations": plan.evaluations}
    totals = {
        name: asdict(stall) | {"total_sec": stall.total_sec} for name, stall in stalls.items()
    }
    return asdict(plan) | totals


def _size(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "GPUs", f"{plan.gpus} ({plan.basis})"
    sizes = ", ".join(f"{role} {_millions(count)}" for role, count in plan.parameters.items())
    yield "parameters", sizes
    verdict = "" if plan.fits else "; DOES NOT FIT: use more slots or GPUs, or a smaller batch"
    yield "memory per GPU", f"{_gb(plan.memory.total)} ({_parts(plan.memory)}){verdict}"


def _time(plan: Plan) -> Iterator[tuple[str, str]]:
    images = "1 image" if plan.micro_batch == 1 else f"{plan.micro_batch} images"
    slots = f"{plan.slots_per_rank} times " if plan.slots_per_rank > 1 else ""
    yield "training", f"{plan.steps:,} steps, {slots}{images} on each GPU"
    for phase in plan.phases:
        often = "" if phase.every == 1 else f", every {phase.every} steps"
        seconds = phase.compute_sec + phase.all_reduce_sec
        yield f"  {phase.name}", f"{1000 * seconds:.3g} ms{often}"
    yield "speed", f"{plan.sec_per_kimg:.3g} s/kimg, {1000 / plan.sec_per_kimg:.3g} img/s"
    yield "all-reduce", f"{plan.all_reduce_share:.1%} of a step"


def _around(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "loader", _loader(plan)
    for name, stall in (("checkpoints", plan.checkpoints), ("evaluations", plan.evaluations)):
        each, total = shown_duration(stall.sec_each), shown_duration(stall.total_sec)
        yield name, f"{stall.count} of {each}: {total}" if stall.count else "none"
    yield "all of training", shown_duration(plan.days * 86400)
    if plan.price is not None:
        yield "price", f"{plan.price:,.0f}"


def _loader(plan: Plan) -> str:
    load = plan.loading
    text = f"{load.images_per_sec:,.0f} img/s, {load.mb_per_sec:,.0f} MB/s; a worker here reads "
    text += f"{load.worker_images_per_sec:,.0f} img/s"
    if load.is_enough:
        return f"{text}: data.workers={load.workers} is enough"
    return f"{text}: set data.workers={load.workers_needed}, it is {load.workers}"


def _parts(memory: Memory) -> str:
    parts = vars(memory).items()
    return ", ".join(f"{name.replace('_', ' ')} {_gb(size)}" for name, size in parts)


def _gb(size: int) -> str:
    return f"{size / 1e9:.3g} GB"


def _millions(count: int) -> str:
    return f"{count / 1e6:.3g} M"
