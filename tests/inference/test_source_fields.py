"""Further fields of images to translate follow their images."""

import numpy as np
import pytest
import torch
from inference.shown import Translator, pretrained
from PIL import Image
from torch.testing import assert_close

from ganforge.errors import ConfigError, ShapeError
from ganforge.interfaces.spec import FieldSpec

FIELDS = {
    "instances": FieldSpec("labels", 0),
    "segments": FieldSpec("labels", 3),
    "depth": FieldSpec("image", 1),
    "box": FieldSpec("vector", 4),
}


class Remembers(Translator):
    """Returns its source and keeps the requests."""

    name, stride = "remembers", 4

    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.requests = []

    def generate(self, nets, request):
        self.requests.append(request)
        return request.source


@pytest.fixture
def model():
    return pretrained(Remembers, source_channels=3, fields=FIELDS)


def translate(model, images, fields, **options):
    model.translate(images, fields=fields, output_type="pt", **options)
    return [request.fields for request in model.architecture.requests]


def test_fields_of_each_kind_reach_the_networks_as_in_training(model):
    image = torch.zeros(3, 4, 4)
    ids = torch.arange(16).view(1, 4, 4) * 4000
    depth = Image.fromarray(np.full((4, 4), 255, dtype=np.uint8))
    segments = torch.tensor([[0, 1, 2, 3]] * 4)[None]
    given = {"instances": [ids], "segments": segments, "depth": depth, "box": [[1, 2, 3, 4]]}
    (found,) = translate(model, image, given)
    assert torch.equal(found["instances"], ids[None]) and found["instances"].dtype == torch.int64
    assert found["segments"][0, :, 0].T.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert_close(found["depth"], torch.ones(1, 1, 4, 4))
    assert found["box"].tolist() == [[1.0, 2.0, 3.0, 4.0]]


def test_fields_are_padded_and_batched_with_their_images(model):
    sizes = [(4, 3), (8, 8), (3, 4)]
    images = [torch.zeros(3, *size) for size in sizes]
    ids = [torch.full((1, *size), number) for number, size in enumerate(sizes)]
    first, second = translate(model, images, {"instances": ids})
    assert first["instances"].shape == (2, 1, 4, 4)
    assert first["instances"][:, 0, 0, 0].tolist() == [0, 2]
    assert second["instances"].shape == (1, 1, 8, 8) and bool((second["instances"] == 1).all())


def test_fields_of_ids_are_resized_by_the_nearest_pixel(model):
    ids = torch.tensor([[[5, 65535], [5, 65535]]])
    (found,) = translate(model, torch.zeros(3, 2, 2), {"instances": ids}, size=4)
    assert found["instances"][0, 0].tolist() == [[5, 5, 65535, 65535]] * 4


def test_translate_without_fields_gives_none(model):
    assert translate(model, torch.zeros(3, 4, 4), None) == [{}]


@pytest.mark.parametrize(
    ("fields", "error", "match"),
    [
        ({"instance": torch.zeros(1, 4, 4)}, ConfigError, "no field 'instance'.*mean 'instances'"),
        ({"instances": torch.zeros(2, 1, 4, 4).long()}, ConfigError, "2 values for 1 images"),
        ({"instances": torch.zeros(1, 4, 8).long()}, ShapeError, "is 4 x 8 .*image is 4 x 4"),
        ({"depth": torch.zeros(2, 4, 4)}, ShapeError, r"fields\['depth'\]: Cannot translate"),
        ({"box": [[1, 2, 3]]}, ShapeError, r"shape \[1, 3\].*\[N, 4\]"),
    ],
)
def test_fields_that_do_not_fit_are_refused(model, fields, error, match):
    with pytest.raises(error, match=match):
        translate(model, torch.zeros(3, 4, 4), fields)
    assert not model.architecture.requests
