import pytest
import torch
from inference.shown import CLASSES, Shown, Styled, pretrained
from torch.testing import assert_close

from ganforge.errors import ConfigError
from ganforge.inference.requests import build_request


def request(architecture=Styled, fields=None, **given):
    fields = {"class_names": CLASSES} if fields is None else fields
    model = pretrained(architecture, **fields)
    return build_request(model.architecture, model.info, torch.device("cpu"), **given)


@pytest.mark.parametrize(
    ("given", "seeds"),
    [
        ({}, [0]),
        ({"num_images": 3}, [0, 1, 2]),
        ({"labels": ["bag", "boot"]}, [0, 1]),
        ({"labels": "bag"}, [0]),
        ({"seeds": [5, 3]}, [5, 3]),
        ({"seeds": 5, "labels": ["bag", "boot"]}, [5, 5]),
        ({"seeds": [5, 3], "labels": "bag"}, [5, 3]),
    ],
)
def test_build_request_has_a_seed_for_each_image(given, seeds):
    assert request(**given).seeds == seeds


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"num_images": 0}, "num_images=0"),
        ({"num_images": 3, "seeds": [1]}, "num_images=3, but 1 seeds"),
        ({"num_images": 1, "labels": [0, 1]}, "2 labels for 1 images"),
        ({"seeds": [1, 2, 3], "labels": [0, 1]}, "2 labels for 3 images"),
        ({"truncation": -1.0}, "truncation=-1.0"),
        ({"brightness": 1}, "no generation option 'brightness'"),
        ({"attributes": [1.0]}, "attributes was given, but this model is not conditioned"),
    ],
)
def test_build_request_refuses_what_the_model_cannot_answer(given, expected):
    with pytest.raises(ConfigError, match=expected):
        request(**given)


def test_build_request_carries_conditions_and_truncation():
    made = request(seeds=[1, 2], labels=["shirt", 0], truncation=0.5)
    assert_close(made.label, torch.eye(3)[[2, 0]])
    assert (made.truncation, made.options, made.attributes) == (0.5, {}, None)


def test_build_request_without_a_label_draws_the_class_from_each_seed():
    label = request(seeds=range(40)).label
    assert label.shape == (40, 3)
    assert label.sum(0).min() > 0, "every class appears"
    assert_close(request(seeds=[7]).label, label[7:8])


def test_build_request_of_an_unconditional_model_has_no_label():
    assert request(Shown, {}, num_images=2).label is None
