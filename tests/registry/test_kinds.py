import typing

import pytest

from ganforge import api
from ganforge.config.models import PLACES
from ganforge.interfaces.component import Component
from ganforge.registry import hookspecs
from ganforge.registry.kinds import KINDS


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_kind_names_its_base_class(kind):
    assert issubclass(kind.base, Component)
    assert kind.base.kind == kind.words


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_kind_is_provided_by_a_hook_that_returns_its_classes(kind):
    hook = getattr(hookspecs, kind.hook)

    returned = typing.get_type_hints(hook, localns={"Any": typing.Any, **public_names()})["return"]

    base = typing.get_args(typing.get_args(returned)[0])[0]
    assert typing.get_origin(base) is kind.base


def test_every_kind_is_chosen_somewhere_in_the_pipeline_file():
    assert {place.kind for place in PLACES} == set(KINDS)


def public_names():
    """What the signatures of the hooks name, which only type checkers import there."""
    return {name: getattr(api, name) for name in dir(api)}
