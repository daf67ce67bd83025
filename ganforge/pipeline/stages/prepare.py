"""The `prepare` stage: from raw images to shards with an index."""

from pathlib import Path

from ganforge.config.models import StrictModel
from ganforge.data.prepare.recipe import changes, recipe
from ganforge.data.prepare.source_to_shards import prepare, prepare_validation, validation_config
from ganforge.data.shards.index import INDEX_NAME, load_index
from ganforge.encoders.lookup import build_encoder
from ganforge.errors import ConfigError, DataError
from ganforge.interfaces.stage import RunContext, Stage
from ganforge.pipeline.session import runtime_of, shards_location, validation_location
from ganforge.training.fields import check_encoder
from ganforge.training.signals import stop_signals

_CONDITIONS = ("label", "attributes")
_PAIR = ("source", "target")


class Prepare(Stage[StrictModel]):
    """Write shards from the data source."""

    name = "prepare"

    def is_done(self, context: RunContext) -> bool:
        """Whether all shards are there, made from the sources that the pipeline file names."""
        return _has_training_data(context) and _has_validation_data(context)

    def plan(self, context: RunContext) -> str:
        """What is read and where the shards go."""
        source = context.config.data.source
        name = source.name if source else "nothing (data.shards is ready)"
        plan = f"prepare shards from {name} in {shards_location(context)}"
        is_made = _prepares_validation(context)
        return plan + f" and {validation_location(context)}" * is_made

    def check(self, context: RunContext) -> None:
        """Load the text encoder, if it is to embed: a missing file should not cost the images."""
        config = context.config.data
        made = (Path(shards_location(context)) / INDEX_NAME).exists()
        if config.source is not None and config.text_encoder is not None and not made:
            _ = build_encoder(config.text_encoder).size

    def run(self, context: RunContext) -> None:
        """Write the shards on rank 0 while the others wait."""
        data = context.config.data
        if data.source is None and not _prepares_validation(context):
            raise ConfigError(
                "data.source is not set, so there is nothing to prepare. Set it, or point "
                "data.shards to prepared shards."
            )

        def write() -> None:
            with stop_signals.at_once(self.name):
                _write(context)

        # The index is read again by whoever needs it; it may be too large to be sent.
        runtime_of(context).on_main(write)


def _write(context: RunContext) -> None:
    """Write what is missing. A data set that is complete stays when the next one is interrupted."""
    data, location = context.config.data, shards_location(context)
    validation = validation_location(context)
    if not _has_training_data(context):
        is_apart = data.validation is not None and data.validation.source is not None
        alone = data.model_copy(update={"validation": None}) if is_apart else data
        prepare(alone, location, validation=validation, needs=_needs(context))
    if not _has_validation_data(context):
        prepare_validation(data, load_index(location), str(validation))


def _needs(context: RunContext) -> dict[str, str]:
    """The fields that the samples must have, and why."""
    chosen = context.components.architecture
    required = chosen.component.reads(chosen.config).required
    # A derivation makes pairs from images as they are loaded.
    names = _CONDITIONS if context.config.data.derive is not None else (*_CONDITIONS, *_PAIR)
    why = f"'{chosen.component.name}' needs them"
    return {name: why for name in names if name in required}


def _has_training_data(context: RunContext) -> bool:
    location, data = shards_location(context), context.config.data
    if data.source is None:
        check_encoder(context.config, load_index(location), location)
        return True
    if not (Path(location) / INDEX_NAME).exists():
        return False
    changed = changes(load_index(location).recipe, recipe(data, seed=0))
    if changed:
        raise DataError(
            f"The shards in {location} were prepared differently: {changed}. Give this run another "
            f"name, delete that folder to prepare again, or undo the change."
        )
    return True


def _prepares_validation(context: RunContext) -> bool:
    validation = context.config.data.validation
    return validation is not None and validation.shards is None


def _has_validation_data(context: RunContext) -> bool:
    """Whether there is nothing to do for `data.validation`, given the training data."""
    validation, location = context.config.data.validation, validation_location(context)
    if validation is None or validation.shards is not None:
        return True
    is_there = (Path(str(location)) / INDEX_NAME).exists()
    if validation.source is not None and is_there:
        wanted = recipe(validation_config(context.config.data), seed=0)
        changed = changes(load_index(str(location)).recipe, wanted)
        if changed:
            raise DataError(
                f"The validation shards in {location} were prepared differently: {changed}. Delete "
                f"that folder to prepare them again, or undo the change."
            )
    if validation.num_samples is not None and not is_there:
        raise DataError(
            f"data.validation.num_samples holds samples out of data.source while `prepare` writes "
            f"the shards, but {shards_location(context)} is there already and {location} is not. "
            f"Delete the shards to prepare both again, or set data.validation.source or shards."
        )
    return is_there
