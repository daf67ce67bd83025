"""The evaluate stage of translators: the reference, and what is refused before training."""

import json
from pathlib import Path

import pytest
from tiny_runs import CYCLEGAN, TRAIN, write_noise, write_pipeline

from ganforge.config.load import load_pipeline
from ganforge.data.shards.index import load_index
from ganforge.errors import GanforgeError, MetricError
from ganforge.interfaces.stage import RunContext
from ganforge.pipeline.run import run_pipeline
from ganforge.pipeline.session import _runtime, reference_location
from ganforge.pipeline.stages.evaluate import Evaluate, read_records
from ganforge.registry.components import resolve
from ganforge.registry.plugins import get_registry

PAIRS = {"name": "pairs", "source": "a", "target": "b"}
UNPAIRED = {**PAIRS, "name": "unpaired"}
TRAIN_BRIEFLY = {**TRAIN, "total_kimg": 0.004, "batch_size": 2, "sample_grid": [1, 3]}


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The current folder, with 6 images in each of `a` and `b`."""
    _runtime.cache_clear()
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a", "b")):
        write_noise(tmp_path / name, 6, 16, seed)
    return tmp_path


def write(folder, data, model=CYCLEGAN, **sections):
    pipeline = {
        "stages": ["prepare", "train", "evaluate"],
        "data": {"workers": 0, **data}, "model": model, "train": TRAIN_BRIEFLY,
        "evaluate": {"metrics": ["psnr"], "num_images": 2}, **sections,
    }  # fmt: skip
    write_pipeline(folder, "run", **pipeline)
    return str(folder / "run.yaml")


def run(folder, data, *overrides, **sections):
    return run_pipeline(write(folder, data, **sections), overrides).run_dir


def context_of(folder, data, *overrides, **sections):
    config = load_pipeline(write(folder, data, **sections), overrides, get_registry().options_model)
    run_dir = Path(config.run_dir or folder / "runs" / "run")
    return RunContext(config, run_dir, resolve(config))


def test_evaluate_measures_every_direction_on_validation_data(folders):
    run_dir = run(folders, {"source": PAIRS, "validation": {"num_samples": 2}})
    records = read_records(run_dir)
    assert [(r.label, r.n_real) for r in records] == [
        ("psnr/source_to_target", 2),
        ("psnr/target_to_source", 2),
    ]
    held_out, training = (load_index(str(run_dir / name)) for name in ("validation", "shards"))
    assert {r.reference for r in records} == {held_out.digest} != {training.digest}


def test_evaluate_without_validation_data_measures_the_training_pairs(folders):
    run_dir = run(folders, {"source": PAIRS})
    records = read_records(run_dir)
    assert {(r.n_real, r.reference) for r in records} == {
        (6, load_index(str(run_dir / "shards")).digest)
    }


def test_evaluate_is_done_again_for_another_reference(folders):
    data = {"source": PAIRS, "validation": {"num_samples": 2}}
    run_dir = run(folders, data)
    again = context_of(folders, data)
    stage = Evaluate(Evaluate.Config())
    assert stage.is_done(again)
    assert not stage.is_done(context_of(folders, data, f"evaluate.reference={run_dir}/shards"))
    assert not stage.is_done(context_of(folders, {"source": PAIRS}))


def test_evaluate_of_a_run_that_was_moved_is_still_done(folders):
    data = {"source": PAIRS}
    run(folders, data)
    (folders / "runs" / "run").rename(folders / "moved")
    moved = context_of(folders, data, run_dir=str(folders / "moved"))
    assert Evaluate(Evaluate.Config()).is_done(moved)


def test_reference_is_the_named_one_then_validation_data_of_translators_then_training_data(folders):
    held_out = {"source": PAIRS, "validation": {"num_samples": 2}}
    runs = str(folders / "runs" / "run")
    assert reference_location(context_of(folders, held_out)) == f"{runs}/validation"
    assert reference_location(context_of(folders, {"source": PAIRS})) == f"{runs}/shards"
    named = context_of(folders, held_out, "evaluate.reference=elsewhere")
    assert reference_location(named) == "elsewhere"
    noise = {"architecture": "dcgan"}
    assert reference_location(context_of(folders, held_out, model=noise)) == f"{runs}/shards"


def refused(folder, match, data, **sections):
    with pytest.raises(GanforgeError, match=match):
        run(folder, data, **sections)
    assert not list(folder.glob("runs/*/samples"))


def test_unpaired_data_are_refused_for_psnr_before_training(folders):
    refused(folders, "'psnr' compares each translation.*is unpaired", {"source": UNPAIRED})
    assert (folders / "runs" / "run" / "shards" / "index.json").exists()


@pytest.mark.parametrize("during_training", [False, True])
@pytest.mark.parametrize("prepared", [False, True])
def test_extractor_that_does_not_take_the_images_is_refused_without_a_resolution(
    folders, prepared, during_training
):
    sections = {"evaluate": {"metrics": ["fid"], "extractor": "fashion_mnist", "num_images": 2}}
    data = {"source": PAIRS}
    if prepared:
        run(folders, data, stages=["prepare"])
        data = {"shards": str(folders / "runs" / "run" / "shards")}
    if during_training:
        sections["evaluate"]["every_kimg"] = 0.002
        sections["stages"] = ["prepare", "train"]
    refused(folders, "fashion_mnist.*28 or 32", data, **sections)


@pytest.mark.parametrize(
    ("metric", "fault"),
    [
        ("dtssd", "'dtssd' compares clips, but 'target'"),
        ({"name": "kid", "extractor": "fashion_mnist"}, "'kid' has .* images and needs at least"),
    ],
)
def test_metric_that_the_data_cannot_give_is_refused_before_training(folders, metric, fault):
    sections = {"evaluate": {"metrics": [metric], "num_images": 2}}
    refused(folders, fault, {"source": PAIRS}, **sections)


def test_label_maps_as_outputs_are_refused_before_preparing(folders):
    data = {"source": PAIRS, "fields": {"source": {"kind": "labels"}}}
    with pytest.raises(MetricError, match="'psnr' compares images, but .* label maps"):
        run(folders, data)
    assert not (folders / "runs").exists()


def test_plan_names_the_extractors_of_metrics_of_features_only(folders):
    evaluate = {"metrics": ["psnr", "fid", {"name": "fid", "extractor": "timm"}], "num_images": 9}
    context = context_of(folders, {"source": PAIRS}, evaluate=evaluate)
    plan = Evaluate(Evaluate.Config()).plan(context)
    assert plan == "measure psnr, fid (inception_v3), fid (timm) on at most 9 images"


def test_records_of_a_run_are_in_its_log_of_metrics(folders):
    run_dir = run(folders, {"source": PAIRS}, "evaluate.metrics=[psnr,ssim]")
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == ["psnr", "ssim"] * 2
    assert all(line["num_frames"] == 1 for line in lines)
