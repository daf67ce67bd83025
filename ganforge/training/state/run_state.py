"""The state of a training run: everything that is built from a pipeline file and checkpointed."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

import ganforge
from ganforge.config.dump import dump_config
from ganforge.config.models import PipelineConfig
from ganforge.errors import CheckpointError
from ganforge.interfaces.architecture import Architecture, Phase
from ganforge.interfaces.batch import Networks
from ganforge.interfaces.objective import Objective
from ganforge.interfaces.spec import ImageSpec
from ganforge.training.engine.ema import Ema
from ganforge.training.engine.freeze import Frozen
from ganforge.training.engine.optimizers import Group, trainable_parameters
from ganforge.training.engine.progress import Progress, shown_kimg
from ganforge.training.runtime import Runtime
from ganforge.training.state.checkpoint import Checkpoint
from ganforge.training.state.tensors import copy_tensors, flatten

log = logging.getLogger(__name__)


@dataclass
class TrainingRun:
    """The state of a run, and what it is built from.

    Attributes:
        config: the resolved pipeline file.
        architecture: what is trained, bound to its data.
        nets: all networks by role.
        ema: averaged copies of the generating networks.
        optimizers: one per distinct `Phase.trains`.
        frozen: the parts of the networks that `init.freeze` names.
        num_slots: equal micro-batches of a global batch; fixed for the life of the run.
        channels_last: memory format of the images.
        scalers: loss scaling of fp16, one per optimizer; empty in bf16 and fp32.
        data_digest: content hash of the training shards.
        class_counts: [num_classes] training images of each class, on the device; None without
            labels, or where that is unknown.
        slot_state: persistent tensors of each of this rank's slots.
        rollbacks: how often the health monitor went back; part of the seed.
        extra: JSON-ready state of other parts (health monitor).
        last_log: the newest log record; empty before the first.
    """

    config: PipelineConfig
    architecture: Architecture[Any]
    objective: Objective
    runtime: Runtime
    nets: Networks
    ema: Ema
    phases: list[Phase]
    optimizers: dict[Group, torch.optim.Optimizer]
    num_slots: int
    channels_last: bool = True
    frozen: Frozen = field(default_factory=lambda: Frozen({}))
    scalers: dict[Group, torch.amp.GradScaler] = field(default_factory=dict)
    data_digest: str = ""
    class_counts: Tensor | None = None
    progress: Progress = field(default_factory=Progress)
    slot_state: list[dict[str, Tensor]] = field(default_factory=list)
    rollbacks: int = 0
    extra: dict[str, Any] = field(default_factory=dict)
    last_log: dict[str, float] = field(default_factory=dict)

    @property
    def spec(self) -> ImageSpec:
        """What the images look like."""
        return self.architecture.spec

    @property
    def local_slots(self) -> range:
        """Global indices of this rank's slots."""
        each = self.num_slots // self.runtime.world_size
        return range(self.runtime.rank * each, (self.runtime.rank + 1) * each)

    @property
    def seed(self) -> int:
        """The seed of data and noise; differs after each rollback, so that history does too."""
        return self.config.train.seed + 1_000_003 * self.rollbacks

    @property
    def shown_kimg(self) -> str:
        """The progress in kimg, for messages."""
        return shown_kimg(self.progress.kimg, self.config.train.total_kimg)

    @property
    def is_finished(self) -> bool:
        """Whether the run has reached its length or its time limit."""
        total_nimg = round(self.config.train.total_kimg * 1000)
        return self.progress.nimg >= total_nimg or is_out_of_time(self.config, self.extra)

    def stateful_modules(self) -> dict[str, nn.Module]:
        """Modules beside the networks whose buffers are state."""
        modules: dict[str, nn.Module] = {
            f"regularizer.{index}.{regularizer.name}": regularizer
            for index, regularizer in enumerate(self.objective.regularizers)
        }
        for index, term in enumerate(self.objective.terms):
            modules[f"term.{index}.{term.name}"] = term
        if self.objective.augmentation is not None:
            modules["augmentation"] = self.objective.augmentation
        return modules

    def snapshot(self) -> Checkpoint:
        """The whole state. All ranks must call it; those beyond 0 get it without the slots."""
        slots = {
            f"{slot}/{name}": tensor
            for slot, state in zip(self.local_slots, self.slot_state, strict=True)
            for name, tensor in state.items()
        }
        others = {name: module.state_dict() for name, module in self.stateful_modules().items()}
        tensors = {
            "networks": flatten({r: m.state_dict() for r, m in self.nets.modules().items()}),
            "ema": flatten({r: m.state_dict() for r, m in self.ema.networks.items()}),
            "optimizers": self._optimizer_tensors(),
            "modules": flatten(others, "/"),
            "slots": self.runtime.gather_on_main(slots),
        }
        state = {
            "ganforge": ganforge.__version__,
            "torch": torch.__version__,
            "architecture": self.architecture.name,
            "step": self.progress.step,
            "nimg": self.progress.nimg,
            "num_slots": self.num_slots,
            "precision": self.runtime.precision,
            "rollbacks": self.rollbacks,
            "scalers": {"+".join(g): s.state_dict() for g, s in self.scalers.items()},
            "spec": self.spec.to_dict(),
            "data_digest": self.data_digest,
            "extra": self.extra,
        }
        return Checkpoint(tensors, state, dump_config(self.config))

    def restore(self, checkpoint: Checkpoint, where: str) -> None:
        """Take over the state of a checkpoint, exactly; `where` is its path, for messages.

        Raises:
            CheckpointError: it belongs to another architecture or configuration.
        """
        state, tensors = checkpoint.state, checkpoint.tensors
        if state["architecture"] != self.architecture.name:
            raise CheckpointError(
                f"Checkpoint {where} is of architecture '{state['architecture']}', this run trains "
                f"'{self.architecture.name}'. Give this run another name or run_dir."
            )
        for targets, name, separator in (
            (self.nets.modules(), "networks", "."),
            (self.ema.networks, "ema", "."),
            (self.stateful_modules(), "modules", "/"),
        ):
            live = flatten({key: m.state_dict() for key, m in targets.items()}, separator)
            try:
                copy_tensors(live, tensors[name])
            except CheckpointError as err:
                raise CheckpointError(
                    f"{where}/{name}.safetensors does not fit this model: {err} The model section "
                    f"has changed; restore it, or give this run another name or run_dir."
                ) from err
        self._restore_optimizers(tensors["optimizers"], where)
        self.slot_state = [{} for _ in self.local_slots]
        for key, tensor in tensors["slots"].items():
            slot, _, name = key.partition("/")
            if int(slot) in self.local_slots:
                index = int(slot) - self.local_slots.start
                self.slot_state[index][name] = tensor.to(self.runtime.device)
        self.progress.step, self.progress.nimg = state["step"], state["nimg"]
        self.rollbacks = max(self.rollbacks, state["rollbacks"])
        for group, scaler in self.scalers.items():
            if state["precision"] == "fp16":  # otherwise the run changes to fp16 here
                scaler.load_state_dict(state["scalers"]["+".join(group)])
        self.extra = state["extra"]

    def trainable_parameters(self, group: Group) -> dict[str, nn.Parameter]:
        """The parameters of some networks by role.name, without the frozen ones."""
        return trainable_parameters(self.nets.modules(), group, self.frozen)

    def _optimizer_tensors(self) -> dict[str, Tensor]:
        tensors = {}
        for group, optimizer in self.optimizers.items():
            for name, parameter in self.trainable_parameters(group).items():
                for key, value in optimizer.state.get(parameter, {}).items():
                    tensors[f"{'+'.join(group)}/{name}/{key}"] = value
        return tensors

    def _restore_optimizers(self, tensors: dict[str, Tensor], where: str) -> None:
        for group, optimizer in self.optimizers.items():
            optimizer.state.clear()
            parameters = self.trainable_parameters(group)
            prefix = "+".join(group) + "/"
            for path, tensor in tensors.items():
                if not path.startswith(prefix):
                    continue
                name, _, key = path.removeprefix(prefix).rpartition("/")
                if name not in parameters:
                    raise CheckpointError(
                        f"{where}/optimizers.safetensors has state for '{name}', which this model "
                        f"does not have. Give this run another name or run_dir."
                    )
                parameter = parameters[name]
                if tensor.shape == parameter.shape:
                    # In the parameter's layout: fused Adam on a CPU pairs memory with memory.
                    tensor = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
                optimizer.state[parameter][key] = tensor.to(
                    "cpu" if tensor.ndim == 0 and not _fused(optimizer) else parameter.device
                )


def is_out_of_time(config: PipelineConfig, extra: Mapping[str, Any]) -> bool:
    """Whether a run with this `TrainingRun.extra` has used up `train.max_minutes`."""
    limit = config.train.max_minutes
    return limit is not None and float(extra.get("train_sec", 0.0)) >= 60 * limit


def _fused(optimizer: torch.optim.Optimizer) -> bool:
    return bool(optimizer.param_groups[0].get("fused"))
