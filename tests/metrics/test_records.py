import json
import math

import pytest

from ganforge.errors import MetricError
from ganforge.metrics.records import MetricRecord


def record(**changes) -> MetricRecord:
    values = {
        "metric": "fid", "name": "fid", "value": 10.0, "lower_is_better": True,
        "n_gen": 50, "n_real": 60, "reference": "abc", "extractor": "tiny",
        "extractor_sha256": "0", "needs": "pooled", "resize": "none", "precision": "fp32",
        "ema": True, "seed": 0, "nimg": 1000, "ganforge_version": "0",
    }  # fmt: skip
    return MetricRecord(**(values | changes))


def test_record_json_reads_back():
    one = record(caveats=("few",), options={"splits": 10})
    assert MetricRecord(**json.loads(json.dumps(one.model_dump(mode="json")))) == one


def test_record_holds_a_value_that_is_not_a_number():
    assert math.isnan(record(value=math.nan).value)


def test_record_lower_is_better_follows_the_metric():
    assert record(value=1.0).is_better_than(record(value=2.0))
    assert not record(value=2.0).is_better_than(record(value=1.0))
    score = {"metric": "is", "name": "is", "lower_is_better": False}
    assert record(value=2.0, **score).is_better_than(record(value=1.0, **score))


def test_record_other_progress_and_seed_may_be_compared():
    assert record().comparable_with(record(nimg=2000, seed=7, compiled=True)) == []


def test_record_label_names_the_direction_of_a_translator():
    assert record().label == "fid"
    assert record(direction="target_to_source").label == "fid/target_to_source"


@pytest.mark.parametrize(
    "change",
    [
        {"metric": "kid"}, {"name": "other"}, {"options": {"splits": 1}}, {"n_gen": 51},
        {"n_real": 61}, {"reference": "abd"}, {"extractor": "other"}, {"needs": "logits"},
        {"extractor_sha256": "1"}, {"resize": "bicubic"}, {"precision": "bf16"}, {"ema": False},
        {"truncation": 0.7}, {"num_standing": 64}, {"split": "main.target"},
        {"direction": "source_to_target"},
    ],
)  # fmt: skip
def test_record_measured_unlike_is_refused_and_names_the_field(change):
    ((name, value),) = change.items()
    assert record().comparable_with(record(**change)) == [name]
    with pytest.raises(MetricError) as caught:
        record().is_better_than(record(**change))
    assert f"{name} " in str(caught.value) and repr(value) in str(caught.value)
    assert "Measure both with the same evaluate section" in str(caught.value)
