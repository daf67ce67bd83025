"""What plugins see of a run, and that they cannot disturb it."""

import dataclasses
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close
from training.toy import advance, listening, toy_config, toy_run, train_toy, weights

from ganforge.interfaces.generation import Blend, GenerateRequest
from ganforge.interfaces.spec import ImageSpec
from ganforge.training.run_view import view_of
from ganforge.training.tasks.pictures import generate, run_networks


def short_run(**train):
    return toy_run(toy_config({"total_kimg": 0.08, "slots": 2, **train}))


@pytest.mark.parametrize("standing", [None, {"batches": 2, "batch_size": 4}])
def test_a_plugin_that_samples_at_every_step_leaves_the_run_bit_identical(standing):
    expected = weights(train_toy(short_run(standing_statistics=standing)))
    drawn = []

    def ganforge_step_end(run):
        drawn.append(run.sample(GenerateRequest(range(3))))
        torch.rand(run.step)

    with listening(ganforge_step_end=ganforge_step_end):
        found = weights(train_toy(short_run(standing_statistics=standing)))
    assert [img.shape for img in drawn] == [(3, 1, 4, 4)] * 5
    assert not torch.equal(drawn[0], drawn[-1])
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert torch.equal(found[key], tensor), key


def test_sample_is_what_the_averaged_networks_generate_in_any_number():
    run = short_run()
    advance(run, 2)
    request = GenerateRequest(range(70))  # more than one micro-batch
    expected = generate(run.architecture, run_networks(run), replace(request))
    found = view_of(run).sample(request)
    assert found.dtype == torch.float32 and not found.requires_grad
    assert_close(found, expected)


def test_sample_keeps_random_numbers_and_the_request():
    run = short_run()
    run.architecture.spec = ImageSpec(4, 4, 1, class_names=("a", "b"))
    run.architecture.generate = lambda networks, request: torch.rand(request.size, 1, 4, 4)
    request, state = GenerateRequest([0, 1]), torch.get_rng_state()
    view_of(run).sample(request)
    assert torch.equal(torch.get_rng_state(), state)
    assert request == GenerateRequest([0, 1])


def test_sample_of_blended_latents_is_that_of_the_architecture():
    run = short_run()
    parts = (GenerateRequest([0, 1]), GenerateRequest([2, 3]))
    blend = Blend(parts, torch.tensor([[0.5, 1.0], [0.5, 0.0]]))
    mixed = view_of(run).sample(GenerateRequest([0, 1], blend=blend))
    alone = view_of(run).sample(GenerateRequest([0, 1]))
    assert_close(mixed[1], alone[1])
    assert not torch.allclose(mixed[0], alone[0])


def test_view_shows_the_progress_and_cannot_be_changed():
    run = short_run()
    advance(run, 3)
    run.last_log = {"loss": 1.0}
    view = view_of(run)
    assert (view.step, view.nimg, view.kimg) == (3, 48, 0.048)
    assert view.config is run.config and view.spec is run.spec and view.is_main
    view.last_log["loss"] = 2.0
    assert run.last_log == {"loss": 1.0}
    with pytest.raises(dataclasses.FrozenInstanceError):
        view.nimg = 0
    advance(run, 1)
    assert view.step == 3


def test_view_is_due_once_for_each_interval():
    run, due = short_run(), []
    for _ in range(6):
        advance(run, 1)
        due.append(view_of(run).is_due(0.03))
    assert due == [False, True, False, True, False, True]


class Tracker:
    name = "made-up"

    def __init__(self):
        self.images, self.values = [], []

    def log(self, values, step, **options):
        self.values.append((values, step))

    def log_images(self, values, step, **options):
        self.images.append((values, step, options))


class NoImages:
    name = "plain"

    def log(self, values, step, **options):
        pass


@pytest.fixture
def tracked(monkeypatch):
    run, tracker = short_run(), Tracker()
    monkeypatch.setattr(run.runtime.accelerator, "trackers", [NoImages(), tracker])
    advance(run, 1)
    return run, tracker


def test_log_sends_values_to_the_trackers(tracked):
    run, tracker = tracked
    view_of(run).log({"mine": 2.5})
    assert tracker.values == [({"mine": 2.5}, 16)]


def test_log_image_sends_one_picture_of_all_images_to_trackers_that_take_images(tracked):
    run, tracker = tracked
    view_of(run).log_image(
        "faces", torch.linspace(-1, 1, 5)[:, None, None, None].expand(5, 1, 2, 2)
    )
    ((values, step, options),) = tracker.images
    assert step == 16 and options == {}
    assert values["faces"].shape == (1, 4, 6, 3)  # 2 rows of 3 images, the last cell white
    assert values["faces"][0, ::2, ::2, 0].tolist() == [[0, 64, 128], [191, 255, 255]]


def test_log_image_shows_the_first_channels_of_images_with_many(tracked):
    run, tracker = tracked
    img = torch.linspace(-1, 1, 5).view(1, 5, 1, 1).expand(1, 5, 2, 2)
    view_of(run).log_image("bands", img)
    assert tracker.images[0][0]["bands"][0, 0, 0].tolist() == [0, 64, 128]


def test_log_image_names_the_layout_to_tensorboard(tracked):
    run, tracker = tracked
    tracker.name = "tensorboard"
    view_of(run).log_image("faces", torch.zeros(1, 3, 2, 2))
    assert tracker.images[0][2] == {"dataformats": "NHWC"}


def test_other_ranks_log_nothing(tracked, monkeypatch):
    run, tracker = tracked
    monkeypatch.setattr(type(run.runtime), "is_main", False)
    view_of(run).log({"mine": 2.5})
    view_of(run).log_image("faces", torch.zeros(1, 3, 2, 2))
    assert not tracker.values and not tracker.images


def test_run_dir_is_where_the_trackers_write(tmp_path):
    run = short_run()
    run.runtime.project_dir = tmp_path
    assert view_of(run).run_dir == tmp_path
