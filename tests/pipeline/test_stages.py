"""Whole pipelines at tiny size, in one process, as `python -m ganforge.run` runs them."""

import json
import logging
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from PIL import Image

import ganforge
from ganforge.data.shards.index import DatasetIndex, load_index
from ganforge.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    GanforgeError,
    MetricError,
    PublishError,
)
from ganforge.interfaces.generation import GenerateRequest
from ganforge.pipeline.run import main, run_pipeline
from ganforge.pipeline.session import _runtime
from ganforge.pipeline.stages import evaluate as stage_of_evaluation
from ganforge.pipeline.stages.evaluate import read_records
from ganforge.pipeline.stages.train import open_run
from ganforge.pipeline.trained_model import load_trained
from ganforge.registry.plugins import get_registry

TINY = (
    "train.total_kimg=0.048",
    "train.batch_size=16",
    "train.sample_every_kimg=0.032",
    "train.log_every_kimg=0.016",
    "train.checkpoint_every_kimg=0.032",
    "train.sample_grid=[2,2]",
    "train.trackers=[]",
    "train.compile=false",
    "model.base_channels=4",
    "model.z_dim=8",
    "data.workers=0",
    "evaluate.metrics=[fid]",
    "evaluate.num_images=130",
    "evaluate.num_real=130",
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    _runtime.cache_clear()  # a run that failed in another test leaves its own
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """The quickstart's shards, prepared once."""
    folder = tmp_path_factory.mktemp("shards")
    context = run_pipeline("quickstart", [f"run_dir={folder}", "stages=[prepare]"])
    return context.run_dir / "shards"


def run(shards, *overrides, pipeline="quickstart"):
    settings = [f"data.shards={shards}", "data.source=null", *TINY, *overrides]
    return run_pipeline(pipeline, settings)


def test_pipeline_goes_from_images_to_a_generator_that_loads(here, shards):
    context = run(shards)
    folder = here / "runs" / "quickstart"
    assert context.run_dir.resolve() == folder
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == [
        "nimg-000000032",
        "nimg-000000048",
    ]
    pictures = sorted(p.name for p in (folder / "samples").glob("*.png"))
    assert pictures == ["nimg-000000032.png", "nimg-000000048.png", "real.png"]
    assert Image.open(folder / "samples" / "real.png").size == (64, 64)
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    log = [line for line in lines if "by" not in line]  # a slow machine adds some by time
    assert [entry["nimg"] for entry in log] == [16, 32, 48]
    assert {"loss/generator/adversarial", "img_per_sec", "data_wait_fraction", "memory_gb"} <= set(
        log[-1]
    )
    (record,) = read_records(folder)
    assert (record.metric, record.nimg, record.n_gen, record.n_real) == ("fid", 48, 130, 130)
    model = ganforge.from_pretrained(folder / "export")
    made = model.generate(seeds=[0, 1], output_type="pt")
    assert made.shape == (2, 1, 32, 32) and made.abs().max() <= 1
    ema = safetensors.torch.load_file(folder / "checkpoints/nimg-000000048/ema.safetensors")
    weights = safetensors.torch.load_file(folder / "export" / "model.safetensors")
    assert ema.keys() == weights.keys()
    assert all(torch.equal(ema[key], weights[key]) for key in ema)


def test_pipeline_run_again_skips_what_is_done(here, shards, caplog):
    run(shards)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        run(shards)
    done = [r.getMessage() for r in caplog.records if "already done" in r.getMessage()]
    assert [message.split()[1].rstrip(":") for message in done] == [
        "prepare",
        "train",
        "evaluate",
        "publish",
    ]
    assert len(read_records(here / "runs" / "quickstart")) == 1


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ("evaluate.num_real=20", {"evaluate", "publish"}),
        ("publish.license=mit", {"publish"}),
        ("description=Shirts", {"publish"}),
        ("train.standing_statistics={batches: 2, batch_size: 4}", {"evaluate", "publish"}),
        ("evaluate.batch_size=3", set()),
    ],
)
def test_pipeline_run_again_does_again_what_is_asked_otherwise(here, shards, caplog, change, again):
    run(shards)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        run(shards, change)
    done = {r.getMessage().split()[1] for r in caplog.records if "already" in r.getMessage()}
    assert {f"{stage}:" for stage in {"prepare", "train", "evaluate", "publish"} - again} == done
    if change == "publish.license=mit":
        card = (here / "runs" / "quickstart" / "export" / "README.md").read_text()
        assert "license: mit" in card


def test_pipeline_goes_on_after_a_record_of_metrics_that_was_cut_short(here, shards):
    run(shards)
    with (here / "runs" / "quickstart" / "metrics.jsonl").open("a") as file:
        file.write('{"metric": "fi')
    run(shards, "evaluate.seed=1")
    assert [r.seed for r in read_records(here / "runs" / "quickstart")] == [0, 1]


