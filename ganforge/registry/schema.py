"""The JSON schema of pipeline files, with the options of every installed component."""

from typing import Any

from ganforge.config.choices import Place
from ganforge.config.models import PLACES, PipelineConfig
from ganforge.interfaces.component import Component
from ganforge.registry.kinds import KINDS
from ganforge.registry.plugins import Registry

Schema = dict[str, Any]


def json_schema(registry: Registry) -> Schema:
    """Describe a pipeline file for editors (JSON Schema 2020-12), with all components' options.

    Nothing is required at the root, because a file may inherit it through `extends`; unknown keys
    are refused everywhere.
    """
    root = PipelineConfig.model_json_schema()
    definitions: Schema = root["$defs"]
    del root["required"]
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    root["title"] = "ganforge pipeline"
    root["properties"]["extends"] = {
        "description": "Pipeline files to merge first: paths or packaged names.",
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    }
    for place in PLACES:
        _refer_to_kind(root, place)
    for place in PLACES:
        definitions |= _kind_definitions(registry, place, definitions)
    for section in {place.section.__name__ for place in PLACES if place.section}:
        del definitions[section]
    return root


def _refer_to_kind(root: Schema, place: Place) -> None:
    """Make the place's property refer to the components of its kind."""
    owner = root if place.owner is PipelineConfig else root["$defs"][place.owner.__name__]
    value: Schema = owner["properties"][place.field]
    reference = {"$ref": f"#/$defs/{KINDS[place.kind].base.__name__}"}
    if place.is_list:
        value["items"] = reference
    elif "anyOf" in value:
        value["anyOf"] = [reference, {"type": "null"}]
    else:
        value.update(reference)


def _kind_definitions(registry: Registry, place: Place, definitions: Schema) -> Schema:
    """One definition for the kind of a place, and one for each of its components."""
    kind = KINDS[place.kind].base
    names = registry.names(kind)
    found: Schema = {}
    choices: list[Schema] = [{"type": "string", "enum": names}] if names else []
    if place.section is not None:
        fields = definitions[place.section.__name__]
        for name in names:
            prefix = f"{kind.__name__}.{name}"
            found |= _options(registry.find(kind, name), prefix, place.section.name_key, fields)
            choices.append({"$ref": f"#/$defs/{prefix}"})
    found[kind.__name__] = {"anyOf": choices} if choices else {"type": ["object", "string"]}
    return found


def _options(component: type[Component[Any]], prefix: str, name_key: str, fields: Schema) -> Schema:
    """The mapping, named `prefix`, that chooses one component, and the definitions it uses."""
    schema = component.Config.model_json_schema(ref_template=f"#/$defs/{prefix}.{{model}}")
    inner = schema.pop("$defs", {})
    name = {name_key: {"const": component.name, "description": _summary(component)}}
    schema["properties"] = fields["properties"] | name | schema.get("properties", {})
    schema["required"] = fields.get("required", [])  # a parent file may set the options
    schema["description"] = _summary(component)
    return {prefix: schema, **{f"{prefix}.{name}": model for name, model in inner.items()}}


def _summary(component: type[Component[Any]]) -> str:
    """What the component is, from its docstring and citation."""
    first = (component.__doc__ or component.name).strip().splitlines()[0]
    paper = getattr(component, "paper", "")
    return f"{first} {paper}".strip()
