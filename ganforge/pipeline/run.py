"""Run a pipeline: `python -m ganforge.run PIPELINE.yaml [key=value ...] [--dry-run]`.

This is what `accelerate launch -m ganforge.run` and the Slurm scripts start on every rank.
"""

import contextlib
import functools
import logging
import os
import sys
from collections.abc import Iterator, Sequence

import torch
from rich.console import Console
from rich.logging import RichHandler

from ganforge.config.dump import dump_config
from ganforge.config.load import load_pipeline
from ganforge.config.models import StrictModel
from ganforge.errors import ConfigError, GanforgeError, RunStopped, explain
from ganforge.interfaces.stage import RunContext, Stage
from ganforge.io.atomic import write_text
from ganforge.pipeline.launch_record import REPORT, recorded_launch
from ganforge.pipeline.session import (
    end_session,
    indexes_read_once,
    runtime_of,
    shards_location,
)
from ganforge.redaction import hide_secrets
from ganforge.registry.components import resolve
from ganforge.registry.plugins import get_registry
from ganforge.training.launch import check_launch, warn_of_launch
from ganforge.training.runtime import Runtime
from ganforge.training.signals import stop_signals
from ganforge.training.state.run_lock import lock_run_dir

log = logging.getLogger(__name__)
_USAGE = "usage: python -m ganforge.run PIPELINE.yaml [key=value ...] [--dry-run]"


def run_pipeline(
    path_or_name: str, overrides: Sequence[str] = (), *, dry_run: bool = False
) -> RunContext:
    """Run the stages of a pipeline file, or of a packaged one; finished stages are skipped.

    Args:
        path_or_name: a pipeline file, or the name of a packaged one.
        overrides: `section.key=value` settings that win over the file.
        dry_run: print the resolved file and the plan, and change nothing.

    Raises:
        GanforgeError: the file, the data or a stage is at fault; says what to do.
    """
    config = load_pipeline(path_or_name, overrides, get_registry().options_model)
    components = resolve(config)
    check_launch()
    warn_of_launch()
    run_dir = config.run_folder
    context = RunContext(config, run_dir, components)
    stages = [choice.built for choice in components.stages]
    if dry_run:
        # Printed before the checks, which may fail on a login node, e.g. for lack of weights.
        plan = [f"# {stage.name}: {stage.plan(context)}" for stage in stages]
        lines = [dump_config(config), f"# run directory: {run_dir}", *plan]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
    check_stages(context, stages)
    if dry_run:
        return context
    with contextlib.ExitStack() as stack:
        stack.enter_context(usual_torch())
        # A run directory that rank 0 refuses stops all ranks.
        runtime_of(context).on_main(lambda: stack.enter_context(lock_run_dir(run_dir)))
        _write_config(context)
        stack.enter_context(recorded_launch(context, path_or_name, overrides))
        stack.enter_context(stop_signals)
        try:
            _run_stages(context, stages)
        except RunStopped:
            end_session(context)
            raise
        is_main = runtime_of(context).is_main
        end_session(context)
    if is_main:
        # Not logged: the log breaks lines, and these are to be copied.
        sys.stdout.write(f"{describe_result(context)}\n")
    return context