def test_pipeline_run_again_exports_again_where_the_weights_are_damaged(here, shards):
    run(shards)
    weights = here / "runs" / "quickstart" / "export" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    run(shards)
    assert weights.read_bytes() == whole


def test_pipeline_run_again_refuses_other_data_after_training(here, shards):
    run(shards, "stages=[train]")
    other = here / "other"
    shutil.copytree(shards, other)
    index = load_index(str(other))
    changed = {
        name: (shards[0].model_copy(update={"sha256": "0" * 64}), *shards[1:])
        for name, shards in index.streams.items()
    }
    rebuilt = DatasetIndex.build(index.image_spec, changed, index.fields, index.class_counts)
    (other / "index.json").write_text(rebuilt.to_json())
    with pytest.raises(CheckpointError, match="shards have changed since checkpoint.*nimg-0000000"):
        run(other, "stages=[train]")


def test_pipeline_run_again_after_training_needs_no_shards(here, shards):
    own = here / "own"
    shutil.copytree(shards, own)
    run(own, "stages=[train]")
    shutil.rmtree(own)
    run(own, "stages=[train, publish]")
    assert (here / "runs" / "quickstart" / "export").exists()


def test_pipeline_trains_longer_and_measures_again(here, shards):
    run(shards)
    run(shards, "train.total_kimg=0.064")
    assert [r.nimg for r in read_records(here / "runs" / "quickstart")] == [48, 64]


def test_pipeline_refuses_to_resume_with_another_model(here, shards):
    run(shards, "stages=[train]")
    with pytest.raises(CheckpointError, match="model.z_dim: 8 -> 9"):
        run(shards, "stages=[train]", "model.z_dim=9")


def test_pipeline_changes_its_precision_on_resume_only_when_told(here, shards, monkeypatch):
    monkeypatch.setattr("ganforge.training.runtime.has_bf16", lambda device: True)
    run(shards, "stages=[train]", "train.precision=auto")
    monkeypatch.setattr("ganforge.training.runtime.has_bf16", lambda device: False)
    longer = ("stages=[train]", "train.total_kimg=0.064")
    with pytest.raises(CheckpointError, match="trained in bf16, and train.precision=auto is fp32"):
        run(shards, *longer, "train.precision=auto")
    run(shards, *longer, "train.precision=fp32")
    assert (here / "runs" / "quickstart" / "checkpoints" / "nimg-000000064").exists()


def test_pipeline_ends_when_its_time_is_used_up_and_counts_as_done(here, shards, caplog):
    slow = ("train.total_kimg=100", "train.max_minutes=0.001", "stages=[train]")
    with caplog.at_level(logging.INFO):
        run(shards, *slow)
        run(shards, *slow)
    newest = max(p.name for p in (here / "runs" / "quickstart" / "checkpoints").iterdir())
    assert newest < "nimg-000010000"
    assert "max_minutes is used up" in caplog.text
    assert "Stage train: already done" in caplog.text


def test_tf32_is_for_training_alone_and_only_if_allowed(here, shards, monkeypatch):
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    seen, features = [], stage_of_evaluation.evaluate

    def look(*arguments, **options):
        seen.append(("evaluate", cudnn.allow_tf32, products.allow_tf32))
        return features(*arguments, **options)

    class Look:
        @get_hookimpl()
        def ganforge_step_end(self, run):
            seen.append(("train", cudnn.allow_tf32, products.allow_tf32, cudnn.benchmark))

    monkeypatch.setattr(stage_of_evaluation, "evaluate", look)
    plugin = Look()
    get_registry().manager.register(plugin)
    try:
        during = ("evaluate.every_kimg=0.016", "stages=[train]", "train.total_kimg=0.032")
        run(shards, *during, "run_dir=a")
        run(shards, *during, "run_dir=b", "train.tf32=true", "train.cudnn_benchmark=false")
    finally:
        get_registry().manager.unregister(plugin)
    assert list(dict.fromkeys(seen)) == [
        ("train", False, False, True), ("evaluate", False, False), ("train", True, True, False)
    ]  # fmt: skip
    assert seen[-1] == ("train", True, True, False) and seen[-2] == ("evaluate", False, False)


def test_pipeline_evaluates_during_training_after_the_checkpoint(here, shards):
    run(shards, "evaluate.every_kimg=0.032", "stages=[train]")
    assert [r.nimg for r in read_records(here / "runs" / "quickstart")] == [32]


STANDING = ("train.standing_statistics={batches: 2, batch_size: 8}",)


