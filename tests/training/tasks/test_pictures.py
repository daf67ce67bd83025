"""Sample pictures show fixed seeds, one class per column, or translations below their sources."""

import numpy as np
import pytest
import torch
from torch import nn

from ganforge.config.models import StrictModel
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.batch import Batch
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.spec import ImageSpec
from ganforge.training.tasks.pictures import (
    generate,
    grid_labels,
    last_frame,
    sample_grid,
    sample_images,
    seed_images,
)

CPU = torch.device("cpu")


class Shows(Architecture[StrictModel]):
    """Paints each image with a number of its request."""

    name, paper, optional_inputs = "shows", "none", ("label", "text")

    def __init__(self, paint, directions=(), **fields):
        super().__init__(StrictModel(), ImageSpec(2, 2, 1, **fields))
        self.paint, self.directions, self.requests = paint, directions, []

    def networks(self):
        return {"generator": nn.Identity()}

    def phases(self, objective):
        return []

    def generate(self, nets, request):
        self.requests.append(request)
        return self.paint(request)[:, None, None, None].expand(-1, 1, 2, 2)


def seeds_of(request):
    return torch.tensor(list(request.seeds), dtype=torch.float32)


def test_grid_labels_give_each_column_a_class():
    labels = grid_labels(6, 3, 2, CPU)
    assert labels.argmax(1).tolist() == [0, 1, 0, 0, 1, 0]
    assert grid_labels(6, 3, 0, CPU) is None


def test_seed_images_are_those_of_the_first_seeds_in_micro_batches():
    architecture = Shows(seeds_of)
    img = seed_images(architecture, {}, (10, 7), CPU)
    assert img[:, 0, 0, 0].tolist() == list(range(70))
    assert [request.size for request in architecture.requests] == [64, 6]


def test_seed_images_take_conditions_from_the_data_in_turn():
    architecture = Shows(lambda request: request.text[:, 0], text_dim=1)
    fixed = Batch({"text": torch.tensor([[1.0], [2.0]])})
    img = seed_images(architecture, {}, (1, 5), CPU, fixed)
    assert img[:, 0, 0, 0].tolist() == [1, 2, 1, 2, 1]


def test_generate_draws_labels_where_the_request_has_none():
    architecture = Shows(lambda r: r.label.argmax(1).float(), class_names=("a", "b"))
    img = seed_images(architecture, {}, (1, 4), CPU)
    assert img[:, 0, 0, 0].tolist() == [0, 1, 0, 1]  # by column
    drawn = generate(architecture, {}, GenerateRequest(range(50)))
    assert set(drawn[:, 0, 0, 0].tolist()) == {0, 1}


def test_last_frame_is_that_of_sequences_only():
    frames = torch.randn(2, 5, 3, 4, 4)
    assert torch.equal(last_frame(frames), frames[:, 4])
    assert torch.equal(last_frame(frames[0]), frames[0])


def test_sample_grid_shows_the_sample_images(make_run):
    run = make_run()
    picture, img = sample_grid(run, None)
    assert picture.size == (12, 8) and torch.equal(img, sample_images(run))


@pytest.mark.parametrize("num", [2, 3])
def test_sample_grid_of_a_translator_shows_sources_above_outputs(make_run, num):
    run = make_run(sample_grid=[2, 2])
    paint = {"a_to_b": -1.0, "b_to_a": 1.0}
    run.architecture = Shows(
        lambda request: torch.tensor([paint[request.options["direction"]]]), ("a_to_b", "b_to_a")
    )
    fixed = Batch({"a": torch.zeros(num, 1, 2, 2), "b": torch.zeros(num, 1, 2, 2)})
    picture, img = sample_grid(run, fixed)
    rows = np.asarray(picture)[::2, 0, 0].tolist()
    sources = -(-num // 2)
    assert rows == [128, 0] * sources + [128, 255] * sources
    assert img.flatten().tolist() == [-1.0] * num * 4
