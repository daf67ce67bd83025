import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pydantic
import pytest
import torch
from ganforge_fashion_mnist.extractor import FashionMnistFeatures
from metrics import evaluate_worker
from metrics.tiny import (
    TinyExtractor,
    fake_generator,
    images,
    negative_translator,
    negative_video_translator,
    png,
    write_shards,
)

from ganforge import __version__
from ganforge.config.models import DataConfig, EvaluateConfig
from ganforge.data.loader import RealImages
from ganforge.data.shards.index import load_index
from ganforge.errors import DataError, MetricError
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.spec import DerivedSource, ImageSpec
from ganforge.metrics import choices
from ganforge.metrics.evaluation import evaluate
from ganforge.metrics.features import as_bytes
from ganforge.metrics.requests import MeasuredModel

KID = {"name": "kid", "subsets": 5, "subset_size": 8}
ALL = ("fid", {"name": "is", "splits": 2}, KID, "precision_recall")


def configured(tmp_path, **changes) -> EvaluateConfig:
    values = {
        "metrics": ALL, "extractor": "tiny", "num_images": 12, "batch_size": 5,
        "cache_dir": str(tmp_path / "cache"), "seed": 3,
    }  # fmt: skip
    return EvaluateConfig(**(values | changes))


def measure(runtime, shards, config, model=None, **options):
    model = model or fake_generator(**options)
    return evaluate(model, config, shards, runtime, data=DataConfig(workers=0))


def must_not_generate():
    return replace(fake_generator(), generate=lambda request: pytest.fail("generated"))


def values(records):
    return {record.name: record.value for record in records}


def test_evaluate_gives_one_record_per_value_with_its_provenance(
    tmp_path, runtime, shards, registry
):
    records = measure(runtime, shards, configured(tmp_path, truncation=0.7, num_real=15), ema=False)
    names = ["fid", "is", "is_std", "kid", "kid_std", "precision", "recall", "f_score"]
    assert [record.name for record in records] == names
    fid, score = records[0], records[1]
    assert (fid.metric, fid.n_gen, fid.n_real, fid.seed, fid.nimg) == ("fid", 12, 15, 3, 5000)
    assert (fid.extractor, fid.extractor_sha256, fid.needs) == ("tiny", "0" * 64, "pooled")
    assert (fid.resize, fid.precision, fid.compiled) == ("none", "fp32", False)
    assert (fid.ema, fid.truncation, fid.ganforge_version) == (False, 0.7, __version__)
    assert (fid.reference, fid.split) == (load_index(shards).digest, "main.image")
    assert (score.n_real, score.reference, score.split) == (0, "", "")
    assert score.needs == "logits"
    assert score.options == {"splits": 2}
    assert not score.lower_is_better


