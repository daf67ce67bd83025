"""All hooks. A plugin implements any of them as functions marked `hookimpl`."""

# mypy: disable-error-code=empty-body

# What hooks return and take is imported by the plugins that need it, not by the registry.
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import click

    from ganforge.interfaces.architecture import Architecture
    from ganforge.interfaces.derivation import Derivation
    from ganforge.interfaces.metric import FeatureExtractor, Metric
    from ganforge.interfaces.objective import (
        AdversarialLoss,
        Augmentation,
        ObjectiveTerm,
        Regularizer,
    )
    from ganforge.interfaces.run_view import RunView
    from ganforge.interfaces.source import Source
    from ganforge.interfaces.stage import Stage
    from ganforge.interfaces.text_encoder import TextEncoder

hookspec = pluggy.HookspecMarker("ganforge")


@hookspec
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Architectures for `model.architecture`."""


@hookspec
def ganforge_losses() -> list[type[AdversarialLoss[Any]]]:
    """Adversarial losses for `loss.name`."""


@hookspec
def ganforge_regularizers() -> list[type[Regularizer[Any]]]:
    """Penalties and weight projections for `loss.regularizers`."""


@hookspec
def ganforge_objective_terms() -> list[type[ObjectiveTerm[Any]]]:
    """Terms added to the adversarial loss, for `loss.terms`."""


@hookspec
def ganforge_augmentations() -> list[type[Augmentation[Any]]]:
    """Differentiable augmentations of the discriminator's input, for `augment`."""


@hookspec
def ganforge_metrics() -> list[type[Metric[Any]]]:
    """Metrics for `evaluate.metrics`."""


@hookspec
def ganforge_feature_extractors() -> list[type[FeatureExtractor[Any]]]:
    """Feature extractors for `evaluate.extractor`."""


@hookspec
def ganforge_sources() -> list[type[Source[Any]]]:
    """Sources of raw images for `data.source` and `ganforge data prepare`."""


@hookspec
def ganforge_derivations() -> list[type[Derivation[Any]]]:
    """Ways to make the source of a translation from its images, for `data.derive`."""


@hookspec
def ganforge_text_encoders() -> list[type[TextEncoder[Any]]]:
    """Caption encoders for `data.text_encoder` and `ganforge data embed`."""


@hookspec
def ganforge_stages() -> list[type[Stage[Any]]]:
    """Pipeline stages for `stages`."""


@hookspec
def ganforge_commands() -> list[click.Command]:
    """Commands to add to the `ganforge` command line."""


@hookspec
def ganforge_train_start(run: RunView) -> None:
    """Training starts or resumes. Called on every rank."""


@hookspec
def ganforge_step_end(run: RunView) -> None:
    """A training step is complete. Called on every rank; be cheap at most steps."""


@hookspec
def ganforge_log(run: RunView, record: Mapping[str, float]) -> None:
    """A log record is complete. Called on rank 0."""


@hookspec
def ganforge_checkpoint_saved(run: RunView, path: Path) -> None:
    """A checkpoint directory is complete, some steps after its `nimg`. Called on rank 0."""


@hookspec
def ganforge_metric_computed(run: RunView, record: Mapping[str, Any]) -> None:
    """A metric has a value; `record` holds it with its provenance. Called on rank 0."""


@hookspec
def ganforge_train_end(run: RunView) -> None:
    """Training has ended, or was stopped by a signal. Called on every rank; not after an error."""
