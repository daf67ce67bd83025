"""The JSON schema of pipeline files, with the options of every installed component."""

from typing import Any

from ganforge.config.models import LossConfig, MetricConfig, PipelineConfig
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.component import Component
from ganforge.interfaces.metric import FeatureExtractor, Metric
from ganforge.interfaces.objective import AdversarialLoss, Augmentation, Regularizer
from ganforge.interfaces.source import Source
from ganforge.interfaces.stage import Stage
from ganforge.interfaces.text_encoder import TextEncoder
from ganforge.registry.plugins import Registry

Schema = dict[str, Any]


def json_schema(registry: Registry) -> Schema:
    """Describe a pipeline file for editors (JSON Schema 2020-12).

    Args:
        registry: the installed components; their options are part of the schema.

    Returns:
        A schema for the YAML language server. Nothing is required at the root, because a file
        may inherit it through `extends`; unknown keys are refused everywhere.
    """
    root = PipelineConfig.model_json_schema()
    definitions: Schema = root["$defs"]
    del root["required"]
    for name in ("ModelConfig", "LossConfig", "ComponentConfig", "MetricConfig"):
        del definitions[name]
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    root["title"] = "ganforge pipeline"
    files = {"type": "array", "items": {"type": "string"}}
    root["properties"]["extends"] = {
        "description": "Pipeline files to merge first: paths or packaged names.",
        "anyOf": [{"type": "string"}, files],
    }
    _place_components(root["properties"], definitions, registry)
    definitions |= _component_definitions(registry)
    return root


def _place_components(properties: Schema, definitions: Schema, registry: Registry) -> None:
    """Point each place that takes a component at the components of its kind."""
    data = definitions["DataConfig"]["properties"]
    evaluate = definitions["EvaluateConfig"]["properties"]
    stages = registry.names(Stage)
    properties["stages"]["items"] = {"type": "string", **({"enum": stages} if stages else {})}
    properties["model"] = {"$ref": _reference(Architecture)}
    properties["loss"] = {"$ref": _reference(AdversarialLoss)}
    evaluate["extractor"]["$ref"] = _reference(FeatureExtractor)
    evaluate["metrics"]["items"] = {"$ref": _reference(Metric)}
    null = {"type": "null"}
    properties["augment"]["anyOf"] = [{"$ref": _reference(Augmentation)}, null]
    data["source"]["anyOf"] = [{"$ref": _reference(Source)}, null]
    data["text_encoder"]["anyOf"] = [{"$ref": _reference(TextEncoder)}, null]


def _reference(kind: type[Component[Any]]) -> str:
    return f"#/$defs/{kind.__name__}"


def _component_definitions(registry: Registry) -> Schema:
    """One definition per kind, and one per component."""
    definitions: Schema = {}
    for kind in (
        AdversarialLoss,
        Architecture,
        Augmentation,
        FeatureExtractor,
        Metric,
        Regularizer,
        TextEncoder,
    ):
        definitions |= _kind_definitions(registry, kind)
    return definitions | _kind_definitions(registry, Source)


def _kind_definitions(registry: Registry, kind: type[Component[Any]]) -> Schema:
    names = registry.names(kind)
    definitions: Schema = {}
    choices: list[Schema] = []
    for name in names:
        prefix = f"{kind.__name__}.{name}"
        definitions |= _options(registry.find(kind, name), prefix, kind)
        choices.append({"$ref": f"#/$defs/{prefix}"})
    if kind is not Architecture and names:
        choices.insert(0, {"type": "string", "enum": names})
    definitions[kind.__name__] = {"anyOf": choices} if choices else {"type": ["object", "string"]}
    return definitions


def _options(component: type[Component[Any]], prefix: str, kind: type[Component[Any]]) -> Schema:
    """The mapping that chooses one component, and the definitions it uses."""
    schema = component.Config.model_json_schema(ref_template=f"#/$defs/{prefix}.{{model}}")
    inner = schema.pop("$defs", {})
    key = "architecture" if kind is Architecture else "name"
    own = {key: {"const": component.name, "description": _summary(component)}}
    required = [key]
    if kind is AdversarialLoss:
        shared = LossConfig.model_json_schema()["properties"]
        shared["regularizers"]["items"] = {"$ref": _reference(Regularizer)}
        common = ("regularizers", "n_critic", "matching", "unroll")
        own |= {field: shared[field] for field in common}
        required = []  # the default loss may go unnamed
    if kind is Metric:
        shared = MetricConfig.model_json_schema()["properties"]
        own["extractor"] = shared["extractor"] | {"anyOf": [{"$ref": _reference(FeatureExtractor)}]}
    schema["properties"] = own | schema.get("properties", {})
    schema["required"] = required
    schema["description"] = _summary(component)
    return {prefix: schema, **{f"{prefix}.{name}": model for name, model in inner.items()}}


def _summary(component: type[Component[Any]]) -> str:
    """What the component is, from its docstring and citation."""
    first = (component.__doc__ or component.name).strip().splitlines()[0]
    paper = getattr(component, "paper", "")
    return f"{first} {paper}".strip()
