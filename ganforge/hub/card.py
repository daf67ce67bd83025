"""The model card: `README.md`, with metadata for the Hub."""

import importlib.resources
import re
from pathlib import Path
from typing import Any

import huggingface_hub  # which imports its parts when they are used
import jinja2
from pydantic import Field

from ganforge.config.models import StrictModel
from ganforge.hub.format import CARD_FILE, SAMPLES_FILE, ModelInfo, repo_slug

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_LICENSE_ID = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_PROVENANCE = (
    *("direction", "split", "reference", "extractor", "extractor_sha256", "resize"),
    *("precision", "ema", "truncation", "seed", "nimg"),
)


class CardInfo(StrictModel):
    """The contents of a model card beyond `config.json`."""

    name: str = Field(description="Title.")
    description: str = Field("", description="A paragraph on the model.")
    repo_id: str | None = Field(None, description="org/name on the Hub, for the examples.")
    license: str | None = Field(
        None, description="License of the weights: an identifier of the Hub, or text."
    )
    dataset: str | None = Field(None, description="A data set on the Hub, or a description.")
    num_train_images: int | None = None
    tags: tuple[str, ...] = Field((), description="Further tags.")
    training: dict[str, Any] = Field({}, description="Rows of the training table.")


def write_card(folder: Path, info: ModelInfo, card: CardInfo, *, has_samples: bool) -> None:
    """Write `README.md` into an export folder: YAML metadata, then Markdown."""
    source = importlib.resources.files("ganforge.hub").joinpath("model_card.md.jinja")
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False
    )
    rendered = environment.from_string(source.read_text(encoding="utf-8")).render(
        card_data=_metadata(info, card).to_yaml(),
        info=info,
        spec=info.spec,
        card=card,
        metrics=[_metric_row(record) for record in info.metrics],
        samples=SAMPLES_FILE if has_samples else None,
        location=card.repo_id or "path/to/this/folder",
        cell=_cell,
    )
    content = str(huggingface_hub.ModelCard(rendered)).strip() + "\n"
    (folder / CARD_FILE).write_text(content, encoding="utf-8")


def _metadata(info: ModelInfo, card: CardInfo) -> "huggingface_hub.ModelCardData":
    is_license_id = card.license is not None and _LICENSE_ID.fullmatch(card.license)
    is_hub_dataset = card.dataset is not None and _HUB_ID.fullmatch(card.dataset)
    return huggingface_hub.ModelCardData(
        library_name="ganforge",
        tags=list(dict.fromkeys(["ganforge", "gan", info.architecture, *card.tags])),
        pipeline_tag=_pipeline_tag(info),
        license=(card.license if is_license_id else "other") if card.license else None,
        license_name=None if is_license_id else card.license,
        datasets=card.dataset if is_hub_dataset else None,
        model_name=card.name,
        eval_results=[_eval_result(record, card) for record in info.metrics] or None,
    )


def _pipeline_tag(info: ModelInfo) -> str | None:
    if info.directions:
        return "image-to-image"
    if "text" in info.conditioning:
        return "text-to-image"
    # The Hub has no tag for images by class or by attributes.
    return None if info.conditioning else "unconditional-image-generation"


def _eval_result(record: dict[str, Any], card: CardInfo) -> "huggingface_hub.EvalResult":
    dataset = card.dataset or "training data"
    return huggingface_hub.EvalResult(
        task_type="image-generation",
        dataset_type=dataset if _HUB_ID.fullmatch(dataset) else repo_slug(dataset),
        dataset_name=dataset,
        metric_type=repo_slug(str(record.get("metric", record["name"]))),
        metric_name=str(record["name"]),
        metric_value=record["value"],
        metric_args={key: record[key] for key in _known(record, ("n_gen", "n_real"))} or None,
    )


def _metric_row(record: dict[str, Any]) -> dict[str, Any]:
    provenance = "; ".join(f"{key} {_short(record[key])}" for key in _known(record, _PROVENANCE))
    return {**record, "provenance": provenance}


def _known(record: dict[str, Any], keys: tuple[str, ...]) -> list[str]:
    return [key for key in keys if record.get(key) not in (None, "")]


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{40,}", value) else value


def _cell(value: Any) -> str:
    """A value as the text of a Markdown table cell."""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
