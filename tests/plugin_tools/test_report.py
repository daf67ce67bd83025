import pytest
from plugin_tools.sound import OutOfRange, Sound, UnknownAverage

from ganforge.api import ComponentOptions
from ganforge.errors import PluginContractError, PluginNotFound
from ganforge.plugin_tools import report
from ganforge.registry.plugins import Plugin, get_registry


@pytest.mark.parametrize("name", ["sound", "made-up", "made_up"])
def test_components_are_found_by_component_plugin_or_distribution(case_of, name):
    case_of(Sound)

    assert list(report.find_components(name, get_registry()).values()) == [[Sound]]


def test_components_of_an_unknown_name_list_near_ones():
    with pytest.raises(PluginNotFound, match=r"called 'dcgn'\. Did you mean 'dcgan'.*pip install"):
        report.find_components("dcgn", get_registry())


def test_report_of_a_broken_architecture_names_check_and_fault(case_of, monkeypatch):
    monkeypatch.setattr(report, "compare_ranks", lambda names: {"out_of_range": "differs"})
    monkeypatch.setattr(report, "check_documented", lambda name, plugin: "no docs in this test")
    case_of(OutOfRange)

    outcomes = {(o.check, o.subject): o for o in report.check_plugin("out_of_range")}

    assert outcomes["output", "out_of_range"].status == "failed"
    assert outcomes["builds", "out_of_range"].status == "passed"
    assert outcomes["has a docs page", "out_of_range"].status == "skipped"
    assert outcomes["1 and 2 ranks agree", "out_of_range"].message == "differs"


def test_report_of_what_does_not_build_says_so_once(case_of, monkeypatch):
    case_of(UnknownAverage)
    monkeypatch.setattr(report, "compare_ranks", lambda names: {})
    monkeypatch.setattr(report, "check_documented", lambda name, plugin: "no docs in this test")
    outcomes = {outcome.check: outcome for outcome in report.check_plugin(UnknownAverage.name)}
    assert outcomes["builds"].status == "failed"
    assert outcomes["output"].status == outcomes["resume is exact"].status == "skipped"
    assert outcomes["output"].message == "it does not build"


def test_undescribed_option_is_found():
    class Silent(ComponentOptions):
        width: int = 4

    class SilentArchitecture(Sound):
        """It does not say what width is."""

        Config = Silent

    with pytest.raises(PluginContractError, match=r"no description: width\. Use Field"):
        report.check_described(SilentArchitecture)


def test_missing_docstring_is_found():
    class Mute(Sound):
        pass

    Mute.__doc__ = None

    with pytest.raises(PluginContractError, match=r"Mute has no docstring\. Say in one line"):
        report.check_described(Mute)


def test_import_of_a_private_module_is_found(tmp_path, monkeypatch):
    (tmp_path / "nosy_plugin.py").write_text("import torch\nfrom ganforge.training import step\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(
        PluginContractError, match=r"nosy_plugin\.py:2 imports ganforge\.training.*ganforge\.api"
    ):
        report.check_imports(Plugin("nosy", "nosy_plugin", "nosy", "1"))


def test_missing_docs_page_is_found():
    built_in, third_party = Plugin("x", "x", "ganforge", "1"), Plugin("x", "x", "pluggy", "1")

    with pytest.raises(PluginContractError, match=r"docs/architectures/nothing\.md is missing"):
        report.check_documented("nothing", built_in)
    with pytest.raises(PluginContractError, match=r"README of pluggy does not mention 'n0thing'"):
        report.check_documented("n0thing", third_party)
