"""What a run reads from its shards: fields, the spec they make, and the loader."""

import contextlib
import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Any

from ganforge.config.data import DataConfig, FieldConfig
from ganforge.config.models import PipelineConfig
from ganforge.data.loader import SlotLoader
from ganforge.data.shards.index import DatasetIndex, is_known, known_index, load_index
from ganforge.data.shards.readable_fields import ReadableFields, build_derivation
from ganforge.data.shards.reader import check_shards_present
from ganforge.data.views import END_NIMG, shown_size, window_at
from ganforge.encoders.lookup import build_encoder
from ganforge.errors import ConfigError, DataError
from ganforge.interfaces.architecture import Reads
from ganforge.interfaces.batch import Batch
from ganforge.interfaces.conditions import CONDITIONS
from ganforge.interfaces.derivation import Derivation
from ganforge.interfaces.spec import FieldSpec, ImageSpec
from ganforge.interfaces.text_encoder import describe_encoding, same_encoding
from ganforge.training.engine.make_batch import make_batch
from ganforge.training.runtime import Runtime
from ganforge.training.state.run_state import TrainingRun

log = logging.getLogger(__name__)


IMAGES = ("image", "target", "frames")
"""Fields that hold the images to generate; the first one that the data have gives their shape."""

_IMAGE_FIELDS = ("image", "source", "target", "frames", "caption")
"""Fields that a run may leave aside without saying so: one image can be read under another name,
and captions are read by way of their embeddings."""


def choose_fields(
    config: PipelineConfig, name: str, reads: Reads, data: ReadableFields
) -> tuple[str, ...]:
    """The fields to load: all that architecture `name` needs, and what it can use of the rest.

    `data.use_labels` excludes optional labels, or requires them.

    Raises:
        DataError: a needed field is not in the data.
        ConfigError: `data.derive` makes a source that the architecture does not read.
    """
    has, wanted = data.schemas.keys(), [*reads.required]
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
    if data.derivation is not None and "source" not in wanted:
        raise ConfigError(
            f"data.derive ({data.derivation.name}) makes a source from each image, but '{name}' "
            f"reads no source. Remove data.derive, or choose an architecture that translates."
        )
    unused = [field for field in has if field not in wanted and field not in _IMAGE_FIELDS]
    if unused:
        log.info("The data set has %s, which this run does not use.", " and ".join(unused))
    return tuple(wanted)


def model_spec(config: PipelineConfig, data: ReadableFields, fields: tuple[str, ...]) -> ImageSpec:
    """What the networks are built for: images as they are read, with the fields that are used.

    Raises:
        ConfigError: the shards hold images of another size or number of channels than the pipeline
            file says, or no clips for `data.clip`.
    """
    spec = data.index.image_spec
    _check_shape(config, spec, data)
    height, width = shown_size(config.data, (spec.height, spec.width))
    return replace(
        spec,
        height=height,
        width=width,
        class_names=spec.class_names if "label" in fields else (),
        attribute_names=spec.attribute_names if "attributes" in fields else (),
        text_dim=spec.text_dim if "text" in fields else 0,
        text_encoding=spec.text_encoding if "text" in fields else None,
        num_frames=_num_frames(config, data, fields, spec),
        fields={name: field for name, field in spec.fields.items() if name in fields},
        **_source(spec, data, fields),
    )


def _check_shape(config: PipelineConfig, spec: ImageSpec, data: ReadableFields) -> None:
    wanted, has = config.data.stored_size, (spec.height, spec.width)
    key = "resolution" if config.data.crop is None else "crop.from"
    if wanted is not None and wanted != has:
        raise ConfigError(
            f"data.{key} is {wanted[0]}x{wanted[1]}, but the shards hold {has[0]}x{has[1]} "
            f"images. Prepare them again at that size (another data.shards or run name), or "
            f"correct data.{key}."
        )
    main = next((name for name in IMAGES if name in data.index.fields), IMAGES[0])
    channels = _channels(config.data, main)
    if channels not in (None, spec.channels):
        key = "channels" if channels == config.data.channels else f"fields.{main}.channels"
        raise ConfigError(
            f"data.{key} is {channels}, but the shards hold {spec.channels} channels. Prepare them "
            f"again, or correct data.{key}."
        )


def _channels(data: DataConfig, name: str) -> int | None:
    """The channels that the pipeline file gives an image field."""
    field = data.fields.get(name)
    return data.channels if field is None or field.channels is None else field.channels