@pytest.mark.parametrize("batch_size", [1, 12, 64])
def test_evaluate_batch_size_does_not_change_the_numbers(
    tmp_path, runtime, shards, registry, batch_size
):
    expected = values(measure(runtime, shards, configured(tmp_path)))
    config = configured(tmp_path, batch_size=batch_size, cache_dir=str(tmp_path / "other"))
    assert values(measure(runtime, shards, config)) == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_evaluate_equals_torch_fidelity_on_the_same_pngs(tmp_path, runtime, add):
    """28x28 images through the shipped extractor, registered with torch-fidelity as its own."""
    import torch_fidelity
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    extractor = FashionMnistFeatures(FashionMnistFeatures.Config())

    class Registered(FeatureExtractorBase):
        def __init__(self, name, features_list, **kwargs):
            super().__init__(name, features_list)

        @staticmethod
        def get_provided_features_list():
            return "pooled", "logits"

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "logits" if metric == "isc" else "pooled"

        def forward(self, img):
            found = extractor(img)
            return tuple(found[name] for name in self.features_list)

    add(FashionMnistFeatures)
    real, model = images(150, 1, side=28), fake_generator(side=28)
    shards = write_shards(tmp_path / "large", real, per_shard=64)
    request = GenerateRequest(range(3, 143))
    made = as_bytes(model.generate(request), request.seeds, (1, 28, 28))
    for folder, img in (("gen", made), ("real", real)):
        (tmp_path / folder).mkdir()
        for number, one in enumerate(img):
            (tmp_path / folder / f"{number:04d}.png").write_bytes(png(one))
    torch_fidelity.register_feature_extractor("shipped", Registered)
    theirs = torch_fidelity.calculate_metrics(
        input1=str(tmp_path / "gen"), input2=str(tmp_path / "real"), cuda=False, isc=True, fid=True,
        kid=True, prc=True, feature_extractor="shipped", kid_subset_size=50, kid_subsets=10,
        isc_splits=10, cache=False, verbose=False, save_cpu_ram=True,
    )  # fmt: skip
    kid = {"name": "kid", "subset_size": 50, "subsets": 10}
    config = configured(
        tmp_path, metrics=("fid", "is", kid, "precision_recall"), extractor="fashion_mnist",
        num_images=140, batch_size=64,
    )  # fmt: skip
    ours = values(measure(runtime, shards, config, model))
    for name, key in {
        "fid": torch_fidelity.KEY_METRIC_FID,
        "is": torch_fidelity.KEY_METRIC_ISC_MEAN,
        "is_std": torch_fidelity.KEY_METRIC_ISC_STD,
        "kid": torch_fidelity.KEY_METRIC_KID_MEAN,
        "kid_std": torch_fidelity.KEY_METRIC_KID_STD,
        "precision": torch_fidelity.KEY_METRIC_PRECISION,
        "recall": torch_fidelity.KEY_METRIC_RECALL,
    }.items():
        assert ours[name] == pytest.approx(theirs[key], rel=1e-6, abs=1e-6), name
    assert ours["fid"] > 0.1


def test_evaluate_real_features_are_read_from_the_cache_the_second_time(
    tmp_path, runtime, shards, registry, monkeypatch
):
    expected = measure(runtime, shards, configured(tmp_path))
    monkeypatch.setattr(RealImages, "batch", lambda self, numbers: pytest.fail("read again"))
    assert measure(runtime, shards, configured(tmp_path)) == expected


def test_evaluate_cache_knows_other_images_of_the_same_folder_name(tmp_path, runtime, registry):
    config = configured(tmp_path, metrics=("fid",))
    first = write_shards(tmp_path / "a" / "set", images(20, 1))
    second = write_shards(tmp_path / "b" / "set", images(20, 2) // 2)
    far = measure(runtime, second, config)[0].value
    near = measure(runtime, first, config)[0].value
    assert abs(far - near) > 1e-3


@pytest.mark.parametrize("change", [{"num_real": 19}, {"sha256": "1" * 64}, {"precision": "bf16"}])
def test_evaluate_cache_is_not_used_for_features_seen_otherwise(
    tmp_path, runtime, shards, registry, monkeypatch, change
):
    config = configured(tmp_path, metrics=("fid",))
    measure(runtime, shards, config)
    for name in ("sha256", "precision"):
        if name in change:
            monkeypatch.setattr(TinyExtractor, name, change[name])
    reads = []
    original = RealImages.batch
    monkeypatch.setattr(
        RealImages, "batch", lambda self, numbers: reads.append(1) or original(self, numbers)
    )
    measure(runtime, shards, configured(tmp_path, metrics=("fid",), **{
        name: value for name, value in change.items() if name == "num_real"
    }))  # fmt: skip
    assert reads


def test_evaluate_damaged_cache_is_computed_again(tmp_path, runtime, shards, registry, caplog):
    expected = measure(runtime, shards, configured(tmp_path))
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:-3])
    with caplog.at_level(logging.WARNING):
        assert measure(runtime, shards, configured(tmp_path)) == expected
    assert "damaged" in caplog.text


