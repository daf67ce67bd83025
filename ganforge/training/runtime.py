"""Where a run executes: device, ranks, precision and collectives, all through Accelerate."""

import contextlib
import datetime
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch

# Its functions keep, as default arguments, the process group that exists when it is imported:
# imported later, by whatever compiles, it keeps the group and its threads alive past `close`.
import torch.distributed.nn.functional
from torch import Tensor

# The only way to wait for longer than a collective's timeout that works with every backend.
from torch.distributed.distributed_c10d import _get_default_store

from ganforge.errors import ConfigError, GanforgeError, suggest
from ganforge.interfaces.numerics import set_tf32
from ganforge.io.cores import own_cores
from ganforge.training.cpu.kernels import CpuKernels
from ganforge.training.cpu.small_grids import has_matrix_units
from ganforge.training.launch import SHARDED, check_launch
from ganforge.training.precision import PrecisionChoice, choose_precision, has_bf16
from ganforge.training.rendezvous import INIT_METHOD

if TYPE_CHECKING:
    from accelerate import Accelerator
    from accelerate.utils import ProjectConfiguration

# Many modules name `Runtime`; accelerate is imported where one is made.
log = logging.getLogger(__name__)
T = TypeVar("T")
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# A rank that is this late at a collective counts as lost, and the others end.
_TIMEOUT = datetime.timedelta(minutes=30)
# Work of rank 0 alone (preparing data, an upload) may take hours; the others poll for its end.
_POLL_EVERY = datetime.timedelta(minutes=1)
_ALONE = itertools.count()


class Runtime:
    """The device and the process group of this process.

    Accelerate's `prepare` is not used: DistributedDataParallel is silently wrong for several
    usual GAN steps. See docs/engine.md.

    Attributes:
        precision: of forward passes in training and generation.
        project_dir: where trackers write; None for nowhere.
        cpu_kernels: the replacements of torch functions in training; None where there are none.
    """

    def __init__(
        self,
        precision: PrecisionChoice = "auto",
        trackers: Sequence[str] = (),
        project_dir: Path | None = None,
        *,
        cpu_kernels: bool = True,
        cpu_threads: int | Literal["auto"] = "auto",
    ) -> None:
        """Join the process group that the launcher describes.

        Args:
            precision: of the forward passes; parameters stay float32. `auto` is bf16 where every
                rank's hardware has it and fp32 elsewhere.
            trackers: names of Accelerate trackers.
            project_dir: where trackers write.
            cpu_kernels: train with the CPU kernels where the device is a CPU.
            cpu_threads: of this process; auto for its share of the cores.

        Raises:
            ConfigError: fp16 without CUDA; a launcher whose environment is incomplete, or
                configured for FSDP or DeepSpeed; an unknown tracker, or one whose package is
                missing.
        """
        check_launch()
        check_trackers(trackers)
        set_tf32(False)  # training may allow it
        use_cpu = not torch.cuda.is_available()
        if precision == "fp16" and use_cpu:
            raise ConfigError(
                "train.precision=fp16 needs a CUDA device; on this CPU it would silently run in "
                "fp32. Use auto, bf16 or fp32."
            )
        self.accelerator = _accelerator(use_cpu, trackers, project_dir)
        self.project_dir = project_dir
        bf16 = all(self.gather_object(has_bf16(self.device)))
        self.precision, message = choose_precision(precision, bf16, use_cpu)
        if message:
            log.log(logging.INFO if precision == "auto" else logging.WARNING, message)
        self.cpu_kernels: CpuKernels | None = None
        # On a GPU too: launchers allow one thread, and metrics compute on the CPU.
        torch.set_num_threads(own_cores(cpu_threads))
        if use_cpu and cpu_kernels:
            matrix_units = self.precision == "bf16" and has_matrix_units()
            self.cpu_kernels = CpuKernels(matrix_units=matrix_units)

    @property
    def device(self) -> torch.device:
        """The device of this rank."""
        return self.accelerator.device  # type: ignore[no-any-return]

    @property
    def rank(self) -> int:
        """Index of this process."""
        return self.accelerator.process_index  # type: ignore[no-any-return]

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return self.accelerator.num_processes  # type: ignore[no-any-return]

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which writes files and logs."""
        return self.accelerator.is_main_process  # type: ignore[no-any-return]

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Context in which forward passes run in the chosen precision."""
        dtype = _DTYPES.get(self.precision)
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)

    @contextlib.contextmanager
    def training_forward(self) -> Iterator[None]:
        """Context of forward passes in training: autocast, and the CPU kernels if there are any.

        Generation does without them: their rounding differs, and depends on the batch size.
        """
        with self.autocast(), self.cpu_kernels or contextlib.nullcontext():
            yield

    def all_reduce_sum(self, flat: Tensor) -> Tensor:
        """The sum of a tensor over ranks."""
        if self.world_size == 1:
            return flat
        return self.accelerator.reduce(flat, reduction="sum")  # type: ignore[no-any-return]

    def start_sum(self, tensor: Tensor) -> torch.distributed.Work:
        """Begin to replace a tensor by its sum over ranks, of which there are several."""
        return torch.distributed.all_reduce(tensor, async_op=True)

    def gather(self, tensor: Tensor) -> Tensor:
        """Concatenate equally sized tensors of all ranks along dimension 0."""
        return self.accelerator.gather(tensor)  # type: ignore[no-any-return]

    def gather_object(self, value: Any) -> list[Any]:
        """One object per rank, in rank order, on every rank."""
        if self.world_size == 1:
            return [value]
        from accelerate.utils import gather_object

        return list(gather_object([value]))

    def gather_on_main(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The named tensors of all ranks, in rank 0's host memory; nothing on the other ranks.

        Names must differ between ranks. One rank sends after the other, so that rank 0's device
        holds those of one rank at a time.
        """
        described = self.gather_object({name: (t.shape, t.dtype) for name, t in tensors.items()})
        if not self.is_main:
            _exchange(torch.distributed.isend, tensors.values(), 0)
            return {}
        found = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
        for rank, names in enumerate(described[1:], start=1):
            sent = {
                name: torch.empty(shape, dtype=dtype, device=self.device)
                for name, (shape, dtype) in names.items()
            }
            _exchange(torch.distributed.irecv, sent.values(), rank)
            found |= {name: tensor.cpu() for name, tensor in sent.items()}
        return found

    def broadcast_object(self, value: Any) -> Any:
        """Rank 0's object on every rank."""
        if self.world_size == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    def on_main(self, action: Callable[[], T]) -> T:
        """Run `action` on rank 0 and return its result on every rank.

        It may take longer than the timeout of a collective.

        Raises:
            GanforgeError: `action` raised it on rank 0; raised on every rank.
        """
        outcome: tuple[T | None, GanforgeError | None] = (None, None)
        if self.is_main:
            try:
                outcome = (action(), None)
            except GanforgeError as err:
                outcome = (None, err)
        self._wait_for_main()
        value, error = self.broadcast_object(outcome)
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]  # broadcast_object keeps the type

    def _wait_for_main(self) -> None:
        """Wait, without a timeout, until rank 0 arrives; through the launcher's store."""
        if self.world_size == 1:
            return
        store, key = _get_default_store(), f"ganforge/alone/{next(_ALONE)}"
        if self.is_main:
            store.set(key, "done")
        while not self.is_main:
            try:
                store.wait([key], _POLL_EVERY)
            except torch.distributed.DistStoreError:  # not yet; a lost store is another error
                continue
            return

    def any_rank(self, flag: bool) -> bool:
        """Whether the flag is set on any rank."""
        return any(self.gather_object(flag))

    def close(self) -> None:
        """Close the trackers and leave the process group, as the last act of a program.

        A rank that ends inside its group may abort: gloo's threads can still hold tensors, whose
        release needs the interpreter (pytorch/pytorch#179291).
        """
        self.accelerator.end_training()


