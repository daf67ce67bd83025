"""Classes that a measured model is asked for; tests/cli/test_models.py has what else there is."""

import pytest
import torch

from ganforge.config.models import DataConfig
from ganforge.data.shards.index import DatasetIndex
from ganforge.interfaces.spec import ImageSpec
from ganforge.metrics import requests

SPEC = ImageSpec(8, 8, class_names=("cat", "dog", "bird"))


def drawn(monkeypatch, class_names, class_counts, conditions=("label",)):
    spec = ImageSpec(8, 8, class_names=class_names)
    index = DatasetIndex.build(spec, {}, {}, class_counts)
    monkeypatch.setattr(requests, "load_index", lambda location: index)
    device = torch.device("cpu")
    ask = requests.request_maker(SPEC, conditions, (), "reference", DataConfig(), device=device)
    return ask(range(400)).label


def test_classes_are_drawn_as_often_as_the_reference_has_them(monkeypatch):
    cats, dogs, birds = drawn(monkeypatch, SPEC.class_names, (3000, 0, 1000)).sum(0).tolist()
    assert (cats + birds, dogs) == (400, 0) and 270 < cats < 330


@pytest.mark.parametrize(
    ("names", "counts"),
    [(("cow", "pig", "hen"), (3000, 0, 1000)), ((), ()), (SPEC.class_names, (0, 0, 0))],
)
def test_classes_are_drawn_equally_often_where_the_reference_does_not_tell(
    monkeypatch, names, counts
):
    assert drawn(monkeypatch, names, counts).sum(0).min() > 100


def test_a_model_that_is_told_no_class_is_asked_for_none(monkeypatch):
    assert drawn(monkeypatch, SPEC.class_names, (3000, 0, 1000), conditions=()) is None