def test_pipeline_measures_and_exports_with_standing_statistics(here, shards):
    run(shards)
    context = run(shards, *STANDING)  # changes no weight, so the run is not trained again
    records = read_records(here / "runs" / "quickstart")
    assert [(r.nimg, r.num_standing) for r in records] == [(48, 0), (48, 16)]
    folder = here / "runs" / "quickstart"
    exported = safetensors.torch.load_file(folder / "export" / "model.safetensors")
    expected = load_trained(context, torch.device("cpu")).networks["generator"].state_dict()
    ema = safetensors.torch.load_file(folder / "checkpoints/nimg-000000048/ema.safetensors")
    for key, tensor in ema.items():
        assert torch.equal(exported[key], expected[key.removeprefix("generator.")]), key
        assert torch.equal(exported[key], tensor) == ("running" not in key), key


def test_pipeline_refuses_standing_statistics_without_batchnorm(here, shards):
    overrides = [f"data.shards={shards}", "data.source=null", *STANDING, "stages=[train]"]
    with pytest.raises(ConfigError, match="standing_statistics.*no BatchNorm"):
        run_pipeline("quick/r3gan_fashion_mnist", overrides)


def test_open_run_counts_the_classes_of_the_data(here, shards):
    settings = [f"data.shards={shards}", "data.source=null", "stages=[]", "train.trackers=[]"]
    context = run_pipeline("quick/biggan_fashion_mnist", settings)
    opened, _ = open_run(context, str(shards))
    assert opened.class_counts.tolist() == [1000.0] * 10
    assert opened.class_counts.dtype == torch.float32


def test_mismatched_pairs_are_trained_with_where_labels_are_optional(here, shards):
    run(shards, "loss.terms=[mismatched_pairs]", "stages=[train]")
    log = (here / "runs" / "quickstart" / "log.jsonl").read_text().splitlines()
    assert "loss/discriminator/mismatched_pairs" in json.loads(log[-1])


def test_pipeline_logs_to_tensorboard(here, shards):
    run(shards, "train.trackers=[tensorboard]", "stages=[train]")
    assert list((here / "runs" / "quickstart" / "tensorboard").glob("**/events*"))


def test_dry_run_prints_file_and_plan_and_writes_nothing(here, shards, capsys):
    settings = [f"data.shards={shards}", "data.source=null", *TINY]
    run_pipeline("quickstart", settings, dry_run=True)
    text = capsys.readouterr().out
    assert yaml.safe_load(text)["train"]["batch_size"] == 16
    assert "# train: train for 0.048 kimg: 3 steps of 16 images, at most 4.2 minutes\n" in text
    assert list(here.iterdir()) == []


def test_dry_run_prints_file_and_plan_before_a_check_that_fails(here, shards, capsys):
    forbidden = ["loss.regularizers=[gradient_penalty]", "model.discriminator_norm=batch"]
    settings = [f"data.shards={shards}", "data.source=null", *TINY, *forbidden]
    with pytest.raises(ConfigError, match="has BatchNorm"):
        run_pipeline("quickstart", settings, dry_run=True)
    text = capsys.readouterr().out
    assert yaml.safe_load(text)["train"]["batch_size"] == 16 and "# train: train for" in text


@pytest.mark.parametrize(
    ("overrides", "error", "parts"),
    [
        (["train.batch_size=15", "train.slots=2"], ConfigError, ["batch_size=15", "slots=2"]),
        (["train.total_kimg=.inf"], ConfigError, ["train.total_kimg", "a finite number (got inf)"]),
        (
            ["loss.regularizers=[{name: r1, gamma: .inf}]"],
            ConfigError,
            ["loss.regularizers", "gamma", "a finite number (got inf)"],
        ),
        (["data.resolution=0"], ConfigError, ["data.resolution", "1 to 16384 pixels (got 0)"]),
        (["train.sample_grid=[0,0]"], ConfigError, ["train.sample_grid", "1 to 256 each (got [0"]),
        (["train.precision=fp16"], ConfigError, ["fp16 needs a CUDA device", "bf16"]),
        (
            ["loss.regularizers=[gradient_penalty]", "model.discriminator_norm=batch"],
            ConfigError,
            ["BatchNorm", "norm: none"],
        ),
        (["data.resolution=30"], ConfigError, ["30x30", "nearest"]),
        (["data.resolution=64"], ConfigError, ["64x64", "32x32", "data.resolution"]),
        (
            ["data.resolution=64", "stages=[train]"],
            ConfigError,
            ["64x64", "32x32", "data.resolution"],
        ),
        (["data.channels=3"], ConfigError, ["data.channels is 3", "1 channels"]),
        (
            ["data.use_labels=true", "model.condition=none"],
            ConfigError,
            ["use_labels", "takes no labels", "model.condition: auto"],
        ),
        (
            ["data.use_labels=false", "model.condition=label"],
            ConfigError,
            ["use_labels is false", "needs labels"],
        ),
        (["evaluate.truncation=0.5"], ConfigError, ["truncation=0.5", "'dcgan' has no truncation"]),
        (
            ["evaluate.truncation=0.5", "stages=[train]", "evaluate.every_kimg=1"],
            ConfigError,
            ["truncation=0.5", "'dcgan' has no truncation"],
        ),
        (["train.trackers=[tensorbord]"], ConfigError, ["no tracker", "'tensorboard'"]),
        (["train.trackers=[aim]"], ConfigError, ["the package of 'aim' is not installed"]),
        (["publish.repo_id=mine"], PublishError, ["'mine'", "owner/name"]),
        (["evaluate.metrics=[kid]"], MetricError, ["evaluate.num_images", "1000"]),
        (
            ["evaluate.metrics=[fid,{name: is, extractor: timm}]"],
            MetricError,
            [
                "evaluate.metrics[1]",
                "'is' needs 'logits'",
                "'timm' has only pooled",
                "inception_v3",
            ],
        ),
        (["model.architecture=dcgna"], ConfigError, ["dcgna", "Did you mean"]),
        (["stages=[trian]"], GanforgeError, ["trian", "train"]),
        (["train.optimizers={critic: {lr: 1.0}}"], ConfigError, ["'critic'", "discriminator"]),
    ],
)
def test_pipeline_bad_input_is_refused_before_training(here, shards, overrides, error, parts):
    with pytest.raises(GanforgeError) as caught:
        run(shards, *overrides)
    for part in parts:
        assert part in str(caught.value)
    assert isinstance(caught.value, error) or error is ConfigError
    assert not list(here.glob("runs/*/checkpoints/*"))


