import types
from importlib.metadata import EntryPoint

import pytest

from ganforge.api import (
    AdversarialLoss,
    Architecture,
    ComponentOptions,
    ConfigError,
    Field,
    hookimpl,
)
from ganforge.errors import PluginConflict, PluginContractError, PluginError, PluginNotFound
from ganforge.interfaces.objective import Regularizer
from ganforge.interfaces.source import Source
from ganforge.interfaces.stage import Stage
from ganforge.registry import plugins as registry_module
from ganforge.registry.plugins import GROUP, Plugin, empty_registry, get_registry, load_plugins


class FlatConfig(ComponentOptions):
    slope: float = Field(1.0, gt=0, description="Slope.")


class Flat(AdversarialLoss[FlatConfig]):
    """A loss for these tests."""

    name, Config = "flat", FlatConfig

    def discriminator(self, real_logits, gen_logits):
        return gen_logits.mean() - real_logits.mean()

    def generator(self, gen_logits, real_logits=None):
        return -gen_logits.mean()


class OtherFlat(Flat):
    """Another class of the same name."""


class Nameless(AdversarialLoss[FlatConfig]):
    """A loss without a name."""


def module_of(**hooks):
    """A plugin module with marked hook implementations."""
    module = types.ModuleType("made_up")
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    return module


def plugin_of(name, distribution="made-up"):
    return Plugin(name, f"module_of_{name}", distribution, "1.2")


class Distribution:
    def __init__(self, name):
        self.name, self.version = name, "1.2"


class FakeEntry:
    """An installed entry point whose module is made up."""

    def __init__(self, name, distribution, module):
        self.name, self.value, self._module = name, f"module_of_{distribution}", module
        self.dist = Distribution(distribution)

    def load(self):
        if isinstance(self._module, BaseException):
            raise self._module
        return self._module


# Loading ---------------------------------------------------------------------------------------


def test_load_two_distributions_with_one_entry_point_name_conflict():
    entries = [FakeEntry("nice", "one", module_of()), FakeEntry("nice", "two", module_of())]

    with pytest.raises(
        PluginConflict,
        match=r"named 'nice': one \(module_of_one\) and two \(module_of_two\)\. Uninstall one",
    ):
        load_plugins(empty_registry(), entries)


def test_load_one_distribution_found_twice_is_loaded_once():
    entry = FakeEntry("nice", "one", module_of(ganforge_losses=lambda: [Flat]))
    registry = empty_registry()

    load_plugins(registry, [entry, FakeEntry("nice", "one", entry.load())])

    assert registry.names(AdversarialLoss) == ["flat"]


def test_names_of_two_plugins_with_one_component_name_conflict():
    entries = [
        FakeEntry("a", "one", module_of(ganforge_losses=lambda: [Flat])),
        FakeEntry("b", "two", module_of(ganforge_losses=lambda: [OtherFlat])),
    ]
    registry = empty_registry()
    load_plugins(registry, entries)

    with pytest.raises(
        PluginConflict, match=r"the loss 'flat': 'a' \(one\) and 'b' \(two\)\. Uninstall one"
    ):
        registry.names(AdversarialLoss)


def test_load_same_name_in_another_kind_is_no_conflict():
    class FlatSource(Source[ComponentOptions]):
        """A source named like a loss."""

        name = "flat"

        def samples(self, stream="main"):
            return iter(())

    registry = empty_registry()
    hooks = {"ganforge_losses": lambda: [Flat], "ganforge_sources": lambda: [FlatSource]}
    load_plugins(registry, [FakeEntry("a", "one", module_of(**hooks))])

    assert registry.find(Source, "flat") is FlatSource
    assert registry.find(AdversarialLoss, "flat") is Flat


def test_load_failing_import_names_plugin_and_distribution():
    entry = FakeEntry("broken", "ganforge-broken", ImportError("no module named numpyy"))

    with pytest.raises(PluginError) as caught:
        load_plugins(empty_registry(), [entry])

    message = str(caught.value)
    assert "Plugin 'broken' (ganforge-broken 1.2, module module_of_ganforge-broken)" in message
    assert "ImportError: no module named numpyy. Fix or uninstall ganforge-broken." in message
    assert isinstance(caught.value.__cause__, ImportError)


