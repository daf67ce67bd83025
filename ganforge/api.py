"""Everything a plugin imports: `from ganforge.api import ...`.

Names exported here are stable: they change only with a note in the changelog.
"""

from pydantic import Field

from ganforge.batch import Batch, GenerateRequest, ImageSpec, Networks, full_precision
from ganforge.components import (
    AdversarialLoss,
    Architecture,
    Augmentation,
    Component,
    FeatureExtractor,
    Metric,
    Objective,
    PenaltyInput,
    Phase,
    Regularizer,
    RegularizerConfig,
    RunContext,
    Sample,
    Source,
    Stage,
    Terms,
    hookimpl,
)
from ganforge.config import ComponentConfig, OptimizerConfig
from ganforge.config import StrictModel as ComponentOptions
from ganforge.errors import (
    ConfigError,
    DataError,
    GanforgeError,
    MetricError,
    PluginError,
    ShapeError,
    suggest,
)
from ganforge.frozen import FrozenFeatures
from ganforge.noise_to_image import NoiseToImage
from ganforge.penalties import with_penalties
from ganforge.text_encoder import TextEncoder

__all__ = [
    "AdversarialLoss",
    "Architecture",
    "Augmentation",
    "Batch",
    "Component",
    "ComponentConfig",
    "ComponentOptions",
    "ConfigError",
    "DataError",
    "FeatureExtractor",
    "Field",
    "FrozenFeatures",
    "GanforgeError",
    "GenerateRequest",
    "ImageSpec",
    "Metric",
    "MetricError",
    "Networks",
    "NoiseToImage",
    "Objective",
    "OptimizerConfig",
    "PenaltyInput",
    "Phase",
    "PluginError",
    "Regularizer",
    "RegularizerConfig",
    "RunContext",
    "Sample",
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
