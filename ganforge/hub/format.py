"""The files of a published model, the same in an export folder and in a Hub repository."""

import json
import re
from pathlib import Path
from typing import Any

import pydantic
import torch
from pydantic import Field

from ganforge.config.models import StrictModel
from ganforge.errors import PublishError
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.conditions import CONDITIONS, sizes
from ganforge.interfaces.spec import ImageSpec
from ganforge.io.hashing import file_sha256

FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
DISCRIMINATOR_FILE = "discriminator.safetensors"
"""Networks beside those that generate, where `publish.discriminator` asks for them."""
CARD_FILE = "README.md"
SAMPLES_FILE = "samples.png"
ALL_FILES = [CONFIG_FILE, WEIGHTS_FILE, DISCRIMINATOR_FILE, CARD_FILE, SAMPLES_FILE]
_LFS_POINTER = b"version https://git-lfs"
_SHA256 = r"^[0-9a-f]{64}$"
_DISTRIBUTION_NAME = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"


class PluginOrigin(StrictModel):
    """The package that provides the architecture."""

    distribution: str = Field(pattern=_DISTRIBUTION_NAME, description="What to pip install.")
    version: str = Field(description="Version at export.")


class OtherNetworks(StrictModel):
    """The content of `discriminator.safetensors`."""

    roles: tuple[str, ...] = Field(description="Networks in the file.")
    sha256: str = Field(pattern=_SHA256)


class ModelInfo(StrictModel):
    """The content of `config.json`: how to build the generator, and how it was trained."""

    format_version: int = FORMAT_VERSION
    ganforge_version: str
    architecture: str = Field(description="Registered name.")
    paper: str = Field("", description="Citation of the architecture.")
    options: dict[str, Any] = Field(description="Options of the architecture.")
    plugin: PluginOrigin
    image_spec: ImageSpec = Field(description="Size, channels, class names, ...")
    conditioning: tuple[str, ...] = Field((), description="Fields a request may or must give.")
    directions: tuple[str, ...] = Field((), description="Of a translation model.")
    roles: tuple[str, ...] = Field(description="Networks in the weights file.")
    nimg: int = Field(ge=0, description="Real images shown in training.")
    metrics: tuple[dict[str, Any], ...] = Field((), description="Records with provenance.")
    dtype: str = Field("float32", description="Type of the parameters.")
    weights_sha256: str = Field(pattern=_SHA256)
    discriminator: OtherNetworks | None = Field(
        None, description="Live weights of the networks that do not generate, if exported."
    )

    @property
    def spec(self) -> ImageSpec:
        """Size, channels, class names, ... of the images."""
        return self.image_spec


def conditioning(architecture: Architecture[Any]) -> tuple[str, ...]:
    """The fields a request to this model can give: label, attributes, text, source."""
    return (*architecture.conditions, *(("source",) if architecture.directions else ()))


def write_info(folder: Path, info: ModelInfo) -> None:
    """Write `config.json`.

    Raises:
        PublishError: a value is not JSON, such as a metric that is NaN.
    """
    try:
        text = json.dumps(info.model_dump(), indent=2, allow_nan=False)
    except (TypeError, ValueError) as err:
        raise PublishError(
            f"{CONFIG_FILE} cannot hold all values: {err}. Metrics and options must be finite "
            f"numbers, strings, booleans, lists or mappings; leave out the one that is not."
        ) from err
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")


def read_info(folder: Path, source: str) -> ModelInfo:
    """Read and check `config.json`; `source` names the folder in messages.

    Raises:
        PublishError: it is missing, not of a ganforge model, of a newer format, or has an invalid
            value; names the key.
    """
    try:
        values = json.loads(require_file(folder, CONFIG_FILE, source).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as err:
        raise PublishError(
            f"{CONFIG_FILE} of {source} is not JSON ({err}). Export or download the model again."
        ) from err
    version = values.get("format_version") if isinstance(values, dict) else None
    if version is None:
        raise PublishError(
            f"{CONFIG_FILE} of {source} has no format_version: this is not a ganforge model. "
            f"Check the name; ganforge models carry the tag 'ganforge' on the Hub."
        )
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise _not_valid(source, "format_version", f"{version!r} is no whole number from 1")
    if version > FORMAT_VERSION:
        raise PublishError(
            f"{source} has format {version}; this ganforge reads formats up to {FORMAT_VERSION}. "
            f"It was exported by ganforge {values.get('ganforge_version', '?')}: "
            f"pip install --upgrade ganforge."
        )
    try:
        info = ModelInfo.model_validate(values)
    except pydantic.ValidationError as err:
        fault = err.errors()[0]
        raise _not_valid(source, ".".join(map(str, fault["loc"])), fault["msg"]) from err
    _check_values(info, source)
    return info


def _check_values(info: ModelInfo, source: str) -> None:
    """Refuse unknown conditions and types."""
    known = (*CONDITIONS, "source")
    for name in info.conditioning:
        if name not in known:
            raise _not_valid(source, "conditioning", f"{name!r} is none of {', '.join(known)}")
        if name in CONDITIONS and name not in sizes(info.spec):
            raise _not_valid(source, "conditioning", f"image_spec has no {name}")
    dtype = getattr(torch, info.dtype, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise _not_valid(source, "dtype", f"{info.dtype!r} is no floating-point type of torch")


def _not_valid(source: str, key: str, fault: str) -> PublishError:
    return PublishError(
        f"{CONFIG_FILE} of {source} is not valid at '{key}': {fault}. "
        f"Export or download the model again."
    )


def require_file(folder: Path, name: str, source: str) -> Path:
    """The path of a file of an export folder, which must exist."""
    path = folder / name
    if not path.is_file():
        found = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        if "checkpoints" in found:
            raise PublishError(
                f"{source} is a run without an export. Make one by its publish stage: ganforge run "
                f"PIPELINE 'stages=[publish]', with what the run was started with."
            )
        raise PublishError(
            f"{source} has no {name}, so it is not a complete ganforge model (found: "
            f"{', '.join(found) or 'nothing'}). Export it again, or check the name."
        )
    return path


def check_weights(folder: Path, info: ModelInfo, source: str) -> list[Path]:
    """Check the hash of each file of weights; returns their paths, `model.safetensors` first.

    Raises:
        PublishError: a file is missing, or has another hash than `config.json` says.
    """
    return [check_hash(folder, name, sha256, source) for name, sha256 in weights_files(info)]


def weights_files(info: ModelInfo) -> list[tuple[str, str]]:
    """Name and sha256 of each file of weights."""
    files = [(WEIGHTS_FILE, info.weights_sha256)]
    if info.discriminator is not None:
        files.append((DISCRIMINATOR_FILE, info.discriminator.sha256))
    return files


def check_hash(folder: Path, name: str, sha256: str, source: str) -> Path:
    """The path of a file, whose hash must be that of `config.json`."""
    path = require_file(folder, name, source)
    found = file_sha256(path)
    if found != sha256:
        with path.open("rb") as file:
            is_pointer = file.read(len(_LFS_POINTER)) == _LFS_POINTER
        if is_pointer:
            raise PublishError(
                f"{name} of {source} is a pointer of Git LFS, not the file. Fetch it in that "
                f"folder: git lfs install, then git lfs pull. Or load the model by its name."
            )
        raise PublishError(
            f"{name} of {source} is damaged: its sha256 is {found}, {CONFIG_FILE} says {sha256}. "
            f"Export it again, or delete {path} and download it again."
        )
    return path


def repo_slug(text: str) -> str:
    """Text as an identifier that the Hub accepts in metadata."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unknown"