def test_load_plugin_that_ends_the_process_is_named():
    entry = FakeEntry("ends", "ganforge-ends", SystemExit(3))

    with pytest.raises(PluginError, match=r"Plugin 'ends' .* cannot be imported: SystemExit: 3"):
        load_plugins(empty_registry(), [entry])


def test_load_missing_module_of_a_real_entry_point_is_named():
    entry = EntryPoint("gone", "ganforge_no_such_module", GROUP)

    with pytest.raises(PluginError, match=r"Plugin 'gone' .* cannot be imported"):
        load_plugins(empty_registry(), [entry])


def test_load_installed_plugins_includes_every_built_in_entry_point():
    names = {entry.name for entry in registry_module.importlib.metadata.entry_points(group=GROUP)}

    registry = empty_registry()  # other tests add to the one of this process
    load_plugins(registry)
    assert set(registry.plugins) == names


# Registering -----------------------------------------------------------------------------------


def test_register_hook_with_a_wrong_argument_names_hook_and_page():
    module = module_of(ganforge_step_end=lambda run, epoch: None)

    with pytest.raises(PluginContractError) as caught:
        empty_registry().register(module, plugin_of("odd"))

    message = str(caught.value)
    assert "Plugin 'odd' (made-up 1.2) does not fit ganforge's hooks" in message
    assert "epoch" in message and "docs/hooks.md" in message


def test_register_unknown_hook_names_near_ones():
    module = module_of(ganforge_architecture=lambda: [])
    module.ganforge_architecture = hookimpl(types.FunctionType((lambda: []).__code__, {}))

    with pytest.raises(
        PluginContractError, match=r"unknown hook 'ganforge_architecture'.*'ganforge_architectures'"
    ):
        empty_registry().register(module, plugin_of("odd"))


def test_register_hook_without_mark_is_refused():
    module = types.ModuleType("made_up")
    exec("def ganforge_step_end(run): pass", module.__dict__)

    with pytest.raises(
        PluginContractError, match=r"'odd' defines ganforge_step_end .*Write @hookimpl above it"
    ):
        empty_registry().register(module, plugin_of("odd"))


# Looking up a kind ------------------------------------------------------------------------------


def losses_of(module):
    """The names of the losses of one plugin."""
    registry = empty_registry()
    registry.register(module, plugin_of("odd"))
    return registry.names(AdversarialLoss)


def test_register_calls_no_hook_before_its_kind_is_looked_up():
    called = []
    registry = empty_registry()
    hooks = {
        "ganforge_losses": lambda: called.append("losses") or [Flat],
        "ganforge_sources": lambda: called.append("sources") or [],
    }
    registry.register(module_of(**hooks), plugin_of("lazy"))
    before = list(called)

    registry.find(AdversarialLoss, "flat")
    registry.find(AdversarialLoss, "flat")

    assert (before, called) == ([], ["losses"])


def test_register_after_a_look_up_adds_the_new_components():
    registry = empty_registry()
    registry.register(module_of(ganforge_losses=lambda: [Flat]), plugin_of("first"))
    assert registry.names(AdversarialLoss) == ["flat"]
    other = type("Steep", (Flat,), {"name": "steep"})

    registry.register(module_of(ganforge_losses=lambda: [other]), plugin_of("second"))

    assert registry.names(AdversarialLoss) == ["flat", "steep"]


def test_names_of_component_without_a_name_is_refused():
    module = module_of(ganforge_losses=lambda: [Nameless])

    with pytest.raises(
        PluginContractError, match=r"Nameless of plugin 'odd' has no `name`\. Give it the name"
    ):
        losses_of(module)