@contextlib.contextmanager
def usual_torch() -> Iterator[None]:
    """Gradients on and float32, whatever an earlier cell of a notebook has set."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(before)


def _run_stages(context: RunContext, stages: Sequence[Stage[StrictModel]]) -> None:
    runtime = runtime_of(context)
    for number, stage in enumerate(stages, start=1):
        if runtime.any_rank(stop_signals.received is not None):
            raise stop_signals.stopped(f"the start of {stage.name}")
        # Rank 0 decides: a slow rank would find what a stage has meanwhile written.
        if runtime.on_main(functools.partial(stage.is_done, context)):
            log.info("Stage %s: already done.", stage.name)
        else:
            log.info("Stage %s: %s.", stage.name, stage.plan(context))
            with _errors_after_signals(stage.name, runtime):
                stage.run(context)
            # Shards that were not there before can now show what would fail later.
            check_stages(context, stages[number:])


@contextlib.contextmanager
def _errors_after_signals(what: str, runtime: Runtime) -> Iterator[None]:
    """Take an error for the end of a stopped run: Ctrl-C ends its processes, a compiler say, too.

    On several ranks the others may go on, so it stays an error.
    """
    try:
        yield
    except Exception as err:
        is_known = explain(err) is not None
        if stop_signals.received is None or is_known or runtime.world_size > 1:
            raise
        reason = (str(err).splitlines() or [""])[0]
        log.warning("%s after the signal: %s", type(err).__name__, reason)
        raise stop_signals.stopped(what) from err


def check_stages(context: RunContext, stages: Sequence[Stage[StrictModel]]) -> None:
    """Refuse what can be known to fail before it costs anything; rank 0 reads the data for all.

    Raises:
        GanforgeError: the file, the data or a stage is at fault.
    """
    with indexes_read_once(context):
        for stage in stages:
            stage.check(context)


def describe_result(context: RunContext) -> str:
    """Where the results are, and the usual next commands."""
    folder = context.run_dir
    places = {
        REPORT: "all of it on one page: open it in a browser",
        "samples": "pictures over time",
        "checkpoints": "to resume: run the same command",
        "log.jsonl": "losses, speed and memory",
        "tensorboard": f"tensorboard --logdir {folder / 'tensorboard'}",
        "metrics.jsonl": "numbers with their provenance",
        "export": "the generator, ready to share",
    }
    lines = [f"All in {folder}:"]
    lines += [f"  {name:<14} {what}" for name, what in places.items() if (folder / name).exists()]
    if (folder / "export").exists():
        lines += ["Next:", *(f"  ganforge {command}" for command in _next_commands(context))]
    return "\n".join(lines)


def _next_commands(context: RunContext) -> list[str]:
    """What can be done with the export."""
    folder, chosen = context.run_dir, context.components.architecture
    publish = f"publish {folder} YOU/{context.config.name}"
    if chosen.component.directions:
        is_video = "frames" in chosen.component.reads(chosen.config)
        given, result = ("CLIP.mp4", "translated.mp4") if is_video else ("IMAGES", "translated")
        return [f"translate {folder} {given} --out {folder / result}", publish]
    text = ' --text "WORDS"' if "text" in chosen.component.reads(chosen.config) else ""
    nearest = f"sample nearest {folder} --reference {shards_location(context)} --pixels-only"
    return [
        f"generate {folder} --num 16 --out {folder / 'generated'}{text}",
        f"{nearest} --num-real 10000 --out {folder / 'nearest.png'}{text}",
        publish,
    ]


def _write_config(context: RunContext) -> None:
    try:
        write_text(context.run_dir / "config.yaml", dump_config(context.config))
    except OSError as err:
        raise ConfigError(
            f"Cannot write to the run directory {context.run_dir}: {err.strerror}. Choose another "
            f"with run_dir=PATH, or make room or correct its permissions."
        ) from err


def set_up_logging() -> None:
    """Readable log lines on standard error; ranks other than 0 log warnings only."""
    # Not from accelerate's PartialState: its first use fixes device, backend and time-out for the
    # process, which is the part of `Runtime`. A RANK that is not a number is refused later.
    is_main = os.environ.get("RANK", "0") in ("", "0")
    handler = RichHandler(console=Console(stderr=True), show_path=False)
    handler.addFilter(hide_secrets)
    logging.basicConfig(
        level=logging.INFO if is_main else logging.WARNING,
        format="%(message)s",
        datefmt="[%X]",
        handlers=[handler],
        force=True,
    )
    for noisy in ("httpx", "urllib3", "torch.distributed", "datasets"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of one rank. Returns the exit code: 0, 2 (user's error) or 75 (stopped)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    dry_run = "--dry-run" in given
    # torch.distributed.launch adds --local-rank, which repeats LOCAL_RANK.
    ours = ("--dry-run", "--local-rank", "--local_rank")
    given = [argument for argument in given if argument.partition("=")[0] not in ours]
    if not given or given[0].startswith("-"):
        sys.stderr.write(f"{_USAGE}\n")
        return 0 if given[:1] in (["-h"], ["--help"]) else 2
    set_up_logging()
    try:
        run_pipeline(given[0], given[1:], dry_run=dry_run)
    except RunStopped as stop:
        sys.stderr.write(f"{stop}\n")
        return stop.exit_code
    except (GanforgeError, OSError) as err:
        message = explain(err)
        if message is None:
            raise
        sys.stderr.write(f"Error: {message}\n")
        return 2
    return 0
