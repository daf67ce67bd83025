from typing import Annotated

import pytest
from pydantic import BaseModel

from ganforge.config.choices import Chooses, ComponentChoice, ComponentSection, models_in, places
from ganforge.config.models import PLACES, PipelineConfig


class Inner(ComponentSection):
    name_key = "called"

    called: str = "default"
    parts: Annotated[tuple[ComponentChoice, ...], Chooses("part")] = ()


class Section(BaseModel):
    inner: Annotated[Inner | None, Chooses("inner")] = None
    names: Annotated[tuple[str, ...], Chooses("name")] = ()
    plain: ComponentChoice | None = None


class Root(BaseModel):
    section: Section = Section()


def test_places_finds_marked_fields_with_outer_ones_first():
    found = list(places(Root))

    assert [(p.kind, ".".join(p.path), p.is_list, p.name_key) for p in found] == [
        ("inner", "section.inner", False, "called"),
        ("part", "section.inner.parts", True, "name"),
        ("name", "section.names", True, None),
    ]
    assert [p.owner for p in found] == [Section, Inner, Section]


def test_chosen_in_gives_path_name_and_options_of_each():
    config = Root(
        section={
            "inner": {"called": "a", "x": 1, "parts": ["p", {"name": "q", "y": 2}]},
            "names": ("n",),
        }
    )
    chosen = [choice for place in places(Root) for choice in place.chosen_in(config)]

    assert chosen == [
        (("section", "inner"), "a", {"x": 1}),
        (("section", "inner", "parts", 0), "p", {}),
        (("section", "inner", "parts", 1), "q", {"y": 2}),
        (("section", "names", 0), "n", {}),
    ]


def test_every_field_of_the_pipeline_file_that_chooses_a_component_is_marked():
    """A forgotten mark would keep another component's options and skip validation."""
    marked = {(place.owner, place.path[-1]) for place in PLACES}

    def unmarked(model):
        for name, field in model.model_fields.items():
            for inner in models_in(field.annotation):
                if issubclass(inner, ComponentSection) and (model, name) not in marked:
                    yield f"{model.__name__}.{name}"
                yield from unmarked(inner)

    assert list(unmarked(PipelineConfig)) == []


@pytest.mark.parametrize("value", ["r1", {"name": "r1"}])
def test_component_is_named_in_short_or_long_form(value):
    config = ComponentChoice.model_validate(value)

    assert (config.name, config.options) == ("r1", {})


def test_component_keeps_its_options_beside_the_name():
    assert ComponentChoice.model_validate({"name": "r1", "gamma": 1}).options == {"gamma": 1}
