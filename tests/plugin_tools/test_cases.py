import pytest
from plugin_tools.sound import Sound

from ganforge.api import ConfigError
from ganforge.errors import PluginContractError
from ganforge.plugin_tools.cases import cases_of


def test_cases_cover_with_and_without_conditions(case_of):
    case_of(Sound)

    assert [case.label for case in cases_of("sound")] == ["sound", "sound+label"]
    assert [case.spec.num_classes for case in cases_of("sound")] == [0, 3]


def test_case_of_an_architecture_that_fits_nothing_shows_its_refusal(case_of):
    class Picky(Sound):
        name = "picky"

        def check(self, objective):
            raise ConfigError("Never.")

    with pytest.raises(
        PluginContractError, match=r"'picky' accepts no square.*Never\. Give it `example_options`"
    ):
        case_of(Picky)
