from typing import Annotated

import pytest
from pydantic import BaseModel

from ganforge.config.choices import Chooses, ComponentChoice, ComponentSection, models_in, places
from ganforge.config.models import PLACES, PipelineConfig


class Part(ComponentChoice):
    piece: Annotated[ComponentChoice | None, Chooses("piece")] = None


class Inner(ComponentSection):
    name_key = "called"

    called: str = "default"
    parts: Annotated[tuple[Part, ...], Chooses("part")] = ()


class Section(BaseModel):
    inner: Annotated[Inner | None, Chooses("inner")] = None
    names: Annotated[tuple[str, ...], Chooses("name")] = ()
    plain: ComponentChoice | None = None


class Root(BaseModel):
    section: Section = Section()


def test_places_finds_marked_fields_with_outer_ones_first():
    found = list(places(Root))

    assert [(p.kind, ".".join(p.pattern), p.field, p.name_key) for p in found] == [
        ("inner", "section.inner", "inner", "called"),
        ("part", "section.inner.parts.*", "parts", "name"),
        ("piece", "section.inner.parts.*.piece", "piece", "name"),
        ("name", "section.names.*", "names", None),
    ]
    assert [p.owner for p in found] == [Section, Inner, Part, Section]
    assert [p.is_list for p in found] == [False, True, False, True]


def test_chosen_in_gives_path_name_and_options_of_each():
    parts = ["p", {"name": "q", "y": 2, "piece": "r"}]
    config = Root(
        section={"inner": {"called": "a", "x": 1, "parts": parts}, "names": ("n",)},
    )
    chosen = [choice for place in places(Root) for choice in place.chosen_in(config)]

    assert chosen == [
        (("section", "inner"), "a", {"x": 1}),
        (("section", "inner", "parts", 0), "p", {}),
        (("section", "inner", "parts", 1), "q", {"y": 2}),
        (("section", "inner", "parts", 1, "piece"), "r", {}),
        (("section", "names", 0), "n", {}),
    ]
    assert [path for place in places(Root) for path, *_ in place.chosen_in(Root())] == []


def test_every_field_of_the_pipeline_file_that_chooses_a_component_is_marked():
    """A forgotten mark would keep another component's options and skip validation."""
    marked = {(place.owner, place.field) for place in PLACES}

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