def _num_frames(
    config: PipelineConfig, data: ReadableFields, fields: tuple[str, ...], spec: ImageSpec
) -> int:
    """Frames per sample; those of the last window where a schedule changes them."""
    if config.data.clip is None:
        return spec.num_frames
    if not any(data.schemas[name].is_clip for name in fields):
        raise ConfigError(
            f"data.clip is set, but {', '.join(fields)} at {data.location} are no clips. Remove "
            f"data.clip, or prepare the data from clips."
        )
    return window_at(config.data.clip, END_NIMG).num_frames


def _source(spec: ImageSpec, data: ReadableFields, fields: tuple[str, ...]) -> dict[str, Any]:
    """What the spec says of sources."""
    if "source" not in fields:
        return {"source_channels": None, "source_kind": "image", "pose_size": 0}
    if data.derivation is None:
        return {}
    return _derived(data.derivation, spec.channels, (spec.height, spec.width))


def _derived(derivation: Derivation[Any], channels: int, size: tuple[int, int]) -> dict[str, Any]:
    derivation.check(*size)
    made = derivation.channels(channels)
    return {
        "source_channels": made,
        "source_kind": "image",
        "pose_size": 0,
        "derived": derivation.derived,
    }


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

    It is good enough to refuse what cannot work before data are prepared: fields that the
    architecture needs are taken as present. None when the file does not give the resolution.
    """
    data, needs = config.data, reads.required
    size = data.height_width
    if size is None:
        return None
    main = next((name for name in IMAGES if name in needs), IMAGES[0])
    channels = _channels(data, main) or 3
    return ImageSpec(
        *size,
        channels=channels,
        class_names=("0", "1") if "label" in needs else (),
        attribute_names=("0",) if "attributes" in needs else (),
        text_dim=1 if "text" in needs else 0,
        num_frames=1 if data.clip is None else window_at(data.clip, END_NIMG).num_frames,
        fields={
            name: _expected_field(data, name)
            for name in needs
            if name not in (*IMAGES, *CONDITIONS, "source", "caption")
        },
        **(_expected_source(data, channels, size) if "source" in needs else {}),
    )


def _expected_source(data: DataConfig, channels: int, size: tuple[int, int]) -> dict[str, Any]:
    if data.derive is not None:
        return _derived(build_derivation(data.derive), channels, size)
    field = _expected_field(data, "source")
    return {"source_channels": field.size or 1, "source_kind": field.kind}


def _expected_field(data: DataConfig, name: str) -> FieldSpec:
    """A field of the kind that the pipeline file gives; sizes that only data tell are small."""
    field = data.fields.get(name, FieldConfig())
    if field.kind == "labels":
        return FieldSpec("labels", 2 if field.num_labels is None else field.num_labels)
    if field.kind == "vector":
        return FieldSpec("vector", 4)
    return FieldSpec("image", _channels(data, name) or 3)


@contextlib.contextmanager
def read_once(runtime: Runtime, location: str) -> Iterator[None]:
    """Until its end, all ranks use the index that rank 0 has read, of shards that it has checked.

    One that is known already is not read again. 4,096 ranks that each list 100,000 files would
    bring a network file system to its knees.

    Raises:
        DataError: the index or a shard is missing, or a shard has another size; on every rank.
    """

    def checked() -> DatasetIndex:
        index = load_index(location)
        check_shards_present(location, index)
        return index

    if is_known(location):
        yield
        return
    with known_index(location, runtime.on_main(checked)):
        yield


def make_loader(
    run: TrainingRun,
    location: str,
    fields: tuple[str, ...],
    is_stopping: Callable[[], bool] = lambda: False,
) -> SlotLoader:
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
        is_stopping=is_stopping,
    )


def fixed_batch(run: TrainingRun, location: str, fields: tuple[str, ...], count: int) -> Batch:
    """`count` real samples, the same ones whenever it is called, with nothing random about them.

    `location` may hold other data than those of the training: held-out ones.

    Raises:
        DataError: the data lack a field, or there are no data.
    """
    batches = fixed_batches(run, location, fields, count)
    try:
        return next(batches)
    finally:
        batches.close()


def fixed_batches(
    run: TrainingRun, location: str, fields: tuple[str, ...], size: int
) -> Generator[Batch]:
    """As `fixed_batch`, one batch after the other: every sample once, then again."""
    loader = SlotLoader(
        run.config.data.model_copy(update={"workers": 0}),
        location,
        fields=fields,
        seed=run.config.train.seed,
        num_slots=1,
        local_slots=range(1),
        micro_batch=size,
        randomize=False,
    )
    try:
        for slots in loader:
            yield make_batch(slots[0], run.spec, run.runtime.device)
    finally:
        loader.close()