@pytest.mark.parametrize("name", ["flat-loss", "Flat-Loss", "flat loss", "_flat_loss"])
def test_names_of_component_whose_name_is_not_snake_case_is_refused(name):
    loss = type("FlatLoss", (Flat,), {"name": name})

    with pytest.raises(PluginContractError) as caught:
        losses_of(module_of(ganforge_losses=lambda: [loss]))

    message = f"Plugin 'odd' provides the loss '{name}'. Names are in snake_case: write name = "
    assert str(caught.value) == f'{message}"flat_loss" in FlatLoss.'


@pytest.mark.parametrize("wrong", [Flat(FlatConfig()), int, "flat", Stage])
def test_names_of_component_of_another_kind_is_refused(wrong):
    module = module_of(ganforge_losses=lambda: [wrong])

    with pytest.raises(
        PluginContractError,
        match=r"'odd' returns .* from ganforge_losses; return subclasses of AdversarialLoss",
    ):
        losses_of(module)


@pytest.mark.parametrize("wrong", [None, Flat])
def test_names_of_hook_that_returns_no_list_is_refused(wrong):
    module = module_of(ganforge_losses=lambda: wrong)

    with pytest.raises(
        PluginContractError, match=r"ganforge_losses of plugin 'odd' returns .*return a list"
    ):
        losses_of(module)


def test_names_of_hook_that_raises_is_named():
    def fail():
        raise KeyError("weights")

    with pytest.raises(
        PluginError,
        match=r"ganforge_losses of plugin 'odd' \(made-up 1\.2\) raises KeyError.*uninstall made",
    ):
        losses_of(module_of(ganforge_losses=fail))


# Finding and building --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "near"),
    [
        (Architecture, "dcgn", "dcgan"),
        (AdversarialLoss, "hing", "hinge"),
        (Regularizer, "gradient_penality", "gradient_penalty"),
        (Stage, "trian", "train"),
    ],
)
def test_find_unknown_name_lists_near_ones(kind, name, near):
    with pytest.raises(PluginNotFound) as caught:
        get_registry().find(kind, name)

    message = str(caught.value)
    assert f"Unknown {kind.kind} '{name}'. Did you mean '{near}'" in message
    assert "pip install that plugin" in message


@pytest.mark.parametrize(
    ("kind", "name", "right"),
    [
        (AdversarialLoss, "least-squares", "least_squares"),
        (Regularizer, "Gradient-Penalty", "gradient_penalty"),
    ],
)
def test_find_name_with_hyphens_says_how_to_write_it(kind, name, right):
    with pytest.raises(PluginNotFound) as caught:
        get_registry().find(kind, name)

    assert str(caught.value) == f"Unknown {kind.kind} '{name}'. Write '{right}'."


def test_find_in_an_empty_registry_says_that_there_is_none():
    with pytest.raises(PluginNotFound, match=r"Unknown loss 'flat'\. None is available"):
        empty_registry().find(AdversarialLoss, "flat")


@pytest.fixture
def flat_registry():
    registry = empty_registry()
    registry.register(module_of(ganforge_losses=lambda: [Flat]), plugin_of("flat-plugin"))
    return registry


def test_build_gives_a_component_with_its_options(flat_registry):
    assert flat_registry.build(AdversarialLoss, "flat", {"slope": 2}, "loss").config.slope == 2.0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"slop": 2}, r"loss\.slop: unknown key 'slop'\. Did you mean 'slope'.*\(loss 'flat'\)"),
        ({"slope": -1}, r"loss\.slope: .*greater than 0 \(got -1\)"),
    ],
)
def test_build_with_a_wrong_option_names_where(flat_registry, options, expected):
    with pytest.raises(ConfigError, match=expected):
        flat_registry.build(AdversarialLoss, "flat", options, "loss")


def test_plugin_of_a_component_is_found(flat_registry):
    assert flat_registry.plugin_of(Flat).distribution == "made-up"
    assert flat_registry.components() == [Flat]


def test_plugin_of_a_stranger_is_refused(flat_registry):
    with pytest.raises(PluginNotFound, match=r"OtherFlat is not registered by any plugin"):
        flat_registry.plugin_of(OtherFlat)