def _accelerator(use_cpu: bool, trackers: Sequence[str], project_dir: Path | None) -> "Accelerator":
    """Join the process group.

    Raises:
        ConfigError: the processes cannot reach each other, or FSDP or DeepSpeed is configured.
    """
    from accelerate import Accelerator
    from accelerate.utils import DistributedType, InitProcessGroupKwargs

    try:
        accelerator = Accelerator(
            mixed_precision="no",  # autocast is ours: Accelerate's is process-wide state
            cpu=use_cpu,
            log_with=list(trackers) or None,
            project_config=_project(project_dir),
            kwargs_handlers=[InitProcessGroupKwargs(init_method=INIT_METHOD, timeout=_TIMEOUT)],
        )
    except torch.distributed.DistNetworkError as err:
        raise ConfigError(
            f"The processes of this run cannot reach each other ({str(err).splitlines()[0]}). "
            f"If the address is in use by another run, choose another port: accelerate launch "
            f"--main_process_port 29501, or torchrun --master-port 29501."
        ) from err
    if accelerator.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        backend = accelerator.distributed_type.value
        raise ConfigError(f"train: {SHARDED.format(backend)}")
    return accelerator


def _exchange(operation: Callable[..., Any], tensors: Iterable[Tensor], rank: int) -> None:
    """Send all tensors to a rank, or receive them into their memory, and wait."""
    operations = [
        torch.distributed.P2POp(operation, tensor.detach().contiguous(), rank) for tensor in tensors
    ]
    for work in torch.distributed.batch_isend_irecv(operations) if operations else ():
        work.wait()


def _project(folder: Path | None) -> "ProjectConfiguration":
    from accelerate.utils import ProjectConfiguration

    if folder is None:
        return ProjectConfiguration()
    return ProjectConfiguration(str(folder), logging_dir=str(folder / "tensorboard"))


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that Accelerate does not know, or whose package is not installed.

    Raises:
        ConfigError: names the tracker.
    """
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            raise ConfigError(
                f"train.trackers: '{name}' is no tracker. {suggest(name, LOGGER_TYPE_TO_CLASS)}"
            )
        if name not in {found.value for found in get_available_trackers()}:
            raise ConfigError(
                f"train.trackers: the package of '{name}' is not installed. Install it, or leave "
                f"it out."
            )
