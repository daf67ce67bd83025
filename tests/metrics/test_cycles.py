"""Cycle error of a tiny translator whose number is known in closed form."""

from dataclasses import replace

import pytest
from metrics.tiny import images, negative_translator, write_streams

from ganforge.config.models import DataConfig, EvaluateConfig
from ganforge.errors import MetricError
from ganforge.metrics.choices import build_metrics
from ganforge.metrics.evaluation import evaluate

FORTH, BACK = "source_to_target", "target_to_source"


def biased():
    """A translator whose way back is 3 bytes too dark."""

    def generate(request):
        shift = 3 / 127.5 if request.options["direction"] == BACK else 0
        return (-request.source - shift).clamp(-1, 1)

    return replace(negative_translator(), generate=generate)


def measure(runtime, reference, model, **changes):
    options = {"metrics": ["cycle_error"], "num_images": 12, "batch_size": 4}
    config = EvaluateConfig(**(options | changes))
    return evaluate(model, config, reference, runtime, data=DataConfig(workers=0))


def test_cycle_error_of_a_translator_that_comes_back_is_zero(runtime, registry, pairs):
    records = measure(runtime, pairs, negative_translator())
    assert [(r.label, r.value) for r in records] == [
        (f"cycle_error/{FORTH}", 0),
        (f"cycle_error/{BACK}", 0),
    ]
    assert {(r.n_gen, r.needs, r.lower_is_better) for r in records} == {(11, "cycles", True)}


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_cycle_error_is_the_mean_difference_whatever_the_batch(
    runtime, registry, pairs, batch_size
):
    for record in measure(runtime, pairs, biased(), batch_size=batch_size):
        assert record.value == pytest.approx(3 / 127.5, rel=0.1)


def test_cycle_error_needs_no_pairs(runtime, registry, tmp_path):
    streams = {"source": {"source": images(6, 1)}, "target": {"target": images(9, 2)}}
    unpaired = write_streams(tmp_path / "unpaired", streams)
    assert all(r.value == 0 for r in measure(runtime, unpaired, negative_translator()))


def test_cycle_error_of_a_model_with_one_direction_is_refused(runtime, registry, pairs):
    model = replace(negative_translator(), directions=(FORTH,))
    with pytest.raises(MetricError, match="'cycle_error' translates there and back.*choose an"):
        measure(runtime, pairs, model)
    with pytest.raises(MetricError, match="generates from noise"):
        build_metrics(EvaluateConfig(metrics=["cycle_error"]), ())
