"""What a run reads from its shards: fields, the spec they make, and the loader."""

import logging
from dataclasses import replace

from ganforge.config.models import PipelineConfig
from ganforge.data.loader import SlotLoader
from ganforge.data.shards.index import DatasetIndex
from ganforge.encoders.lookup import build_encoder
from ganforge.errors import ConfigError, DataError
from ganforge.interfaces.architecture import Reads
from ganforge.interfaces.batch import Batch
from ganforge.interfaces.conditions import CONDITIONS
from ganforge.interfaces.spec import ImageSpec
from ganforge.interfaces.text_encoder import describe_encoding, same_encoding
from ganforge.training.engine.make_batch import make_batch
from ganforge.training.state.run_state import TrainingRun

log = logging.getLogger(__name__)


def choose_fields(
    config: PipelineConfig, name: str, reads: Reads, index: DatasetIndex
) -> tuple[str, ...]:
    """The fields to load: all that architecture `name` needs, and what it can use of the rest.

    `data.use_labels` excludes optional labels, or requires them.

    Raises:
        DataError: a needed field is not in the data.
    """
    has, wanted = index.fields.keys(), [*reads.required]
    use_labels = config.data.use_labels
    for field in reads.optional:
        if field in has and not (field == "label" and use_labels is False):
            wanted.append(field)
    if use_labels and "label" not in wanted:
        wanted.append("label")
    missing = [field for field in wanted if field not in has]
    if missing == ["text"]:
        raise DataError(
            f"'{name}' draws captions, but the data set has no embeddings of them "
            f"(field 'text'); it has {', '.join(sorted(has))}. Make them with `ganforge data embed "
            f"SHARDS OUT --encoder word_vectors path=words.txt` (or another encoder) and set "
            f"data.shards to OUT, or set data.text_encoder before `prepare`."
        )
    if missing:
        raise DataError(
            f"'{name}' needs the fields {', '.join(missing)}, which the data set does "
            f"not have; it has {', '.join(sorted(has))}. Prepare it from a source with them "
            f"(labels: a folder per class), or choose another architecture."
        )
    unused = [field for field in CONDITIONS if field in has and field not in wanted]
    if unused:
        log.info("The data set has %s, which this run does not use.", " and ".join(unused))
    return tuple(wanted)


def model_spec(config: PipelineConfig, index: DatasetIndex, fields: tuple[str, ...]) -> ImageSpec:
    """What the networks are built for: the data's images with the conditions that are used.

    Raises:
        ConfigError: resolution or channels differ from the pipeline file's.
    """
    spec = index.image_spec
    wanted, has = config.data.height_width, (spec.height, spec.width)
    if wanted is not None and wanted != has:
        raise ConfigError(
            f"data.resolution is {wanted[0]}x{wanted[1]}, but the shards hold {has[0]}x{has[1]} "
            f"images. Prepare them again at that size (another data.shards or run name), or "
            f"correct data.resolution."
        )
    if config.data.channels not in (None, spec.channels):
        raise ConfigError(
            f"data.channels is {config.data.channels}, but the shards hold {spec.channels} "
            f"channels. Prepare them again, or correct data.channels."
        )
    return replace(
        spec,
        source_channels=spec.source_channels if "source" in fields else None,
        class_names=spec.class_names if "label" in fields else (),
        attribute_names=spec.attribute_names if "attributes" in fields else (),
        text_dim=spec.text_dim if "text" in fields else 0,
        text_encoding=spec.text_encoding if "text" in fields else None,
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


def expected_spec(config: PipelineConfig, reads: Reads) -> ImageSpec | None:
    """What the networks will be built for, as far as the pipeline file alone tells.

    It is good enough to refuse what cannot work before data are prepared: conditions that the
    architecture needs are taken as present. None when the file does not give the resolution.
    """
    size = config.data.height_width
    if size is None:
        return None
    channels = config.data.channels or 3
    needs = reads.required
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
    return make_batch(values, run.spec, run.runtime.device)
