"""Every hook does what docs/hooks.md says."""

import contextlib
import inspect
import re
import types
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner
from training.toy import listening

from ganforge.api import hookimpl
from ganforge.cli import _group, main
from ganforge.interfaces.batch import Batch
from ganforge.interfaces.derivation import Derivation
from ganforge.interfaces.metric import FeatureExtractor, Metric
from ganforge.interfaces.objective import Augmentation
from ganforge.interfaces.stage import RunContext, Stage
from ganforge.interfaces.text_encoder import TextEncoder
from ganforge.pipeline.stages import evaluate
from ganforge.pipeline.stages import train as stage
from ganforge.plugin_tools.cases import cases_of, made_up_loader, start, train_case
from ganforge.registry import hookspecs
from ganforge.registry.components import resolve
from ganforge.registry.kinds import KINDS
from ganforge.registry.plugins import Plugin, empty_registry, get_registry
from ganforge.training.engine.meter import Meter
from ganforge.training.tasks.checkpoint import CheckpointTask
from ganforge.training.tasks.display import Display
from ganforge.training.tasks.health import HealthMonitor
from ganforge.training.tasks.json_lines import JsonLines
from ganforge.training.tasks.log import LogTask
from ganforge.training.tasks.pictures import FixedSamples
from ganforge.training.tasks.stop import BudgetTask

HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("ganforge_"))
PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"


def provides(hook):
    """Register a module whose hook returns one new class; it must be found by its name."""
    kind = next(kind.base for kind in KINDS.values() if kind.hook == hook)
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


def test_hook_ganforge_objective_terms():
    assert provides("ganforge_objective_terms")


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


def test_hook_ganforge_derivations():
    assert provides("ganforge_derivations")
    assert "edges" in get_registry().names(Derivation)


def test_hook_ganforge_text_encoders():
    assert provides("ganforge_text_encoders")
    assert "hashed_words" in get_registry().names(TextEncoder)


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
def run():
    return start(cases_of("dcgan")[0], 2)


@pytest.fixture
def called():
    """Records (step, other arguments) of one event; a plugin may leave out arguments."""
    with contextlib.ExitStack() as stack:

        def listen(hook):
            calls = []

            def with_path(run, path):
                calls.append((run.step, path, (path / "manifest.json").exists()))

            def with_record(run, record):
                calls.append((run.step, dict(record)))

            def alone(run):
                calls.append(run.step)

            takes = inspect.signature(getattr(hookspecs, hook)).parameters
            function = with_path if "path" in takes else with_record if "record" in takes else alone
            stack.enter_context(listening(**{hook: function}))
            return calls

        yield listen


def test_hook_ganforge_step_end(called, run):
    steps = called("ganforge_step_end")

    train_case(cases_of("dcgan")[0], run)

    assert steps == [1, 2]


def test_hook_ganforge_log(called, run, tmp_path):
    records = called("ganforge_log")
    monitor = HealthMonitor(run, torch.zeros(2, 1, 4, 4))
    lines = JsonLines(tmp_path / "log.jsonl")

    display, meter = Display(1, False), Meter(run.runtime)
    LogTask(meter, display, lines, monitor, BudgetTask(), 0).run(run)

    ((step, record),) = records
    assert step == 0 and record.items() <= lines.read()[0].items()
    assert record["lr/generator"] > 0


def test_hook_ganforge_checkpoint_saved(called, run, tmp_path):
    saved = called("ganforge_checkpoint_saved")

    task = CheckpointTask(tmp_path)
    task.save(run)
    assert saved == []
    task.finish(run)

    assert saved == [(0, tmp_path / "nimg-000000000", True)]


def test_hook_ganforge_metric_computed(called, run, tmp_path, monkeypatch):
    records = called("ganforge_metric_computed")
    record = types.SimpleNamespace(label="fid", value=3.5, model_dump=lambda mode: {"value": 3.5})
    monkeypatch.setattr(evaluate, "evaluate", lambda *args, **options: [record])
    monkeypatch.setattr(evaluate, "read_once", lambda runtime, place: contextlib.nullcontext())

    evaluate.evaluate_run(RunContext(run.config, tmp_path, resolve(run.config)), run)

    assert records == [(0, {"value": 3.5})]


def test_hook_ganforge_train_start(called, whole_run):
    steps = called("ganforge_train_start")

    whole_run()

    assert steps == [0]


def test_hook_ganforge_train_end(called, whole_run):
    steps = called("ganforge_train_end")

    whole_run()

    assert steps == [2]


@pytest.fixture
def whole_run(run, tmp_path, monkeypatch):
    """Runs the train stage on made-up data."""
    case = cases_of("dcgan")[0]
    fixed = Batch({"image": torch.zeros(64, run.spec.channels, run.spec.height, run.spec.width)})
    monkeypatch.setattr(stage, "open_run", lambda context, location: (run, ("image",)))
    monkeypatch.setattr(stage, "read_fixed_samples", lambda *args: FixedSamples(fixed))
    monkeypatch.setattr(stage, "training_features", lambda *args: None)
    monkeypatch.setattr(
        stage, "make_loader", lambda run, **kwargs: made_up_loader(case, 0, run.local_slots)
    )
    config = run.config.train.model_copy(update={"trackers": ()})
    run.config = run.config.model_copy(update={"train": config})
    monkeypatch.setattr(stage, "read_once", lambda runtime, place: contextlib.nullcontext())
    return lambda: stage.Train(stage.Train.Config()).run(
        RunContext(run.config, tmp_path, resolve(run.config))
    )


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test(hook):
    assert f"test_hook_{hook}" in globals()


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_its_exact_signature(hook):
    signature = str(inspect.signature(getattr(hookspecs, hook))).replace("'", "")
    section = PAGE.read_text().partition(f"### {hook}\n")[2].partition("\n### ")[0]

    assert f"{hook}{signature}" in section


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_docstring(hook):
    assert inspect.getdoc(getattr(hookspecs, hook))


def test_hooks_page_has_no_hook_that_does_not_exist():
    assert set(re.findall(r"^### (ganforge_\w+)$", PAGE.read_text(), re.MULTILINE)) == set(HOOKS)
