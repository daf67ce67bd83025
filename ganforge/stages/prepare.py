"""The `prepare` stage: from raw images to shards with an index."""

import logging
from pathlib import Path

from ganforge.components import RunContext, Stage
from ganforge.config import StrictModel
from ganforge.data.index import INDEX_NAME, load_index
from ganforge.data.prepare import prepare, recipe
from ganforge.errors import ConfigError, DataError
from ganforge.stages.session import runtime_of, shards_location

log = logging.getLogger(__name__)


class Prepare(Stage[StrictModel]):
    """Write shards from the data source."""

    name = "prepare"

    def is_done(self, context: RunContext) -> bool:
        """Whether the index is there, made from the source that the pipeline file names."""
        location, source = shards_location(context), context.config.data.source
        if source is None:
            load_index(location)  # says what is missing
            return True
        if not (Path(location) / INDEX_NAME).exists():
            return False
        made, wanted = load_index(location).recipe, recipe(context.config.data, seed=0)
        changes = [
            f"data.{key} was {made.get(key)!r} and is {wanted[key]!r}"
            for key in wanted
            if made.get(key) != wanted[key]
        ]
        if changes:
            raise DataError(
                f"The shards in {location} were prepared differently: {'; '.join(changes)}. Give "
                f"this run another name, delete that folder to prepare again, or undo the change."
            )
        return True

    def plan(self, context: RunContext) -> str:
        """What is read and where the shards go."""
        source = context.config.data.source
        name = source.name if source else "nothing (data.shards is ready)"
        return f"prepare shards from {name} in {shards_location(context)}"

    def run(self, context: RunContext) -> None:
        """Write the shards on rank 0 while the others wait."""
        runtime = runtime_of(context)
        if context.config.data.source is None:
            raise ConfigError(
                "data.source is not set, so there is nothing to prepare. Set it, or point "
                "data.shards to prepared shards."
            )
        if runtime.is_main:
            prepare(context.config.data, Path(shards_location(context)))
        runtime.barrier()
