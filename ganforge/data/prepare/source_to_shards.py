"""From the sources of a pipeline file to shards: training data, and validation data beside them."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ganforge.config.choices import ComponentChoice
from ganforge.config.data import DataConfig
from ganforge.data.prepare.preparation import Preparation
from ganforge.data.prepare.spool_folder import SpoolFolder
from ganforge.data.prepare.worker_pool import default_workers
from ganforge.data.shards.index import DatasetIndex
from ganforge.data.shards.output_folder import check_apart, new_folder
from ganforge.errors import DataError
from ganforge.interfaces.source import Source
from ganforge.registry.plugins import get_registry


def build_source(config: DataConfig) -> Source[Any]:
    """The source that `data.source` names.

    Raises:
        DataError: the file names none.
        PluginNotFound, ConfigError: it is unknown, or its options do not fit.
    """
    if config.source is None:
        raise DataError(
            "data.source is not set, so there is nothing to prepare. Set it, e.g. "
            "{name: folder, path: photos}, or set data.shards to an existing data set."
        )
    return _build(config.source, "data.source")


def _build(choice: ComponentChoice, place: str) -> Source[Any]:
    return get_registry().build(Source, choice.name, choice.options, place)


def prepare(
    config: DataConfig,
    out: Path | str,
    *,
    validation: Path | str | None = None,
    workers: int | None = None,
    seed: int = 0,
    progress: bool = True,
    overwrite: bool = False,
    needs: Mapping[str, str] = MappingProxyType({}),
) -> DatasetIndex:
    """Write a source as shards, and the data of `data.validation` as shards beside them.

    Samples are shuffled over the whole data set, because sources are often sorted by class. The
    encoded samples are on disk twice while this happens. Folders appear when all is written. When
    it is stopped or killed, the same call goes on with the samples that are encoded.

    Args:
        config: source, form of the images, samples per shard, what to do with bad samples.
        out: folder to write; must not exist, or be empty.
        validation: folder of the validation data. Default: `out` with "-validation" at its end.
        workers: processes that decode and encode; 0 uses this process. Default: one per core
            except one, at most 16. The result does not depend on it.
        seed: of the shuffle.
        progress: show a bar.
        overwrite: replace data sets that are already there.
        needs: fields that every sample must have, and why; `data.use_labels` adds the label.

    Returns:
        the index of the training data.

    Raises:
        DataError: no source, no samples, bad samples, a field is missing, validation data that do
            not fit, or a folder cannot be written.
    """
    if config.use_labels:
        needs = {"label": "data.use_labels is true", **needs}
    source, wanted = build_source(config), config.validation
    place = validation or f"{out}-validation"
    if wanted is not None and wanted.shards is None:
        _check_beside(out, place)
    with contextlib.ExitStack() as folders:
        spools = folders.enter_context(SpoolFolder(out))
        folder = folders.enter_context(new_folder(out, overwrite))
        held_out = None
        if wanted is not None and wanted.num_samples is not None:
            held_out = folders.enter_context(new_folder(place, overwrite))
        made = (source, config, folder, _number(workers), seed, needs, held_out)
        index = Preparation(*made, spools=spools).write(progress)
        if wanted is not None and wanted.source is not None:
            prepare_validation(
                config,
                index,
                place,
                workers=workers,
                seed=seed,
                progress=progress,
                overwrite=overwrite,
            )
    return index


def prepare_validation(
    config: DataConfig,
    index: DatasetIndex,
    out: Path | str,
    *,
    workers: int | None = None,
    seed: int = 0,
    progress: bool = True,
    overwrite: bool = False,
) -> DatasetIndex:
    """Write `data.validation.source` as shards, in the form of the training data.

    Args:
        config: as of the training data.
        index: of the training data.
        out: folder to write; must not exist, or be empty.
        workers: as of `prepare`.
        seed: of the shuffle.
        progress: show a bar.
        overwrite: replace a data set that is already there.

    Returns:
        the index that was written.

    Raises:
        DataError: as `prepare`, or classes, label ids or fields differ from the training data.
    """
    config = validation_config(config)
    if config.source is None:
        raise DataError("data.validation.source is not set. Set it, e.g. {name: folder, path: x}.")
    source = _build(config.source, "data.validation.source")
    with SpoolFolder(out) as spools, new_folder(out, overwrite) as folder:
        preparation = Preparation(
            source, config, folder, _number(workers), seed, like=index, spools=spools
        )
        return preparation.write(progress)


def validation_config(config: DataConfig) -> DataConfig:
    """The configuration with which `data.validation.source` is prepared."""
    source = None if config.validation is None else config.validation.source
    return config.model_copy(update={"source": source, "validation": None})


def _number(workers: int | None) -> int:
    return default_workers() if workers is None else workers


def _check_beside(out: Path | str, validation: Path | str) -> None:
    if Path(out).resolve() == Path(validation).resolve():
        raise DataError(
            f"{out} cannot hold both the training and the validation data. Choose two folders."
        )
    check_apart(str(out), validation)
