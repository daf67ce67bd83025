"""What a stage of a pipeline is, and the context it runs in."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.component import Component, ConfigT
from ganforge.interfaces.components import Components


@dataclass(frozen=True)
class RunContext:
    """What a stage knows: the resolved pipeline file, and the components that it chooses."""

    config: PipelineConfig
    run_dir: Path
    components: Components


class Stage(Component[ConfigT]):
    """One step of a pipeline. Finished stages are skipped when a run is repeated."""

    kind = "stage"

    @abstractmethod
    def is_done(self, context: RunContext) -> bool:
        """Whether its result exists and belongs to this configuration. Called on rank 0 only."""

    @abstractmethod
    def run(self, context: RunContext) -> None:
        """Do the work, on all ranks together."""

    def check(self, context: RunContext) -> None:
        """Raise a GanforgeError for what cannot work, before any stage runs.

        A fault should not cost a training.
        """

    def plan(self, context: RunContext) -> str:
        """One line for `--dry-run`: what it would do."""
        return type(self).__doc__ or self.name