def test_evaluate_target_of_pairs_is_the_reference_where_there_is_no_image(
    tmp_path, runtime, registry
):
    shards = write_shards(tmp_path / "pairs", images(20, 1), field="target")
    expected = write_shards(tmp_path / "plain", images(20, 1))
    config = configured(tmp_path, metrics=("fid",))
    assert measure(runtime, shards, config)[0].value == pytest.approx(
        measure(runtime, expected, config)[0].value
    )


def test_evaluate_background_workers_read_the_same_images(tmp_path, runtime, shards, registry):
    expected = values(measure(runtime, shards, configured(tmp_path)))
    config = configured(tmp_path, cache_dir=str(tmp_path / "other"))
    records = evaluate(fake_generator(), config, shards, runtime, data=DataConfig(workers=2))
    assert values(records) == expected


def test_evaluate_rank_deficiency_is_in_the_record_and_the_log(
    tmp_path, runtime, shards, registry, caplog
):
    config = configured(tmp_path, metrics=("fid",), num_images=4)
    (record,) = measure(runtime, shards, config)
    assert "4 generated images for 4 features" in record.caveats[0]
    assert record.caveats[0] in caplog.text


def test_evaluate_features_the_model_was_trained_against_are_in_the_record_and_the_log(
    tmp_path, runtime, shards, registry, caplog
):
    config = configured(tmp_path, metrics=("fid",))
    (fair,) = measure(runtime, shards, config, seen_features=("another",))
    (flattered,) = measure(runtime, shards, config, seen_features=("tiny",))
    assert "trained against" not in str(fair.caveats)
    assert "trained against features of 'tiny', which flatters it" in flattered.caveats[-1]
    assert flattered.caveats[-1] in caplog.text
    assert flattered.value == fair.value


def test_evaluate_too_few_images_is_refused_before_generating(tmp_path, runtime, shards, registry):
    config = configured(tmp_path, metrics=({"name": "kid", "subset_size": 13},))
    with pytest.raises(MetricError, match="12 generated images and needs at least 13.*num_images"):
        measure(runtime, shards, config, must_not_generate())


def test_evaluate_one_image_is_refused_by_the_file():
    with pytest.raises(pydantic.ValidationError, match="num_images"):
        EvaluateConfig(num_images=1)


def test_evaluate_more_real_images_than_there_are_is_refused(tmp_path, runtime, shards, registry):
    with pytest.raises(DataError, match="has 20. Set evaluate.num_real to at most 20"):
        measure(runtime, shards, configured(tmp_path, num_real=21))


def test_evaluate_images_of_another_size_are_refused(tmp_path, runtime, shards, registry):
    with pytest.raises(MetricError, match="1 channels of 8x8 pixels.*Prepare evaluate.reference"):
        measure(runtime, shards, configured(tmp_path), fake_generator(side=9))


def test_evaluate_nan_features_name_layer_and_progress(
    tmp_path, runtime, shards, registry, monkeypatch
):
    def broken(self, img):
        return {"pooled": torch.full((len(img), 4), torch.nan)}

    monkeypatch.setattr(TinyExtractor, "forward", broken)
    config = configured(tmp_path, metrics=("fid",))
    with pytest.raises(MetricError, match="output 'pooled' of 'tiny' .nimg=5000.*fp32"):
        measure(runtime, shards, config)


def test_evaluate_value_that_is_not_finite_is_an_error(
    tmp_path, runtime, shards, registry, monkeypatch
):
    certain = torch.tensor([[1e4, 0.0, 0.0]])
    monkeypatch.setattr(
        TinyExtractor, "forward", lambda self, img: {"logits": certain.repeat(len(img), 1)}
    )
    config = configured(tmp_path, metrics=({"name": "is", "splits": 1},))
    with pytest.raises(MetricError, match="is=nan.*nimg=5000.*degenerate.*Look at the samples"):
        measure(runtime, shards, config)


