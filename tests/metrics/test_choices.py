import pytest
import torch
from metrics.tiny import Gap, TinyExtractor

from ganforge.config.models import EvaluateConfig, StrictModel
from ganforge.errors import ConfigError, MetricError, PluginContractError, PluginNotFound
from ganforge.interfaces.metric import ClipMetric, FeatureMetric, Metric
from ganforge.metrics import choices
from ganforge.metrics.choices import build_metrics, join_outputs

DIRECTIONS = ("source_to_target",)


class Spread(FeatureMetric[StrictModel]):
    """A third party's metric of an output that extractors of ganforge lack."""

    name = "spread"
    needs = "spatial"

    def compute(self, gen, real):
        return {"spread": gen.std().item()}


class SpatialExtractor(TinyExtractor):
    """A third party's extractor with that output."""

    name = "spatial_tiny"
    outputs = ("pooled", "spatial")

    def forward(self, img):
        return super().forward(img) | {"spatial": img.float().flatten(1)}


class ClipDistance(ClipMetric[StrictModel]):
    name = "clip_distance"

    def compare(self, source, output, target):
        return {"clip_distance": (output - target).abs().flatten(1).mean(1)}


class Shapeless(Metric[StrictModel]):
    name = "shapeless"
    needs = "pooled"


def config(*metrics, **more) -> EvaluateConfig:
    return EvaluateConfig(metrics=metrics, **({"extractor": "tiny", "num_images": 9} | more))


def join(runtime, asked, directions=()):
    return join_outputs(build_metrics(asked, directions), asked, runtime)


def test_joins_each_metric_with_the_output_that_it_needs(runtime, registry):
    assert [(m.name, o.extractor.name, o.name) for m, o in join(runtime, config("fid", "is"))] == [
        ("fid", "tiny", "pooled"),
        ("is", "tiny", "logits"),
    ]


def test_metric_option_names_another_extractor(runtime, registry):
    found = join(runtime, config("fid", {"name": "fid", "extractor": "other"}))
    assert [output.extractor.name for _, output in found] == ["tiny", "other"]


def test_extractor_that_is_named_twice_is_built_once(runtime, registry, monkeypatch):
    built = []
    original = TinyExtractor.__init__
    monkeypatch.setattr(
        TinyExtractor, "__init__", lambda self, config: built.append(1) or original(self, config)
    )
    asked = config("fid", "is", {"name": "fid", "extractor": {"name": "tiny"}})
    outputs = [output for _, output in join(runtime, asked)]
    join(runtime, asked)
    assert outputs[0] == outputs[2] != outputs[1]
    assert len(built) == 1


def test_third_party_metric_works_on_any_extractor_with_its_output(runtime, add):
    add(Spread, SpatialExtractor)
    ((metric, output),) = join(runtime, config("spread", extractor="spatial_tiny"))
    assert (metric.name, output.name) == ("spread", "spatial")
    img = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    assert output.extractor(img)[output.name].shape == (2, 64)


def test_output_that_the_extractor_lacks_is_refused_and_another_named(add):
    add(Spread, SpatialExtractor)
    with pytest.raises(MetricError) as caught:
        build_metrics(config("fid", "spread"), ())
    message = str(caught.value)
    assert message.startswith("evaluate.metrics[1]: the metric 'spread' needs 'spatial'")
    assert "'tiny' has only pooled, logits" in message
    assert "Set evaluate.metrics[1].extractor to one of spatial_tiny, or leave" in message


def test_output_that_no_extractor_has_says_so(add):
    add(Spread)
    with pytest.raises(MetricError, match="an extractor with that output .none is known."):
        build_metrics(config("spread"), ())


def test_own_extractor_is_checked_in_place_of_the_default(registry):
    with pytest.raises(MetricError, match="'is' needs 'logits', but .* 'other' has only pooled"):
        build_metrics(config({"name": "is", "extractor": "other"}), ())


def test_pair_metric_of_a_translator_needs_no_extractor(runtime, registry):
    assert [type(one) for one in build_metrics(config("gap"), DIRECTIONS)] == [Gap]
    assert join(runtime, config("gap"), DIRECTIONS) == []


def test_pair_metric_of_a_noise_model_is_refused(registry):
    with pytest.raises(MetricError, match=r"metrics\[0\]: .*'gap'.*generates from noise.*Leave"):
        build_metrics(config("gap"), ())


def test_pair_metric_with_an_extractor_is_refused(registry):
    with pytest.raises(MetricError, match=r"metrics\[0\].extractor: .*'gap'.*uses no extractor"):
        build_metrics(config({"name": "gap", "extractor": "tiny"}), DIRECTIONS)


def test_clip_metric_of_a_translator_needs_no_extractor(runtime, add):
    add(ClipDistance)
    assert [type(one) for one in build_metrics(config("clip_distance"), DIRECTIONS)] == [
        ClipDistance
    ]
    with pytest.raises(MetricError, match="'clip_distance'.*generates from noise"):
        build_metrics(config("clip_distance"), ())


def test_metric_of_no_kind_is_refused(add):
    add(Shapeless)
    with pytest.raises(
        PluginContractError, match="'shapeless'.*FeatureMetric, .*ClipMetric or CycleMetric"
    ):
        build_metrics(config("shapeless"), ())


def test_unknown_names_and_options_are_refused(runtime, registry):
    with pytest.raises(PluginNotFound, match="Unknown metric 'fidd'. Did you mean 'fid'"):
        build_metrics(config("fidd"), ())
    with pytest.raises(PluginNotFound, match="feature extractor 'tyny'. Did you mean 'tiny'"):
        build_metrics(config("fid", extractor="tyny"), ())
    with pytest.raises(ConfigError, match=r"evaluate.metrics\[0\].split.*Did you mean 'splits'"):
        build_metrics(config({"name": "is", "split": 2}), ())
    wrong = {"name": "fid", "extractor": {"name": "tiny", "side": 9}}
    with pytest.raises(ConfigError, match=r"metrics\[0\].extractor.side: unknown key 'side'"):
        join(runtime, config(wrong))


@pytest.mark.parametrize(
    ("num_images", "option", "expected"),
    [(999, "auto", False), (1000, "auto", True), (9, True, True), (1000, False, False)],
)
def test_extractor_options_compile_where_it_pays(
    runtime, registry, monkeypatch, num_images, option, expected
):
    monkeypatch.setattr(choices.shutil, "which", lambda name: name)
    asked = config(
        "fid",
        num_images=num_images,
        extractor={"name": "inception_v3", "compile": option},
        cache_dir="there",
    )
    component = registry.find(choices.FeatureExtractor, "inception_v3")
    options = choices._extractor_options(asked.extractor, component, asked, runtime)
    assert options == {"compile": expected, "cache_dir": "there"}
