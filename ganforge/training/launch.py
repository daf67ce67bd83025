"""The environment that a launcher leaves: checked here before Accelerate and torch read it.

Half-set variables would end in an error of theirs that does not name the variable.
"""

import logging
import os
import socket
from collections.abc import Iterator, Mapping

from ganforge.errors import ConfigError

log = logging.getLogger(__name__)
_GROUP = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What every process of a process group needs."""
_MPI_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_NUMBERS = {
    name: least
    for least, names in (
        (0, ("RANK", "LOCAL_RANK")),
        (1, ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT", "GANFORGE_NUM_THREADS", *_MPI_SIZES)),
    )
    for name in names
}
_MAX_PORT = 65535
_SWITCHES = ("ACCELERATE_USE_CPU", "ACCELERATE_DEBUG_MODE", "ACCELERATE_DYNAMO_USE_")
_TRUTHS = ("y", "yes", "t", "true", "on", "1", "n", "no", "f", "false", "off", "0")
"""As `accelerate.utils.str_to_bool` reads them."""
_LAUNCH = (
    "Start several processes by `accelerate launch`, `torchrun` or slurm/train.sbatch, which set "
    "all of them"
)


def check_launch(environ: Mapping[str, str] = os.environ) -> None:
    """Refuse an environment in which no run can start.

    Raises:
        ConfigError: FSDP, DeepSpeed or Megatron is selected; a variable is not a number, or is
            missing beside others; the device does not exist.
    """
    for fault in launch_faults(environ):
        raise ConfigError(fault)


def launch_faults(environ: Mapping[str, str]) -> Iterator[str]:
    """Everything in the environment that keeps a run from starting, as messages."""
    yield from _sharding(environ)
    wrong = list(_wrong_numbers(environ))
    yield from wrong
    if not wrong:
        yield from _incomplete_group(environ)
    yield from _missing_device(environ)
    yield from _wrong_settings(environ)
    if not wrong:
        yield from _hidden_gpu(environ)


def warn_of_launch(environ: Mapping[str, str] = os.environ) -> None:
    """Warn of Slurm tasks that train separately, and of an address that does not resolve."""
    address = environ.get("MASTER_ADDR")
    if address and environ.get("WORLD_SIZE", "1") != "1" and not _is_known(address):
        # No error: in Kubernetes the name of a pod appears later than the others start.
        log.warning(
            "MASTER_ADDR=%s is a host that this machine does not know. The start waits up to 30 "
            "minutes for it; if it is a mistake, stop and correct it.",
            address,
        )
    tasks = environ.get("SLURM_STEP_NUM_TASKS", "1")
    if tasks.isascii() and tasks.isdigit() and int(tasks) > 1 and "WORLD_SIZE" not in environ:
        log.warning(
            "srun started %s tasks here, and each trains alone, because WORLD_SIZE is not set. To "
            "train together, submit slurm/train.sbatch, which sets RANK, WORLD_SIZE and "
            "MASTER_ADDR in each task; for separate runs, give each its own run_dir.",
            tasks,
        )


def _is_known(address: str) -> bool:
    try:
        socket.getaddrinfo(address, None)
    except OSError:
        return False
    return True


def _sharding(environ: Mapping[str, str]) -> Iterator[str]:
    for variable, backend in (
        ("ACCELERATE_USE_FSDP", "FSDP"),
        ("ACCELERATE_USE_DEEPSPEED", "DeepSpeed"),
        ("ACCELERATE_USE_MEGATRON_LM", "Megatron-LM"),
    ):
        if environ.get(variable, "false").lower() in ("1", "true", "yes"):
            yield f"{variable}={environ[variable]}: {SHARDED.format(backend)}"


SHARDED = (
    "the accelerate configuration selects {}, which shards the parameters; ganforge keeps them "
    "whole on each rank and reduces gradients itself. Run `accelerate config` again and choose "
    "multi-GPU without it, or pass `--multi_gpu` to accelerate launch."
)


def _wrong_numbers(environ: Mapping[str, str]) -> Iterator[str]:
    for name, least in _NUMBERS.items():
        text = environ.get(name)
        # int() would also take "1_0" and digits of other scripts, which torch does not.
        if text is None or (text.isascii() and text.isdigit() and int(text) >= least):
            continue
        yield (
            f"The environment variable {name} is {text!r}, which is no whole number from {least}. "
            f"Unset it (unset {name}), or set it to a number."
        )
    port = environ.get("MASTER_PORT", "1")
    if port.isascii() and port.isdigit() and int(port) > _MAX_PORT:
        yield f"The environment variable MASTER_PORT is {port}; ports end at {_MAX_PORT}. Set one."


def _wrong_settings(environ: Mapping[str, str]) -> Iterator[str]:
    """Variables of `accelerate config` whose values Accelerate refuses without their names."""
    for name in sorted(environ):
        if name.startswith(_SWITCHES) and environ[name].lower() not in _TRUTHS:
            yield (
                f"The environment variable {name} is {environ[name]!r}, which is neither true nor "
                f"false. Unset it: unset {name}."
            )
    backend = environ.get("ACCELERATE_DYNAMO_BACKEND")
    if backend is not None:
        from accelerate.utils import DynamoBackend  # slow to import, and rarely needed

        known = list(map(str, DynamoBackend))
        if backend.upper() not in known:
            yield (
                f"The environment variable ACCELERATE_DYNAMO_BACKEND is {backend!r}, which is none "
                f"of {', '.join(known)}. Unset it: train.compile says whether to compile."
            )


def _incomplete_group(environ: Mapping[str, str]) -> Iterator[str]:
    missing = [name for name in _GROUP if not environ.get(name)]
    if not missing:
        if int(environ["RANK"]) >= int(environ["WORLD_SIZE"]):
            yield (
                f"The environment has RANK={environ['RANK']} and WORLD_SIZE="
                f"{environ['WORLD_SIZE']}, but ranks count from 0, so that this process would wait "
                f"for ever. {_LAUNCH}."
            )
        return
    ranks = [name for name in ("WORLD_SIZE", *_MPI_SIZES) if int(environ.get(name, "1")) > 1] + [
        name for name in ("RANK", "LOCAL_RANK") if name in environ
    ]
    if ranks:
        found = " and ".join(f"{name}={environ[name]}" for name in ranks)
        yield (
            f"The environment has {found}, as if this were one of several processes, but not "
            f"{', '.join(missing)}. {_LAUNCH}; for a single process, unset "
            f"{' and '.join(ranks)}."
        )


def _missing_device(environ: Mapping[str, str]) -> Iterator[str]:
    name = environ.get("ACCELERATE_TORCH_DEVICE")
    if name is None:
        return
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as err:
        reason = str(err).splitlines()[0]
        yield (
            f"ACCELERATE_TORCH_DEVICE={name} is no device of this machine ({reason}). Unset it: "
            f"without it, the GPU is used if there is one."
        )


def _hidden_gpu(environ: Mapping[str, str]) -> Iterator[str]:
    """Ranks whose GPU is hidden from them, as by `srun --gpus-per-task` or `--gpu-bind`."""
    import torch

    rank = environ.get("LOCAL_RANK")
    if rank is None or not torch.cuda.is_available() or environ.get("ACCELERATE_USE_CPU"):
        return
    if int(rank) >= (there := torch.cuda.device_count()):
        visible = environ.get("CUDA_VISIBLE_DEVICES", "not set")
        yield (
            f"LOCAL_RANK={rank} is to use GPU {rank}, but this process sees only {there} "
            f"(CUDA_VISIBLE_DEVICES: {visible}). Let each process see all GPUs of its node: srun "
            f"with --gpus-per-node in place of --gpus-per-task or --gpu-bind; or start fewer "
            f"processes."
        )
