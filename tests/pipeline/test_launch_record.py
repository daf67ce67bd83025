import json
import os
from types import SimpleNamespace

import pytest
import yaml
from report.runs import write_run

from ganforge.config.load import load_pipeline
from ganforge.errors import ConfigError, RunStopped
from ganforge.interfaces.stage import RunContext
from ganforge.pipeline import launch_record
from ganforge.pipeline.launch_record import recorded_launch
from ganforge.report.run_folder import read_run
from ganforge.report.status import status_of


@pytest.fixture
def context(tmp_path, monkeypatch):
    """A run of the quickstart with another length, on the main rank of one."""
    device = SimpleNamespace(type="cpu")
    runtime = SimpleNamespace(is_main=True, device=device, world_size=1, precision="fp32")
    monkeypatch.setattr(launch_record, "runtime_of", lambda context: runtime)
    config = load_pipeline("quickstart", ["train.total_kimg=7"])
    return RunContext(config, write_run(tmp_path / "run"), None)


def launches(context):
    lines = (context.run_dir / "launches.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_launch_records_the_command_the_recipe_and_the_machine(context):
    with recorded_launch(context, "quickstart", ["train.total_kimg=7"]):
        assert len(launches(context)) == 1
    start, end = launches(context)
    assert (start["pipeline"], start["overrides"]) == ("quickstart", ["train.total_kimg=7"])
    assert (start["recipe"], start["changes"]) == (
        "quickstart", ["train.total_kimg: 120.0 -> 7.0"],
    )  # fmt: skip
    assert start["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert {"ganforge", "python", "torch"} <= set(start["versions"])
    assert end["outcome"] == "finished"


def test_launch_writes_the_report_of_the_ended_run(context):
    with recorded_launch(context, "quickstart", []):
        assert not (context.run_dir / "report.html").exists()
    assert '<span class="state finished">' in (context.run_dir / "report.html").read_text()


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RunStopped("a signal"), "stopped"),
        (KeyboardInterrupt(), "stopped"),
        (ConfigError("no such file"), "failed"),
        (ValueError(), "failed"),
    ],
)
def test_launch_that_ends_by_an_error_records_it_and_raises_it(context, error, outcome):
    with pytest.raises(type(error)), recorded_launch(context, "quickstart", []):
        raise error
    found = status_of(read_run(context.run_dir))
    assert (found.state, found.detail) == (outcome, str(error) or type(error).__name__)


@pytest.mark.parametrize("fault", [OSError(28, "No space left"), KeyError("a fault of ours")])
def test_launch_without_a_report_warns_and_does_not_hide_an_error(
    context, monkeypatch, caplog, fault
):
    def fail(*arguments):
        raise fault

    monkeypatch.setattr(launch_record, "write_report", fail)
    with pytest.raises(ConfigError, match="first"), recorded_launch(context, "quickstart", []):
        raise ConfigError("first")
    assert f"There is no report of this run: {fault}" in caplog.text


def test_launch_on_another_rank_writes_nothing(context, monkeypatch):
    monkeypatch.setattr(launch_record, "runtime_of", lambda context: SimpleNamespace(is_main=False))
    with recorded_launch(context, "quickstart", []):
        pass
    assert not (context.run_dir / "launches.jsonl").exists()


def test_launch_of_a_file_that_extends_another_names_that_as_the_recipe(context, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"extends": "quickstart", "train": {"total_kimg": 7}}))
    with recorded_launch(context, str(file), []):
        pass
    start = launches(context)[0]
    assert (start["pipeline"], start["recipe"]) == (str(file), "quickstart")
    assert start["changes"] == ["train.total_kimg: 120.0 -> 7.0"]


def test_launch_of_a_file_that_extends_an_unfinished_one_has_no_recipe(context, tmp_path):
    (tmp_path / "part.yaml").write_text("train: {total_kimg: 3}\n")
    file = tmp_path / "mine.yaml"
    file.write_text("extends: part.yaml\nname: mine\n")
    with recorded_launch(context, str(file), []):
        pass
    assert "recipe" not in launches(context)[0]