def test_evaluate_two_extractors_generate_once_and_are_never_compared(
    tmp_path, runtime, shards, registry
):
    seen, model = [], fake_generator()
    counted = replace(model, generate=lambda r: seen.extend(r.seeds) or model.generate(r))
    config = configured(tmp_path, metrics=("fid", {"name": "fid", "extractor": "other"}))
    first, second = measure(runtime, shards, config, counted)
    assert seen == list(range(3, 15))
    assert (first.extractor, second.extractor) == ("tiny", "other")
    assert second.value == pytest.approx(100 * first.value, rel=1e-4)  # features times ten
    with pytest.raises(MetricError, match="extractor 'tiny' and 'other'"):
        first.is_better_than(second)


def test_evaluate_seed_of_features_of_a_translator_changes_nothing(
    tmp_path, runtime, registry, pairs
):
    found = [
        measure(runtime, pairs, configured(tmp_path, metrics=("fid",), seed=s), model)
        for s, model in ((0, negative_translator()), (9, negative_translator()))
    ]
    assert values(found[0]) == values(found[1])
    assert [r.split for r in found[0]] == ["main.target", "main.source"]


def test_evaluate_derives_sources_as_the_training_did(tmp_path, runtime, registry):
    shards = write_shards(tmp_path / "s", images(5, seed=1, channels=3))
    spec = ImageSpec(8, 8, 3, source_channels=1, derived=DerivedSource("gray"))
    seen = []

    def generate(request):
        seen.append(request.source)
        return request.source.expand(-1, 3, -1, -1)

    model = MeasuredModel(generate, spec, directions=("source_to_target",))
    config = configured(tmp_path, metrics=("psnr",))
    (record,) = evaluate(model, config, shards, runtime, data=DataConfig(workers=0))
    assert seen[0].shape == (5, 1, 8, 8) and record.value > 10
    with pytest.raises(MetricError, match="has no field 'source'"):
        plain = replace(model, spec=replace(spec, derived=None))
        evaluate(plain, config, shards, runtime, data=DataConfig(workers=0))


def test_evaluate_video_measures_all_frames(tmp_path, runtime, clips, registry):
    config = configured(tmp_path, metrics=("fid", "dtssd"), num_images=64)
    fid, change = measure(runtime, clips, config, negative_video_translator())
    assert (fid.n_gen, fid.n_real, fid.num_frames, fid.split) == (5, 5, 3, "main.frames")
    assert change.value == pytest.approx(100 / 255, rel=1e-6)  # errors rise by 1 of 255 a frame
    img = RealImages(DataConfig(), clips, field="frames").batch(range(5)).flatten(0, 1)
    still = write_shards(tmp_path / "still", img)
    made = RealImages(DataConfig(), clips, field="source").batch(range(5)).flatten(0, 1)
    model = replace(fake_generator(), generate=lambda request: (255 - made)[list(request.seeds)])
    config = configured(tmp_path, metrics=("fid",), num_images=15, seed=0)
    (expected,) = measure(runtime, still, config, model)
    assert fid.value == pytest.approx(expected.value, rel=1e-6)
    assert "num_frames" in fid.comparable_with(expected)


@pytest.mark.dist
def test_evaluate_two_ranks_equal_one(tmp_path, shards, pairs, clips, monkeypatch):
    monkeypatch.setattr(choices, "get_registry", choices.get_registry)  # the worker changes it
    evaluate_worker.main(shards, pairs, clips, tmp_path / "of_1")
    worker = Path(evaluate_worker.__file__)
    paths = [str(worker.parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)), "GANFORGE_NUM_THREADS": "1"
    }  # fmt: skip
    subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
            str(worker), shards, pairs, clips, str(tmp_path / "of_2"),
        ],
        check=True, env=environment, timeout=180,
    )  # fmt: skip
    alone, first, second = (
        json.loads((tmp_path / name).read_text())
        for name in ("of_1/rank0.json", "of_2/rank0.json", "of_2/rank1.json")
    )
    assert alone == first == second
    assert alone["error"] == "only rank 0 saw this"
    assert len(alone["records"]) == 9 + 2 * 3 + 3
