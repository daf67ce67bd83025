"""Every hook does what docs/hooks.md says."""

import inspect
import re
import types
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ganforge.api import hookimpl
from ganforge.cli import _group, main
from ganforge.interfaces.metric import FeatureExtractor, Metric
from ganforge.interfaces.objective import Augmentation
from ganforge.interfaces.stage import Stage
from ganforge.interfaces.text_encoder import TextEncoder
from ganforge.metrics import evaluation
from ganforge.plugin_tools.cases import cases_of, start, train_case
from ganforge.registry import hookspecs
from ganforge.registry.plugins import _HOOKS, Plugin, empty_registry, get_registry
from ganforge.training.tasks.periodic import CheckpointTask

HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("ganforge_"))
PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"


def provides(hook):
    """Register a module whose hook returns one new class; it must be found by its name."""
    kind = {name: kind for kind, name in _HOOKS.items()}[hook]
    component = type("Made", (kind,), {"name": "made_up", "__doc__": "Made up."})
    module = types.ModuleType("made_up")
    setattr(module, hook, hookimpl(lambda: [component]))
    registry = empty_registry()
    registry.register(module, Plugin("made", "made_up", "made-up", "1"))
    return registry.find(kind, "made_up") is component


def test_hook_ganforge_architectures():
    assert provides("ganforge_architectures")


def test_hook_ganforge_losses():
    assert provides("ganforge_losses")


def test_hook_ganforge_regularizers():
    assert provides("ganforge_regularizers")


def test_hook_ganforge_augmentations():
    assert provides("ganforge_augmentations")
    assert get_registry().names(Augmentation)


def test_hook_ganforge_metrics():
    assert provides("ganforge_metrics")
    assert "fid" in get_registry().names(Metric)


def test_hook_ganforge_feature_extractors():
    assert provides("ganforge_feature_extractors")
    assert "inception_v3" in get_registry().names(FeatureExtractor)


def test_hook_ganforge_sources():
    assert provides("ganforge_sources")


def test_hook_ganforge_text_encoders():
    assert provides("ganforge_text_encoders")
    assert "hashed-words" in get_registry().names(TextEncoder)


def test_hook_ganforge_stages():
    assert provides("ganforge_stages")
    assert {"prepare", "train", "evaluate", "publish"} <= set(get_registry().names(Stage))


def test_hook_ganforge_commands(monkeypatch):
    @click.command()
    def greet():
        """Say hello."""
        click.echo("hello")

    monkeypatch.setattr(_group, "third_party_commands", lambda: {"greet": (greet, "made")})

    assert "greet" in CliRunner().invoke(main, ["--help"]).output
    assert CliRunner().invoke(main, ["greet"]).output == "hello\n"


@pytest.fixture
def told():
    """Collects what a plugin of this process is told; the plugin goes when the test ends."""
    calls = []
    module = types.ModuleType("listener")

    @hookimpl
    def ganforge_step_end(step, nimg):
        calls.append(("step", step, nimg))

    @hookimpl
    def ganforge_checkpoint_saved(path, nimg):
        calls.append(("checkpoint", path, nimg, (path / "manifest.json").exists()))

    @hookimpl
    def ganforge_metric_computed(record):
        calls.append(("metric", record["value"]))

    for hook in (ganforge_step_end, ganforge_checkpoint_saved, ganforge_metric_computed):
        setattr(module, hook.__name__, hook)
    manager = get_registry().manager
    manager.register(module, "listener")
    yield calls
    manager.unregister(module)


def test_hook_ganforge_step_end(told):
    case = cases_of("dcgan")[0]

    train_case(case, start(case, 2))

    assert told == [("step", 1, 4), ("step", 2, 8)]


def test_hook_ganforge_checkpoint_saved(told, tmp_path):
    run = start(cases_of("dcgan")[0])

    CheckpointTask(tmp_path).run(run)

    assert told == [("checkpoint", tmp_path / "nimg-000000000", 0, True)]


def test_hook_ganforge_metric_computed(told):
    record = types.SimpleNamespace(model_dump=lambda mode: {"value": 3.5})

    evaluation._announce([record])

    assert told == [("metric", 3.5)]


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test(hook):
    assert f"test_hook_{hook}" in globals()


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_its_exact_signature(hook):
    signature = str(inspect.signature(getattr(hookspecs, hook)))
    plain = re.sub(r"\b(?!click)[a-z_]+\.(?:[a-z_]+\.)*(?=[A-Z])", "", signature)
    plain = plain.replace("click.core.", "click.")
    section = PAGE.read_text().partition(f"### {hook}\n")[2].partition("\n### ")[0]

    assert f"{hook}{plain}" in section


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_docstring(hook):
    assert inspect.getdoc(getattr(hookspecs, hook))


def test_hooks_page_has_no_hook_that_does_not_exist():
    assert set(re.findall(r"^### (ganforge_\w+)$", PAGE.read_text(), re.MULTILINE)) == set(HOOKS)
