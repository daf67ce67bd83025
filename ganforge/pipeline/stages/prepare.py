"""The `prepare` stage: from raw images to shards with an index."""

from pathlib import Path

from ganforge.config.models import StrictModel
from ganforge.data.prepare.source_to_shards import prepare, recipe
from ganforge.data.shards.index import INDEX_NAME, load_index
from ganforge.encoders.lookup import build_encoder
from ganforge.errors import ConfigError, DataError
from ganforge.interfaces.stage import RunContext, Stage
from ganforge.pipeline.session import runtime_of, shards_location
from ganforge.training.fields import check_encoder


class Prepare(Stage[StrictModel]):
    """Write shards from the data source."""

    name = "prepare"

    def is_done(self, context: RunContext) -> bool:
        """Whether the index is there, made from the source that the pipeline file names."""
        location, source = shards_location(context), context.config.data.source
        if source is None:
            check_encoder(context.config, load_index(location), location)
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

    def check(self, context: RunContext) -> None:
        """Load the text encoder, if it is to embed: a missing file should not cost the images."""
        config = context.config.data
        made = (Path(shards_location(context)) / INDEX_NAME).exists()
        if config.source is not None and config.text_encoder is not None and not made:
            _ = build_encoder(config.text_encoder).size

    def run(self, context: RunContext) -> None:
        """Write the shards on rank 0 while the others wait."""
        if context.config.data.source is None:
            raise ConfigError(
                "data.source is not set, so there is nothing to prepare. Set it, or point "
                "data.shards to prepared shards."
            )
        location = Path(shards_location(context))
        chosen = context.components.architecture
        reads = chosen.component.reads(chosen.config)
        needed: list[str] = [name for name in ("label", "attributes") if name in reads.required]
        needs = dict.fromkeys(needed, f"'{chosen.component.name}' needs them")
        data = context.config.data
        # The index is read again by whoever needs it; it may be too large to be sent.
        runtime_of(context).on_main(lambda: bool(prepare(data, location, needs=needs)))
