"""The one table of component kinds."""

from collections.abc import Mapping
from typing import Any

from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.component import Component
from ganforge.interfaces.derivation import Derivation
from ganforge.interfaces.metric import FeatureExtractor, Metric
from ganforge.interfaces.objective import AdversarialLoss, Augmentation, ObjectiveTerm, Regularizer
from ganforge.interfaces.source import Source
from ganforge.interfaces.stage import Stage
from ganforge.interfaces.text_encoder import TextEncoder

HOOKS: Mapping[type[Component[Any]], str] = {
    Architecture: "ganforge_architectures",
    AdversarialLoss: "ganforge_losses",
    Regularizer: "ganforge_regularizers",
    ObjectiveTerm: "ganforge_objective_terms",
    Augmentation: "ganforge_augmentations",
    Metric: "ganforge_metrics",
    FeatureExtractor: "ganforge_feature_extractors",
    Source: "ganforge_sources",
    Derivation: "ganforge_derivations",
    TextEncoder: "ganforge_text_encoders",
    Stage: "ganforge_stages",
}
"""The hook through which plugins provide each kind.

A new kind needs a row here, its base class in `ganforge.interfaces`, its hook in `hookspecs`, and
a field of the pipeline file marked `Chooses(kind)`; loading, validation, schema and documentation
follow.
"""

KINDS: Mapping[str, type[Component[Any]]] = {base.kind: base for base in HOOKS}
"""The base class of each kind, by its name in words, as the pipeline file's fields are marked."""
