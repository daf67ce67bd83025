"""The requests that a measured model gets; tests/cli/test_models.py covers captions."""

from dataclasses import replace

import pytest
import torch
from metrics.tiny import images, negative_translator, write_streams
from torch.testing import assert_close

from ganforge.config.models import DataConfig, EvaluateConfig
from ganforge.data.loader import RealImages
from ganforge.data.shards.index import DatasetIndex
from ganforge.interfaces.spec import FieldSpec, ImageSpec
from ganforge.metrics import requests
from ganforge.metrics.requests import MeasuredModel, Requests, direction_fields

SPEC = ImageSpec(8, 8, class_names=("cat", "dog", "bird"))
CPU = torch.device("cpu")


def make(model, direction="", reference="reference", **options):
    config = EvaluateConfig(**options)
    return Requests(model, direction, config, reference, DataConfig(workers=0), CPU)


def drawn(monkeypatch, class_names, class_counts, conditions=("label",)):
    spec = ImageSpec(8, 8, class_names=class_names)
    index = DatasetIndex.build(spec, {}, {}, class_counts)
    monkeypatch.setattr(requests, "load_index", lambda location: index)
    model = MeasuredModel(lambda request: None, SPEC, conditions)
    return make(model)(range(400)).label


def test_classes_are_drawn_with_the_frequencies_of_the_reference(monkeypatch):
    cats, dogs, birds = drawn(monkeypatch, SPEC.class_names, (3000, 0, 1000)).sum(0).tolist()
    assert (cats + birds, dogs) == (400, 0) and 270 < cats < 330


@pytest.mark.parametrize(
    ("names", "counts"),
    [(("cow", "pig", "hen"), (3000, 0, 1000)), ((), ()), (SPEC.class_names, (0, 0, 0))],
)
def test_classes_are_drawn_equally_often_where_their_frequencies_are_unknown(
    monkeypatch, names, counts
):
    assert drawn(monkeypatch, names, counts).sum(0).min() > 100


def test_a_model_without_classes_gets_no_label(monkeypatch):
    assert drawn(monkeypatch, SPEC.class_names, (3000, 0, 1000), conditions=()) is None


def test_seeds_count_from_the_seed_and_truncation_is_passed_on():
    request = make(MeasuredModel(lambda request: None, SPEC), seed=100, truncation=0.7)([0, 5])
    assert (list(request.seeds), request.truncation, request.source) == ([100, 105], 0.7, None)


@pytest.mark.parametrize("seed", [0, 3])
def test_source_i_is_that_of_sample_i_whatever_the_seed(pairs, seed):
    source = images(11, seed=3).clamp(20, 200)
    model = negative_translator()
    request = make(model, "source_to_target", pairs, seed=seed)([0, 4, 11, 15])
    assert request.options == {"direction": "source_to_target"}
    assert_close(request.source, source[[0, 4, 0, 4]] / 127.5 - 1)


def test_source_of_16_bits_keeps_them(pairs, monkeypatch):
    value = torch.full((1, 1, 8, 8), 1000, dtype=torch.int32)
    ask = make(negative_translator(), "source_to_target", pairs)
    monkeypatch.setattr(RealImages, "samples", lambda *args: {"source": value})
    assert_close(ask([0]).source, torch.full((1, 1, 8, 8), 1000 / 32767.5 - 1))


def test_source_of_the_second_direction_is_the_target_field(pairs):
    ask = make(negative_translator(), "target_to_source", pairs)
    assert ask([0]).options == {"direction": "target_to_source"}
    both = ask.samples([0, 12], "source")
    assert_close(ask([0, 12]).source, both["target"] / 127.5 - 1)
    assert_close(both["source"], images(11, seed=3).clamp(20, 200)[[0, 1]])


def test_direction_fields_are_the_two_ends():
    assert direction_fields("source_to_target") == ("source", "target")
    assert direction_fields("source_to_frames") == ("source", "frames")
    assert direction_fields("") == ("", "")


def test_requests_have_the_further_fields_that_the_samples_of_the_source_hold(tmp_path):
    img, other = images(5, seed=1), images(5, seed=2)
    streams = {
        "a": {"source": img, "depth": other},
        "b": {"target": img, "height": other},
    }
    reference = write_streams(tmp_path / "reference", streams)
    depth = FieldSpec("image", 1)
    model = negative_translator()
    spec = replace(model.spec, fields={"depth": depth, "height": depth, "absent": depth})
    request = make(replace(model, spec=spec), "source_to_target", reference)([3, 6])
    assert list(request.fields) == ["depth"]
    assert_close(request.fields["depth"], other[[3, 1]] / 127.5 - 1)