def test_pipeline_names_missing_shards(here):
    with pytest.raises(DataError, match="nowhere"):
        run("nowhere")


def test_pipeline_refuses_shards_of_another_source(here, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(4):
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(images / f"{number}.png")
    pipeline = {
        "name": "own",
        "stages": ["prepare"],
        "data": {"source": {"name": "folder", "path": str(images)}, "resolution": 8},
        "model": {"architecture": "dcgan"},
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(pipeline))
    run_pipeline("own.yaml")
    with pytest.raises(DataError, match="data.resize was 'crop' and is 'pad'.*another name"):
        run_pipeline("own.yaml", ["data.resize=pad"])


def test_main_reports_a_users_error_as_one_message_with_code_2(here, capsys):
    assert main(["quickstart", "train.total_kmg=5"]) == 2
    error = capsys.readouterr().err
    assert "total_kmg" in error and "total_kimg" in error and "Traceback" not in error


def test_events_reach_plugins(here, shards):
    seen = []

    class Listener:
        @staticmethod
        @get_hookimpl()
        def ganforge_step_end(run):
            seen.append(("step", run.step, run.nimg))

        @staticmethod
        @get_hookimpl()
        def ganforge_checkpoint_saved(run, path):
            seen.append(("saved", path.name, run.nimg))

        @staticmethod
        @get_hookimpl()
        def ganforge_metric_computed(run, record):
            seen.append(("metric", record["metric"], record["nimg"], run.step, run.run_dir.name))
            assert run.sample(GenerateRequest([0, 1])).shape[0] == 2

    manager = get_registry().manager
    manager.register(Listener, "listener")
    try:
        run(shards)
    finally:
        manager.unregister(Listener)
    assert ("step", 3, 48) in seen
    assert ("saved", "nimg-000000048", 48) in seen
    assert ("metric", "fid", 48, 3, "quickstart") in seen


def get_hookimpl():
    from ganforge.api import hookimpl

    return hookimpl


def test_pipeline_that_is_to_push_wants_a_token_before_it_trains(here, shards, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(PublishError, match="there is no token for the Hub. Run `hf auth login`"):
        run(shards, "publish.repo_id=me/mine")
    assert not (here / "runs").exists()


@pytest.mark.parametrize("asked", ["data.use_labels=true", "model.condition=label"])
def test_pipeline_without_the_labels_it_needs_ends_at_the_first_samples(here, asked):
    (here / "images").mkdir()
    for number in range(3):
        Image.new("L", (32, 32), number).save(here / "images" / f"{number}.png")
    # Never read: it would be refused.
    (here / "images" / "9999.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="have no label, only image, but .*a folder per class"):
        run_pipeline(
            "quickstart",
            [*TINY, "data.source={name: folder, path: images}", "stages=[prepare]", asked],
        )
    assert not (here / "runs" / "quickstart" / "shards").exists()


def test_pipeline_whose_slots_groups_do_not_fill_is_refused_before_preparing(here):
    with pytest.raises(ConfigError, match="has 32 images .*groups of 5. Choose a multiple of 5"):
        run_pipeline(
            "quick/stylegan2_fashion_mnist",
            ["model.mbstd_group=5", "train.slots=1", "train.trackers=[]"],
        )
    assert not (here / "runs").exists()
