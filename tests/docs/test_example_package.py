"""A third-party package made of the examples, one file for each kind of plugin: installed, used."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from metrics.inception import random_inception_weights
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PLUGINS = ("lecam", "coverage", "stripes", "summary", "log_pictures", "posterize")
PROJECT = """
[build-system]
requires = ["hatchling>=1.25"]
build-backend = "hatchling.build"

[project]
name = "ganforge-examples"
version = "1.0.0"

[tool.hatch.build.targets.wheel]
packages = ["ganforge_examples"]

[project.entry-points.ganforge]
"""
PIPELINE = """
name: stripes
run_dir: run
stages: [prepare, train, summary, evaluate]
data: {source: {name: stripes, count: 64}, channels: 1}
model: {architecture: vanilla, z_dim: 4, generator_widths: [16], discriminator_units: [8]}
loss: {name: hinge, terms: [{name: lecam, weight: 0.1}]}
train: {total_kimg: 0.064, batch_size: 16, precision: fp32, compile: false, log_every_kimg: 0.032}
evaluate: {metrics: [coverage], num_images: 32}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A clean folder into which the package has been installed."""
    target, source = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("source")
    entries = "".join(f'example_{name} = "ganforge_examples.{name}"\n' for name in PLUGINS)
    (source / "pyproject.toml").write_text(PROJECT + entries)
    (source / "ganforge_examples").mkdir()
    (source / "ganforge_examples" / "__init__.py").touch()
    for name in PLUGINS:
        code = (
            (EXAMPLES / f"{name}.py").read_text().replace("EVERY_KIMG = 50", "EVERY_KIMG = 0.032")
        )
        (source / "ganforge_examples" / f"{name}.py").write_text(code)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    pip += ["--no-index", "--disable-pip-version-check", "--target", str(target)]
    subprocess.run([*pip, str(source)], check=True, cwd=target)
    return target


@pytest.fixture(scope="module")
def run(site, tmp_path_factory):
    """The run directory of a pipeline that uses every plugin of the package."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "stripes.yaml").write_text(PIPELINE)
    weights = folder / "inception.pth"
    random_inception_weights(weights)
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "ganforge.run", "stripes.yaml"]
    command += [f"evaluate.extractor={{name: inception_v3, weights: {weights}, sha256: null}}"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "run"


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_objective_term_of_a_package_trains_and_is_logged(run):
    logged = [r for r in records(run / "log.jsonl") if "by" not in r]
    terms = [r["loss/discriminator/lecam"] for r in logged]
    assert len(terms) == 2 and all(term > 0 for term in terms)


def test_objective_terms_state_is_in_the_checkpoint(run):
    (checkpoint,) = (run / "checkpoints").iterdir()
    state = load_file(checkpoint / "modules.safetensors")
    assert state["term.0.lecam/real_mean"].abs() > 0


def test_metric_of_a_package_works_on_the_default_extractor(run):
    (record,) = records(run / "metrics.jsonl")
    assert (record["metric"], record["name"]) == ("coverage", "coverage")
    assert 0 <= record["value"] <= 1 and record["n_gen"] == 32


def test_stage_of_a_package_knows_the_components_of_the_run(run):
    assert (run / "summary.txt").read_text() == "vanilla: hinge, lecam\n"


def test_event_plugin_of_a_package_logs_pictures(run):
    events = EventAccumulator(str(run / "tensorboard" / "stripes"), {"images": 0, "tensors": 0})
    events.Reload()
    assert [e.step for e in events.Images("fixed seeds")] == [32, 64]


def test_source_of_a_package_gives_the_data_and_its_classes(run):
    index = json.loads((run / "shards" / "index.json").read_text())
    assert index["spec"]["class_names"] == ["horizontal", "vertical"]
    assert sum(index["class_counts"]) == 64


def test_derivation_of_a_package_keeps_its_contract(site):
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "ganforge", "plugins", "check", "posterize", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    outcomes = {outcome["check"]: outcome["status"] for outcome in json.loads(done.stdout)}
    assert outcomes == {
        "imports only the public API": "passed",
        "is described": "passed",
        "keeps its contract": "passed",
    }
