"""Everything a plugin imports: `from ganforge.api import ...`.

Names exported here are stable: they change only with a note in the changelog.
"""

from pydantic import Field

from ganforge.config.choices import ComponentChoice
from ganforge.config.models import OptimizerConfig
from ganforge.config.models import StrictModel as ComponentOptions
from ganforge.errors import (
    ConfigError,
    DataError,
    GanforgeError,
    MetricError,
    PluginError,
    ShapeError,
    suggest,
)
from ganforge.interfaces.architecture import Architecture, Phase, Reads
from ganforge.interfaces.batch import Batch, Networks, full_precision
from ganforge.interfaces.component import Component, hookimpl
from ganforge.interfaces.derivation import Derivation
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.metric import (
    ClipMetric,
    CycleMetric,
    FeatureExtractor,
    FeatureMetric,
    Metric,
    PairMetric,
)
from ganforge.interfaces.objective import (
    AdversarialLoss,
    Augmentation,
    Objective,
    ObjectiveTerm,
    PenaltyInput,
    Regularizer,
    RegularizerConfig,
    Scores,
    Terms,
)
from ganforge.interfaces.run_view import RunView
from ganforge.interfaces.source import Frames, ImageHalf, Sample, Source
from ganforge.interfaces.spec import FieldSpec, ImageSpec
from ganforge.interfaces.stage import RunContext, Stage
from ganforge.interfaces.text_encoder import TextEncoder
from ganforge.objectives.adversarial_pair import NoiseToImage
from ganforge.objectives.frozen_features import FrozenFeatures
from ganforge.objectives.penalties import with_penalties

__all__ = [
    "AdversarialLoss",
    "Architecture",
    "Augmentation",
    "Batch",
    "ClipMetric",
    "Component",
    "ComponentChoice",
    "ComponentOptions",
    "ConfigError",
    "CycleMetric",
    "DataError",
    "Derivation",
    "FeatureExtractor",
    "FeatureMetric",
    "Field",
    "FieldSpec",
    "Frames",
    "FrozenFeatures",
    "GanforgeError",
    "GenerateRequest",
    "ImageHalf",
    "ImageSpec",
    "Metric",
    "MetricError",
    "Networks",
    "NoiseToImage",
    "Objective",
    "ObjectiveTerm",
    "OptimizerConfig",
    "PairMetric",
    "PenaltyInput",
    "Phase",
    "PluginError",
    "Reads",
    "Regularizer",
    "RegularizerConfig",
    "RunContext",
    "RunView",
    "Sample",
    "Scores",
    "ShapeError",
    "Source",
    "Stage",
    "Terms",
    "TextEncoder",
    "full_precision",
    "hookimpl",
    "suggest",
    "with_penalties",
]
