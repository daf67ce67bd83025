import pytest

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.derivation import Derivation
from ganforge.interfaces.metric import Metric
from ganforge.interfaces.objective import Augmentation, Regularizer
from ganforge.interfaces.source import Source
from ganforge.interfaces.stage import Stage
from ganforge.registry.plugins import get_registry
from ganforge.registry.schema import json_schema


def references(node):
    """All $ref targets inside a schema."""
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [ref for value in node.values() for ref in references(value)]
    return [ref for value in node for ref in references(value)] if isinstance(node, list) else []


def test_schema_references_resolve():
    schema = json_schema(get_registry())

    assert {ref.removeprefix("#/$defs/") for ref in references(schema)} <= set(schema["$defs"])


@pytest.mark.parametrize(
    "kind",
    [Architecture, Regularizer, Augmentation, Metric, Source, Derivation],
    ids=lambda k: k.__name__,
)
def test_schema_offers_every_component_with_its_options(kind):
    registry = get_registry()
    definitions = json_schema(registry)["$defs"]

    for name in registry.names(kind):
        offered = definitions[f"{kind.__name__}.{name}"]
        assert set(registry.find(kind, name).Config.model_fields) <= set(offered["properties"])
        assert offered["additionalProperties"] is False


def test_schema_covers_every_section_and_extends():
    schema = json_schema(get_registry())

    assert set(schema["properties"]) == {*PipelineConfig.model_fields, "extends"}
    assert schema["$defs"]["Stage"]["anyOf"][0]["enum"] == get_registry().names(Stage)
    assert "required" not in schema
