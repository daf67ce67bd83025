"""Stages that a signal interrupts end with one status and do nothing twice."""

import json
import multiprocessing
import os
import signal
from types import SimpleNamespace

import pytest
import torch
from tiny_runs import CYCLEGAN, TRAIN, write_noise, write_pipeline

from ganforge.data.prepare import spool_folder
from ganforge.data.prepare.spool import Spool
from ganforge.data.shards.index import load_index
from ganforge.errors import RunStopped
from ganforge.metrics import evaluation
from ganforge.metrics.features import gather_rows
from ganforge.pipeline.run import main, run_pipeline
from ganforge.pipeline.session import _runtime
from ganforge.pipeline.stages import publish
from ganforge.pipeline.stages.evaluate import read_records
from ganforge.training.signals import stop_signals


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Writes and runs stages of a translator of 8 pairs."""
    _runtime.cache_clear()
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a", "b")):
        write_noise(tmp_path / name, 8, 16, seed)
    write_pipeline(
        tmp_path, "run",
        data={"workers": 0, "source": {"name": "pairs", "source": "a", "target": "b"}},
        model=CYCLEGAN,
        train={**TRAIN, "total_kimg": 0.004, "batch_size": 2, "sample_grid": [1, 3]},
        evaluate={"metrics": ["psnr"], "num_images": 4},
    )  # fmt: skip
    return lambda *stages: run_pipeline("run.yaml", [f"stages=[{','.join(stages)}]"]).run_dir


def interrupt(function, call):
    """The function, which is interrupted in call number `call`, counted from 1."""
    calls = []

    def interrupted(*args, **kwargs):
        calls.append(args)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGUSR1)
        return function(*args, **kwargs)

    interrupted.calls = calls
    return interrupted


def test_interrupted_prepare_ends_with_the_status_of_a_stopped_run(tiny, tmp_path, monkeypatch):
    def append(spool, sample):
        # As Slurm does: to the worker processes too, which must not mind.
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR1)

    with monkeypatch.context() as patched:
        patched.setattr(Spool, "append", append)
        assert main(["run.yaml", "stages=[prepare,train]"]) == 75
    # The lock and the record of the launch, but nothing half written.
    names = {path.name for path in (tmp_path / "runs" / "run").iterdir()}
    assert not {name for name in names if "shards" in name} and "checkpoints" not in names
    launch = (tmp_path / "runs" / "run" / "launches.jsonl").read_text().splitlines()[-1]
    assert json.loads(launch)["outcome"] == "stopped"
    assert load_index(str(tiny("prepare") / "shards")).num_samples() == 8


def test_interrupted_prepare_goes_on_with_the_samples_that_are_encoded(tiny, monkeypatch):
    monkeypatch.setattr(spool_folder, "MIN_KEPT_BYTES", 0)
    append = interrupt(Spool.append, 4)
    monkeypatch.setattr(Spool, "append", append)
    with pytest.raises(RunStopped, match="during prepare"):
        tiny("prepare")
    assert load_index(str(tiny("prepare") / "shards")).num_samples() == 8
    assert [call[1].sample.key for call in append.calls] == [*"0123", *"34567"]


@pytest.mark.parametrize("is_stopped", [True, False])
def test_error_in_training_is_a_stop_only_after_a_signal(tiny, monkeypatch, caplog, is_stopped):
    def train(*given):
        if is_stopped:
            os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError("a compiler was ended\nby a signal")

    monkeypatch.setattr("ganforge.pipeline.stages.train.train", train)
    error = RunStopped if is_stopped else RuntimeError
    with pytest.raises(error, match="during train" if is_stopped else "a compiler"):
        tiny("prepare", "train")
    assert ("RuntimeError after the signal: a compiler was ended\n" in caplog.text) == is_stopped


def test_interrupted_evaluate_measures_only_what_is_missing(tiny, monkeypatch):
    run_dir = tiny("prepare", "train")
    measure = interrupt(evaluation.measure_pairs, 2)
    monkeypatch.setattr(evaluation, "measure_pairs", measure)
    with pytest.raises(RunStopped, match="during evaluate"):
        tiny("evaluate")
    assert read_records(run_dir) == []
    tiny("evaluate")
    assert [call[1].direction for call in measure.calls] == [
        "source_to_target",
        "target_to_source",
        "target_to_source",
    ]
    kept = {record.label: record.value for record in read_records(run_dir)}
    (run_dir / "metrics.jsonl").unlink()
    tiny("evaluate")  # all at one time
    assert {record.label: record.value for record in read_records(run_dir)} == kept
    assert len(measure.calls) == 5


def test_interrupted_evaluate_measures_again_with_other_settings(tiny, monkeypatch):
    tiny("prepare", "train")
    measure = interrupt(evaluation.measure_pairs, 2)
    monkeypatch.setattr(evaluation, "measure_pairs", measure)
    with pytest.raises(RunStopped):
        tiny("evaluate")
    run_pipeline("run.yaml", ["stages=[evaluate]", "evaluate.num_images=2"])
    assert len(measure.calls) == 4


def test_evaluation_ends_on_all_ranks_when_one_of_them_is_interrupted():
    other = torch.tensor([[1.0, 1.0]])  # a row of the other rank, which votes to stop
    runtime = SimpleNamespace(is_main=False, gather=lambda rows: torch.cat([rows, other]))
    with stop_signals, pytest.raises(RunStopped), stop_signals.together("evaluate"):
        gather_rows([{"x": torch.zeros(1, 1)}], 2, 1, runtime)


def test_interrupted_publish_pushes_without_a_second_export_and_only_once(tiny, monkeypatch):
    run_dir = tiny("prepare", "train")
    pushed, exported = [], []
    export = publish.export_model

    def push(folder, repo_id, private):
        pushed.append(repo_id)
        if len(pushed) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return SimpleNamespace(url=repo_id)

    monkeypatch.setattr(publish, "push_folder", push)
    monkeypatch.setattr(
        publish, "export_model", lambda *args, **kw: exported.append(1) or export(*args, **kw)
    )
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    command = ["run.yaml", "stages=[publish]", "publish.repo_id=me/model"]
    assert main(command) == 75
    assert (run_dir / "export" / "config.json").exists()
    assert main(command) == 0
    assert main(command) == 0
    assert len(exported) == 1 and len(pushed) == 2
    assert main([*command, "publish.repo_id=me/other"]) == 0
    assert pushed[-1] == "me/other"
