import typing

from ganforge.config.models import PLACES
from ganforge.registry import hookspecs
from ganforge.registry.kinds import HOOKS, KINDS


def test_every_kind_has_its_own_word():
    assert list(KINDS.values()) == list(HOOKS)


def test_every_kind_is_provided_by_a_hook_that_returns_its_classes():
    for kind, hook in HOOKS.items():
        returned = typing.get_type_hints(getattr(hookspecs, hook))["return"]
        base = typing.get_args(typing.get_args(returned)[0])[0]
        assert typing.get_origin(base) is kind, hook


def test_every_kind_is_chosen_somewhere_in_the_pipeline_file():
    assert {place.kind for place in PLACES} == set(KINDS)
