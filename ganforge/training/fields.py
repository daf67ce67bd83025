"""What a run reads: which fields, what the model is told of them, and where the loader starts."""

import logging
from typing import Any

import torch

from ganforge.config.models import PipelineConfig
from ganforge.data.loader import SlotLoader
from ganforge.data.shards.index import DatasetIndex
from ganforge.encoders.lookup import build_encoder
from ganforge.errors import ConfigError, DataError
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.batch import Batch
from ganforge.interfaces.spec import ImageSpec
from ganforge.interfaces.text_encoder import describe_encoding, same_encoding
from ganforge.training.engine.make_batch import make_batch
from ganforge.training.state.run_state import TrainingRun

log = logging.getLogger(__name__)
# What an architecture calls its input, and where a data set of single images keeps it.
_CONDITIONS = ("label", "attributes", "text")


def choose_fields(
    config: PipelineConfig, architecture: Architecture[Any], index: DatasetIndex
) -> tuple[str, ...]:
    """The fields to read: all that the architecture needs, and what it can use of the rest.

    Raises:
        ConfigError: `data.use_labels` is not what the architecture can do.
        DataError: a needed field is not in the data.
    """
    check_labels(config, architecture)
    has, wanted = index.fields.keys(), [*architecture.inputs]
    use_labels = config.data.use_labels
    for name in architecture.optional_inputs:
        if name in has and not (name == "label" and use_labels is False):
            wanted.append(name)
    if use_labels and "label" not in wanted:
        wanted.append("label")
    missing = [name for name in wanted if name not in has]
    if missing == ["text"]:
        raise DataError(
            f"'{architecture.name}' draws captions, but the data set has no embeddings of them "
            f"(field 'text'); it has {', '.join(sorted(has))}. Make them with `ganforge data embed "
            f"SHARDS OUT --encoder word_vectors path=words.txt` (or another encoder) and set "
            f"data.shards to OUT, or set data.text_encoder before `prepare`."
        )
    if missing:
        raise DataError(
            f"'{architecture.name}' needs the fields {', '.join(missing)}, which the data set does "
            f"not have; it has {', '.join(sorted(has))}. Prepare it from a source with them "
            f"(labels: a folder per class), or choose another architecture."
        )
    unused = [name for name in _CONDITIONS if name in has and name not in wanted]
    if unused:
        log.info("The data set has %s, which this run does not use.", " and ".join(unused))
    return tuple(wanted)


def check_labels(config: PipelineConfig, architecture: Architecture[Any]) -> None:
    """Refuse a `data.use_labels` that the architecture cannot follow, whatever the data.

    Raises:
        ConfigError: labels are asked for and it takes none, or refused and it needs them.
    """
    use_labels, name = config.data.use_labels, architecture.name
    takes_label = "label" in (*architecture.inputs, *architecture.optional_inputs)
    if use_labels and not takes_label:
        choice = "a class-conditional architecture"
        if "condition" in type(architecture.config).model_fields:
            choice = f"what '{name}' is told by model.condition: auto"
        raise ConfigError(
            f"data.use_labels is true, but '{name}' as it is set up takes no labels. Remove it, or "
            f"choose {choice}."
        )
    if use_labels is False and "label" in architecture.inputs:
        raise ConfigError(
            f"data.use_labels is false, but '{name}' as it is set up needs labels. Remove it, or "
            f"choose an unconditional architecture or model.condition."
        )


def model_spec(config: PipelineConfig, index: DatasetIndex, fields: tuple[str, ...]) -> ImageSpec:
    """What the networks are built for: the data's images with the conditions that are used.

    Raises:
        ConfigError: resolution or channels differ from the pipeline file's.
    """
    spec = index.image_spec
    asked, has = config.data.height_width, (spec.height, spec.width)
    if asked is not None and asked != has:
        raise ConfigError(
            f"data.resolution is {asked[0]}x{asked[1]}, but the shards hold {has[0]}x{has[1]} "
            f"images. Prepare them again at that size (another data.shards or run name), or "
            f"correct data.resolution."
        )
    if config.data.channels not in (None, spec.channels):
        raise ConfigError(
            f"data.channels is {config.data.channels}, but the shards hold {spec.channels} "
            f"channels. Prepare them again, or correct data.channels."
        )
    used = set(fields)
    return ImageSpec(
        height=spec.height,
        width=spec.width,
        channels=spec.channels,
        source_channels=spec.source_channels if "source" in used else None,
        class_names=spec.class_names if "label" in used else (),
        attribute_names=spec.attribute_names if "attributes" in used else (),
        text_dim=spec.text_dim if "text" in used else 0,
        num_frames=spec.num_frames,
        text_encoding=spec.text_encoding if "text" in used else None,
    )


def check_encoder(config: PipelineConfig, index: DatasetIndex, location: str) -> None:
    """Refuse shards whose embeddings are not by the encoder that the pipeline file names.

    Raises:
        DataError: they are by another, or by one of other options.
    """
    wanted = config.data.text_encoder
    if wanted is None:
        return
    encoder, made = build_encoder(wanted), index.image_spec.text_encoding
    if made is not None and same_encoding(made, encoder.encoding):
        return
    how = f"by {describe_encoding(made)}" if made else "by nothing that their index names"
    raise DataError(
        f"data.text_encoder is {wanted.name}, but the captions of the shards at {location} are "
        f"embedded {how}. Embed them with it: ganforge data embed {location} OUT --encoder "
        f"{wanted.name}, and set data.shards to OUT; or remove data.text_encoder."
    )


def expected_spec(config: PipelineConfig, architecture: Architecture[Any]) -> ImageSpec | None:
    """What the networks will be built for, as far as the pipeline file alone tells.

    It is good enough to refuse what cannot work before data are prepared: conditions that the
    architecture needs are taken as present. None when the file does not give the resolution.
    """
    size = config.data.height_width
    if size is None:
        return None
    channels = config.data.channels or 3
    needs = architecture.inputs
    return ImageSpec(
        *size,
        channels=channels,
        source_channels=channels if "source" in needs else None,
        class_names=("0", "1") if "label" in needs else (),
        attribute_names=("0",) if "attributes" in needs else (),
        text_dim=1 if "text" in needs else 0,
    )


def make_loader(run: TrainingRun, location: str, fields: tuple[str, ...]) -> SlotLoader:
    """The loader that continues where the run is."""
    return SlotLoader(
        run.config.data,
        location,
        fields=fields,
        seed=run.seed,
        num_slots=run.num_slots,
        local_slots=run.local_slots,
        micro_batch=run.config.train.batch_size // run.num_slots,
        start_step=run.progress.step,
        pin_memory=run.runtime.device.type == "cuda",
    )


def fixed_batch(run: TrainingRun, location: str, fields: tuple[str, ...], count: int) -> Batch:
    """`count` real samples (fewer in a tiny data set): the same ones whenever it is called."""
    config = run.config.data.model_copy(update={"workers": 0})
    loader = SlotLoader(
        config,
        location,
        fields=fields,
        seed=run.config.train.seed,
        num_slots=1,
        local_slots=range(1),
        micro_batch=count,
    )
    try:
        values = next(iter(loader))[0]
    finally:
        loader.close()
    return make_batch(values, run.spec, run.runtime.device or torch.device("cpu"))
