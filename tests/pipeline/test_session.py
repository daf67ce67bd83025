"""The session sets up the machine as the pipeline file says, and logs what it did."""

import pytest
import torch
from training.toy import toy_config

from ganforge.interfaces.stage import RunContext
from ganforge.pipeline import session
from ganforge.pipeline.session import checkpoints_dir, runtime_of, shards_location
from ganforge.registry.components import resolve


def context_of(config, run_dir):
    return RunContext(config, run_dir, resolve(config))


@pytest.fixture
def heap_calls(monkeypatch):
    """Counts set-ups of the heap, which would outlive the test."""
    calls = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(session, "keep_heap", lambda: calls.append(1) or True)
    session._runtime.cache_clear()
    yield calls
    session._runtime.cache_clear()


def test_cpu_optimizations_auto_are_on_and_logged_in_one_line(tmp_path, caplog, heap_calls):
    caplog.set_level("INFO")
    context = context_of(toy_config(), tmp_path)
    assert runtime_of(context) is runtime_of(context)
    assert runtime_of(context).cpu_kernels is not None
    assert heap_calls == [1]
    (line,) = [m for m in caplog.messages if m.startswith("CPU optimizations")]
    assert "batch_norm" in line and "huge pages" in line
    assert "(train.cpu_optimizations: off disables them)" in line


@pytest.mark.parametrize("choice", ["off", False])  # YAML 1.1 reads `off` as false
def test_cpu_optimizations_off_leaves_torch_and_the_heap_alone(
    tmp_path, caplog, heap_calls, choice
):
    caplog.set_level("INFO")
    config = toy_config({"cpu_optimizations": choice})
    runtime = runtime_of(context_of(config, tmp_path))
    assert runtime.cpu_kernels is None and heap_calls == []
    with runtime.training_forward():
        assert torch.overrides._get_current_function_mode_stack() == []
    assert "CPU optimizations: off." in caplog.messages


@pytest.mark.parametrize(("choice", "expected"), [(3, 3), ("auto", 5)])
def test_a_run_has_the_threads_that_the_file_names_or_one_for_each_core(
    tmp_path, heap_calls, monkeypatch, choice, expected
):
    chosen = []
    monkeypatch.delenv("GANFORGE_NUM_THREADS")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(5)))
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    runtime_of(context_of(toy_config({"cpu_threads": choice}), tmp_path))
    assert chosen == [expected]


def test_places_lie_in_the_run_directory_unless_shards_are_given(tmp_path):
    context = context_of(toy_config(), tmp_path)
    assert checkpoints_dir(context) == tmp_path / "checkpoints"
    assert shards_location(context) == str(tmp_path / "shards")
    given = context_of(toy_config(data={"shards": "s3://bucket"}), tmp_path)
    assert shards_location(given) == "s3://bucket"
