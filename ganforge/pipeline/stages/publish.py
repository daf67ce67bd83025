"""The `publish` stage: the export folder, and the Hub when a repository is named."""

import logging
from typing import Any

import huggingface_hub
import torch
from PIL import Image
from torch import Tensor

from ganforge.config.models import StrictModel
from ganforge.data.shards.index import load_index
from ganforge.errors import DataError, PublishError
from ganforge.hub.card import CardInfo
from ganforge.hub.export import export_model
from ganforge.hub.format import check_weights, read_info
from ganforge.hub.push import check_repo_id, push_folder
from ganforge.imaging.images import image_grid
from ganforge.imaging.showable import showable
from ganforge.interfaces.stage import RunContext, Stage
from ganforge.io.hashing import file_sha256
from ganforge.pipeline.completed import ran_with, remember
from ganforge.pipeline.session import runtime_of, shards_location
from ganforge.pipeline.stages.evaluate import num_standing, read_records
from ganforge.pipeline.trained_model import TrainedModel, load_others, load_trained, newest_nimg
from ganforge.training.signals import stop_signals
from ganforge.training.tasks.pictures import last_frame, seed_images

log = logging.getLogger(__name__)
_PUSHED = "push"


class Publish(Stage[StrictModel]):
    """Write the export folder; push it when publish.repo_id is set."""

    name = "publish"

    def is_done(self, context: RunContext) -> bool:
        """Whether the export is complete and current, and pushed if it is to be."""
        return _is_exported(context) and _is_pushed(context)

    def check(self, context: RunContext) -> None:
        """Refuse a repository that cannot be pushed to: an invalid name, or no token."""
        repo_id = context.config.publish.repo_id
        if repo_id is None:
            return
        check_repo_id(repo_id)
        # Only rank 0 pushes.
        if not runtime_of(context).on_main(lambda: bool(huggingface_hub.get_token())):
            raise PublishError(
                f"publish.repo_id is {repo_id}, but there is no token for the Hub. Run `hf auth "
                f"login`, set HF_TOKEN, or leave publish.repo_id out and push later with `ganforge "
                f"publish {context.run_dir} {repo_id}`."
            )

    def plan(self, context: RunContext) -> str:
        """Where it goes."""
        repo_id = context.config.publish.repo_id
        push = (
            f" and push to {repo_id}" if repo_id else ", push nowhere (publish.repo_id is not set)"
        )
        return f"export to {context.run_dir / 'export'}{push}"

    def run(self, context: RunContext) -> None:
        """Export and push on rank 0, skipping what an interrupted run has done."""
        runtime = runtime_of(context)

        def publish() -> None:
            with stop_signals.at_once(self.name):
                if not _is_exported(context):
                    _export(context, load_trained(context, runtime.device))
                if not _is_pushed(context):
                    _push(context)

        runtime.on_main(publish)


def _is_exported(context: RunContext) -> bool:
    folder = context.run_dir / "export"
    if not folder.exists():
        return False
    try:
        info = read_info(folder, str(folder))
        if info.nimg != newest_nimg(context) or list(info.metrics) != _metrics(context):
            return False
        check_weights(folder, info, str(folder))
    except PublishError:
        return False
    return ran_with(context.run_dir, Publish.name, _settings(context, info.nimg))


def _is_pushed(context: RunContext) -> bool:
    """Whether this export is on the Hub already, or is not to be pushed."""
    wanted = context.config.publish.repo_id is not None
    return not wanted or ran_with(context.run_dir, _PUSHED, _push_settings(context))


def _push(context: RunContext) -> None:
    publish, folder = context.config.publish, context.run_dir / "export"
    pushed = push_folder(folder, str(publish.repo_id), private=publish.private)
    remember(context.run_dir, _PUSHED, _push_settings(context))
    log.info("Published at %s.", pushed.url)


def _push_settings(context: RunContext) -> dict[str, Any]:
    """What was pushed where, ready for JSON."""
    folder, publish = context.run_dir / "export", context.config.publish
    sums = {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}
    return {"repo_id": publish.repo_id, "private": publish.private, "files": sums}


def _export(context: RunContext, model: TrainedModel) -> None:
    config = context.config
    card = CardInfo(
        name=config.name,
        description=config.description,
        num_train_images=_num_images(context),
        **config.publish.model_dump(include={"repo_id", "license", "dataset", "tags"}),
        training={
            "kimg": model.nimg / 1000,
            "batch size": config.train.batch_size,
            "loss": config.loss.name,
            "regularizers": ", ".join(r.name for r in config.loss.regularizers) or "none",
            "seed": config.train.seed,
            "precision": runtime_of(context).precision,
            **({"started from": config.init.source} if config.init.source else {}),
        },
    )
    folder = export_model(
        context.run_dir / "export",
        architecture=model.architecture,
        networks=model.networks,
        nimg=model.nimg,
        metrics=_metrics(context),
        card=card,
        samples=_picture(context, model),
        others=_others(context, model),
    )
    remember(context.run_dir, Publish.name, _settings(context, model.nimg))
    log.info("Exported to %s.", folder)


def _others(context: RunContext, model: TrainedModel) -> dict[str, dict[str, Tensor]] | None:
    if not context.config.publish.discriminator:
        return None
    others = load_others(context, model)
    if not others:
        log.warning("publish.discriminator: every network of this model generates; none is left.")
    return others


def _settings(context: RunContext, nimg: int) -> dict[str, Any]:
    """All that the export depends on besides weights and metrics, ready for JSON."""
    config = context.config
    settings = config.publish.model_dump(mode="json", exclude={"repo_id", "private"})
    settings |= {"name": config.name, "description": config.description}
    return {"nimg": nimg, "num_standing": num_standing(context), **settings}


def _metrics(context: RunContext) -> list[dict[str, object]]:
    nimg = newest_nimg(context)
    newest = {(r.name, r.extractor): r for r in read_records(context.run_dir) if r.nimg == nimg}
    return [record.model_dump(mode="json") for record in newest.values()]


def _num_images(context: RunContext) -> int | None:
    try:
        return load_index(shards_location(context)).num_samples()
    except DataError:
        return None  # the shards may be gone by the time a model is published


def _picture(context: RunContext, model: TrainedModel) -> Image.Image | None:
    """The card's picture: new samples, or the newest picture where a model needs data.

    That is the last one of the training: what the same networks make of held-out samples.
    """
    rows, columns = context.config.train.sample_grid
    if model.architecture.directions or {"attributes", "text"} & {*model.architecture.conditions}:
        pictures = sorted((context.run_dir / "samples").glob("nimg-*.png"))
        return Image.open(pictures[-1]) if pictures else None
    device = next(next(iter(model.networks.values())).parameters()).device
    with torch.autocast(device.type, enabled=False):
        img = seed_images(model.architecture, model.networks, (rows, columns), device)
    return image_grid(showable(last_frame(img)), rows, columns)
