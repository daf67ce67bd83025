"""Sample pictures show fixed seeds, one class per column, or translations beside their sources."""

import types

import pytest
import torch
from metrics.tiny import images, write_clips, write_shards, write_streams
from PIL import Image
from torch import nn

from ganforge.config.models import StrictModel
from ganforge.errors import DataError
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.batch import Batch
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.spec import FieldSpec, ImageSpec
from ganforge.training.tasks import pictures as module
from ganforge.training.tasks.pictures import (
    FixedSamples,
    generate,
    grid_labels,
    last_frame,
    read_fixed_samples,
    sample_images,
    sample_pictures,
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


def test_sample_pictures_show_the_sample_images(make_run):
    run = make_run()
    pictures = sample_pictures(run, None)
    assert pictures.still().size == (12, 8) and torch.equal(pictures.made, sample_images(run))
    assert not pictures.frames()


class Paints(Shows):
    """Translates to images of one value, each direction to its own."""

    def __init__(self, **values):
        super().__init__(None, tuple(values))
        self.values = values

    def generate(self, nets, request):
        self.requests.append(request)
        return torch.full_like(request.source, self.values[request.options["direction"]])


def test_sample_pictures_of_a_translator_show_each_direction(make_run):
    run = make_run(sample_grid=[2, 3])
    run.architecture = Paints(a_to_b=-1.0, b_to_a=1.0)
    batch = Batch({"a": torch.zeros(5, 1, 2, 2), "b": torch.full((5, 1, 2, 2), 0.5)})
    unpaired = sample_pictures(run, FixedSamples(batch))
    assert unpaired.made.flatten().tolist() == [-1.0] * 5 * 4  # all, for the health monitor
    paired = sample_pictures(run, FixedSamples(batch, is_paired=True))
    assert paired.still().width > unpaired.still().width
    colors = {color for _, color in paired.still().convert("L").getcolors()}
    assert {128, 191} <= colors  # a and b
    assert [request.size for request in run.architecture.requests] == [1] * 20


def test_sample_pictures_give_a_translator_the_further_fields_of_each_image(make_run):
    run = make_run(sample_grid=[1, 2])
    fields = {"instances": FieldSpec("labels", 0)}
    run.architecture = Paints(a_to_b=-1.0)
    run.architecture.spec = ImageSpec(2, 2, 1, fields=fields)
    ids = torch.arange(2).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    img = torch.zeros(2, 1, 2, 2)
    sample_pictures(run, FixedSamples(Batch({"a": img, "b": img, "instances": ids})))
    seen = [request.fields["instances"] for request in run.architecture.requests]
    assert torch.equal(torch.cat(seen), ids)


def test_sample_pictures_of_video_have_frames_and_watch_the_last_one(make_run):
    run = make_run(sample_grid=[2, 3])
    run.architecture = Paints(source_to_frames=-1.0)
    clips = torch.zeros(2, 5, 1, 2, 2)
    batch = Batch({"source": clips, "frames": clips})
    pictures = sample_pictures(run, FixedSamples(batch, is_paired=True))
    assert len(pictures.frames()) == 5 and pictures.made.shape == (2, 1, 2, 2)


def test_sample_pictures_of_clips_from_noise_are_animated(make_run, monkeypatch):
    run = make_run(sample_grid=[1, 2])
    clips = torch.zeros(2, 3, 1, 4, 4)
    clips[:, 1], clips[:, 2] = 0.5, 1
    monkeypatch.setattr("ganforge.training.tasks.pictures.sample_images", lambda *args: clips)
    found = sample_pictures(run, None)
    assert [frame.getpixel((0, 0)) for frame in found.frames()] == [128, 191, 255]
    assert found.still().size == (8, 4) and found.still().getpixel((0, 0)) == 255


def test_sample_pictures_of_any_number_of_channels_are_drawn(make_run, monkeypatch):
    run, img = make_run(sample_grid=[1, 2]), torch.zeros(2, 7, 4, 4)
    monkeypatch.setattr("ganforge.training.tasks.pictures.sample_images", lambda *args: img)
    found = sample_pictures(run, None)
    assert found.still().mode == "RGB" and found.made.shape == (2, 7, 4, 4)


def fixed_samples(run, location, *fields):
    return read_fixed_samples(run, location, fields)


def bound(run, **spec):
    """A run of a translator of these images."""
    run.architecture = Paints(source_to_target=0.0)
    run.architecture.spec = ImageSpec(8, 8, 1, source_channels=1, **spec)
    return run


def test_fixed_samples_are_paired_if_they_are_of_one_stream(make_run, tmp_path):
    run, img = bound(make_run(sample_grid=[2, 2])), images(9, 1)
    pairs = write_streams(tmp_path / "pairs", {"main": {"source": img, "target": 255 - img}})
    found = fixed_samples(run, pairs, "source", "target")
    assert found.is_paired and found.batch.size == 4
    torch.testing.assert_close(found.batch["source"], -found.batch["target"])
    again = fixed_samples(run, pairs, "source", "target")
    assert torch.equal(found.batch["source"], again.batch["source"])
    streams = {"source": {"source": img}, "target": {"target": img}}
    unpaired = write_streams(tmp_path / "unpaired", streams)
    assert not fixed_samples(run, unpaired, "source", "target").is_paired


def test_fixed_samples_are_not_repeated_where_there_are_few(make_run, tmp_path):
    run = bound(make_run(sample_grid=[8, 8]))
    streams = {"a": {"source": images(9, 1)}, "b": {"target": images(5, 2)}}
    found = fixed_samples(run, write_streams(tmp_path / "s", streams), "source", "target")
    assert found.batch.size == 5
    assert len(found.batch["target"].flatten(1).unique(dim=0)) == 5


def test_fixed_samples_of_video_are_as_many_as_there_are_rows(make_run, tmp_path):
    run = make_run(sample_grid=[2, 8])
    run.architecture = Paints(source_to_frames=0.0)
    run.architecture.spec = ImageSpec(8, 8, 1, source_channels=1, num_frames=3)
    found = fixed_samples(run, write_clips(tmp_path / "clips"), "source", "frames")
    assert found.batch["frames"].shape == (2, 3, 1, 8, 8)


def test_fixed_samples_of_data_without_a_field_are_refused(make_run, tmp_path):
    run, location = bound(make_run()), write_shards(tmp_path / "s", images(3, 1))
    with pytest.raises(DataError, match="'source' is needed"):
        fixed_samples(run, location, "source", "image")


def test_generate_in_parts_bounds_the_pixels_of_a_forward_pass(monkeypatch):
    seen = []

    def generate(architecture, networks, request):
        seen.append(request.size)
        return torch.zeros(request.size, 1, 1, 1)

    monkeypatch.setattr(module, "generate", generate)
    for side, expected in ((64, [64, 6]), (512, [16] * 4 + [6]), (4096, [1] * 70)):
        seen.clear()
        architecture = types.SimpleNamespace(spec=ImageSpec(side, side, 1))
        request = GenerateRequest(range(70), torch.device("cpu"))
        assert len(module.generate_in_parts(architecture, {}, request)) == 70
        assert seen == expected


def test_fit_shrinks_pictures_beyond_4096_pixels_a_side():
    assert module.fit(Image.new("L", (8192, 2048))).size == (4096, 1024)
    assert module.fit(Image.new("L", (4096, 64))).size == (4096, 64)
