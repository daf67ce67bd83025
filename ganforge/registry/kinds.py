"""The one table of component kinds."""

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ganforge.interfaces.component import Component


@dataclass(frozen=True)
class Kind:
    """A kind of component.

    Attributes:
        words: what it is, in words, as `Component.kind` and the marks of the pipeline file say.
        hook: the hook through which plugins provide it.
        where: the module and the name of its base class.
    """

    words: str
    hook: str
    where: str

    @cached_property
    def base(self) -> type[Component[Any]]:
        """Its base class, imported now: those of networks import torch."""
        found: type[Component[Any]] = pkgutil.resolve_name(f"ganforge.interfaces.{self.where}")
        return found


KINDS: Mapping[str, Kind] = {
    kind.words: kind
    for kind in (
        Kind("architecture", "ganforge_architectures", "architecture:Architecture"),
        Kind("loss", "ganforge_losses", "objective:AdversarialLoss"),
        Kind("regularizer", "ganforge_regularizers", "objective:Regularizer"),
        Kind("objective term", "ganforge_objective_terms", "objective:ObjectiveTerm"),
        Kind("augmentation", "ganforge_augmentations", "objective:Augmentation"),
        Kind("metric", "ganforge_metrics", "metric:Metric"),
        Kind("feature extractor", "ganforge_feature_extractors", "metric:FeatureExtractor"),
        Kind("source", "ganforge_sources", "source:Source"),
        Kind("derivation", "ganforge_derivations", "derivation:Derivation"),
        Kind("text encoder", "ganforge_text_encoders", "text_encoder:TextEncoder"),
        Kind("stage", "ganforge_stages", "stage:Stage"),
    )
}
"""All kinds, by their words.

A new kind needs a row here, its base class in `ganforge.interfaces`, its hook in `hookspecs`, and
a field of the pipeline file marked `Chooses(words)`; loading, validation, schema and documentation
follow.
"""
