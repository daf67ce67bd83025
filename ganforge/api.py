"""Everything a plugin imports: `from ganforge.api import ...`.

Names exported here are stable: they change only with a note in the changelog. Each is imported when
it is first used, so that a plugin that needs no torch, such as a data source, does not load it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import Field as Field

    from ganforge.config.choices import ComponentChoice as ComponentChoice
    from ganforge.config.models import OptimizerConfig as OptimizerConfig
    from ganforge.errors import ConfigError as ConfigError
    from ganforge.errors import DataError as DataError
    from ganforge.errors import GanforgeError as GanforgeError
    from ganforge.errors import MetricError as MetricError
    from ganforge.errors import PluginError as PluginError
    from ganforge.errors import ShapeError as ShapeError
    from ganforge.errors import suggest as suggest
    from ganforge.imaging.pose_layouts import PoseLayout as PoseLayout
    from ganforge.imaging.pose_layouts import pose_layout as pose_layout
    from ganforge.interfaces.architecture import Architecture as Architecture
    from ganforge.interfaces.architecture import Phase as Phase
    from ganforge.interfaces.architecture import Reads as Reads
    from ganforge.interfaces.batch import Batch as Batch
    from ganforge.interfaces.batch import Networks as Networks
    from ganforge.interfaces.batch import full_precision as full_precision
    from ganforge.interfaces.component import Component as Component
    from ganforge.interfaces.component import ComponentOptions as ComponentOptions
    from ganforge.interfaces.component import hookimpl as hookimpl
    from ganforge.interfaces.derivation import Derivation as Derivation
    from ganforge.interfaces.generation import GenerateRequest as GenerateRequest
    from ganforge.interfaces.metric import ClipMetric as ClipMetric
    from ganforge.interfaces.metric import CycleMetric as CycleMetric
    from ganforge.interfaces.metric import FeatureExtractor as FeatureExtractor
    from ganforge.interfaces.metric import FeatureMetric as FeatureMetric
    from ganforge.interfaces.metric import Metric as Metric
    from ganforge.interfaces.metric import PairMetric as PairMetric
    from ganforge.interfaces.objective import AdversarialLoss as AdversarialLoss
    from ganforge.interfaces.objective import Augmentation as Augmentation
    from ganforge.interfaces.objective import GradientPenaltyConfig as GradientPenaltyConfig
    from ganforge.interfaces.objective import Objective as Objective
    from ganforge.interfaces.objective import ObjectiveTerm as ObjectiveTerm
    from ganforge.interfaces.objective import PenaltyInput as PenaltyInput
    from ganforge.interfaces.objective import Regularizer as Regularizer
    from ganforge.interfaces.objective import RegularizerConfig as RegularizerConfig
    from ganforge.interfaces.objective import Scores as Scores
    from ganforge.interfaces.objective import Terms as Terms
    from ganforge.interfaces.run_view import RunView as RunView
    from ganforge.interfaces.source import Frames as Frames
    from ganforge.interfaces.source import ImageHalf as ImageHalf
    from ganforge.interfaces.source import Poses as Poses
    from ganforge.interfaces.source import Sample as Sample
    from ganforge.interfaces.source import Source as Source
    from ganforge.interfaces.spec import FieldSpec as FieldSpec
    from ganforge.interfaces.spec import ImageSpec as ImageSpec
    from ganforge.interfaces.stage import RunContext as RunContext
    from ganforge.interfaces.stage import Stage as Stage
    from ganforge.interfaces.text_encoder import TextEncoder as TextEncoder
    from ganforge.objectives.adversarial_pair import NoiseToImage as NoiseToImage
    from ganforge.objectives.frozen_features import FrozenFeatures as FrozenFeatures
    from ganforge.objectives.penalties import with_penalties as with_penalties

_HOMES = {
    "pydantic": ["Field"],
    "ganforge.config.choices": ["ComponentChoice"],
    "ganforge.config.models": ["OptimizerConfig"],
    "ganforge.errors": [
        "ConfigError",
        "DataError",
        "GanforgeError",
        "MetricError",
        "PluginError",
        "ShapeError",
        "suggest",
    ],
    "ganforge.imaging.pose_layouts": ["PoseLayout", "pose_layout"],
    "ganforge.interfaces.architecture": ["Architecture", "Phase", "Reads"],
    "ganforge.interfaces.batch": ["Batch", "Networks", "full_precision"],
    "ganforge.interfaces.component": ["Component", "ComponentOptions", "hookimpl"],
    "ganforge.interfaces.derivation": ["Derivation"],
    "ganforge.interfaces.generation": ["GenerateRequest"],
    "ganforge.interfaces.metric": [
        "ClipMetric",
        "CycleMetric",
        "FeatureExtractor",
        "FeatureMetric",
        "Metric",
        "PairMetric",
    ],
    "ganforge.interfaces.objective": [
        "AdversarialLoss",
        "Augmentation",
        "Objective",
        "ObjectiveTerm",
        "PenaltyInput",
        "Regularizer",
        "GradientPenaltyConfig",
        "RegularizerConfig",
        "Scores",
        "Terms",
    ],
    "ganforge.interfaces.run_view": ["RunView"],
    "ganforge.interfaces.source": ["Frames", "ImageHalf", "Poses", "Sample", "Source"],
    "ganforge.interfaces.spec": ["FieldSpec", "ImageSpec"],
    "ganforge.interfaces.stage": ["RunContext", "Stage"],
    "ganforge.interfaces.text_encoder": ["TextEncoder"],
    "ganforge.objectives.adversarial_pair": ["NoiseToImage"],
    "ganforge.objectives.frozen_features": ["FrozenFeatures"],
    "ganforge.objectives.penalties": ["with_penalties"],
}
"""The public names, by the module that defines them; the same as above, for Python."""
_MODULES = {name: module for module, names in _HOMES.items() for name in names}


def __dir__() -> list[str]:
    return sorted(_MODULES)


if not TYPE_CHECKING:  # for a type checker it would make every name exist

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first used."""
        if name not in _MODULES:
            raise AttributeError(f"module 'ganforge.api' has no attribute '{name}'")
        value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
        return value
