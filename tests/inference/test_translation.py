from fractions import Fraction

import numpy as np
import pytest
import torch
from clips import make_video, read_video
from dancer import dance
from inference.shown import Shown, Translator, pretrained
from PIL import Image
from torch.multiprocessing.reductions import StorageWeakRef
from torch.testing import assert_close

from ganforge.errors import ConfigError, PluginContractError, ShapeError
from ganforge.imaging.codec import decode_image
from ganforge.imaging.images import resize
from ganforge.inference.derive import derive_sources
from ganforge.inference.pretrained import PretrainedGan
from ganforge.interfaces.source import Poses
from ganforge.interfaces.spec import DerivedSource, FieldSpec


class Negative(Translator):
    """Negatives of images whose sides are multiples of 4; it notes their shapes."""

    name, stride = "negative", 4
    generate_options = {"gain": "Factor."}

    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.shapes, self.seeds = [], []

    def generate(self, nets, request):
        assert not any(side % 4 for side in request.source.shape[-2:])
        self.shapes.append(tuple(request.source.shape))
        self.seeds.append(request.seeds)
        return -request.source * request.options.get("gain", 1.0)


class Clips(Negative):
    name, inputs = "clips", ("source", "frames")


def negative(kind=Negative):
    return pretrained(kind, source_channels=3)


@pytest.fixture
def translator(exported_translator):
    return PretrainedGan.from_pretrained(exported_translator, device="cpu")


def test_translate_keeps_the_size_of_a_photo():
    photo = torch.rand(3, 150, 90)
    model = negative()
    (img,) = model.translate(photo, output_type="pt")
    assert_close(img, -photo)
    assert model.architecture.shapes == [(1, 3, 152, 92)]
    assert model.translate(Image.new("RGB", (90, 150)))[0].size == (90, 150)


def test_translate_mixed_sizes_in_groups_keeps_their_order_and_seeds():
    sizes = [(9, 5), (20, 20), (12, 8), (9, 5), (17, 19)]
    sources = [torch.full((3, *size), index / 10) for index, size in enumerate(sizes)]
    model = negative()
    found = model.translate(sources, output_type="pt", batch_size=2)
    assert [tuple(img.shape[1:]) for img in found] == sizes
    assert [float(img.mean()) for img in found] == pytest.approx([0, -0.1, -0.2, -0.3, -0.4])
    assert model.architecture.shapes == [(2, 3, 12, 8), (1, 3, 12, 8), (2, 3, 20, 20)]
    assert model.architecture.seeds == [[0, 2], [3], [1, 4]]


def test_translate_image_smaller_than_the_stride_is_translated():
    (img,) = negative().translate(torch.full((3, 1, 2), 0.5), output_type="pt")
    assert_close(img, torch.full((3, 1, 2), -0.5))


def test_translate_resizes_only_when_asked_to():
    photo = torch.rand(3, 150, 90)
    model = negative()
    assert model.translate(photo, size="model", output_type="pt").shape == (1, 3, 4, 8)
    assert model.translate(photo, size=(30, 21), output_type="pt").shape == (1, 3, 30, 21)
    assert model.translate(photo, size=16, resize="pad", output_type="np").shape == (1, 16, 16, 3)


def test_translate_pad_crop_and_stretch_show_the_image_differently(translator):
    striped = torch.full((1, 6, 24), -1.0)
    striped[..., 8:16] = 0.5
    ways = {
        way: translator.translate(striped, size="model", resize=way, output_type="pt")
        for way in (None, "crop", "pad", "stretch")
    }
    assert_close(ways[None], torch.full((1, 3, 6, 8), 0.75))
    assert_close(ways["crop"], ways[None])
    assert ways["pad"][0, 0, 0, 0] == 1.0
    assert ways["stretch"][0, 0, 0, 0] == pytest.approx(-0.75, abs=0.1)


def test_translate_one_size_only_says_how_to_resize(translator):
    assert len(translator.translate([torch.zeros(1, 6, 8)])) == 1
    with pytest.raises(ConfigError, match=r"images\[1\] is 6 x 9 .*6 x 8 only.*size='model'"):
        translator.translate([torch.zeros(1, 6, 8), torch.zeros(1, 6, 9)])


def test_translate_each_direction_takes_its_own_channels(translator):
    color = translator.translate(torch.zeros(3, 1, 6, 8), batch_size=2, output_type="pt")
    assert_close(color, torch.full((3, 3, 6, 8), 0.25))
    gray = translator.translate(color, direction="back", output_type="pt")
    assert_close(gray, torch.zeros(3, 1, 6, 8))
    red = torch.tensor([0.5, 0.0, -0.2]).view(3, 1, 1).expand(3, 6, 8)
    gray = translator.translate(red, direction="back", output_type="pt")
    assert_close(gray, torch.full((1, 1, 6, 8), 0.1 - 0.25))


def test_translate_mixed_images_of_any_kind_become_one_batch(translator):
    sources = [
        Image.new("RGB", (8, 6)),
        Image.new("RGBA", (8, 6), (0, 0, 0, 0)),
        torch.zeros(3, 6, 8),
        torch.full((2, 1, 6, 8), 255, dtype=torch.uint8),
    ]
    img = translator.translate(sources, output_type="pt")
    expected = torch.tensor([-0.75, 1.0, 0.25, 1.0, 1.0]).view(5, 1, 1, 1).expand(5, 3, 6, 8)
    assert_close(img, expected)
    assert len(translator.translate(sources[0])) == 1


def test_translate_16_bit_image_keeps_its_precision():
    values = np.arange(20, dtype=np.uint16).reshape(4, 5) * 3 + 30_000
    (img,) = negative().translate(Image.fromarray(values), output_type="pt")
    assert_close(img[0], 1 - torch.from_numpy(values / 32767.5).float())


def test_translate_options_reach_the_architecture():
    img = torch.full((2, 3, 4, 4), 0.25)
    assert_close(negative().translate(img, gain=2.0, output_type="pt"), -2 * img)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"direction": "bakc"}, "no direction 'bakc'.*Valid: source_to_target"),
        ({"strength": 2}, "no generation option 'strength'"),
        ({"seeds": [1, 2]}, "num_images=1, but 2 seeds"),
        ({"output_type": "jpg"}, "output_type='jpg' is unknown"),
        ({"batch_size": 0}, "batch_size=0; use at least 1"),
        ({"size": "large"}, "size='large' is not a size"),
        ({"resize": "pad"}, "resize='pad' changes nothing"),
    ],
)
def test_translate_impossible_request_is_refused_before_any_work(given, message):
    model = negative()
    with pytest.raises(ConfigError, match=message):
        model.translate(torch.zeros(3, 6, 8), **given)
    assert model.architecture.shapes == []


def test_translate_nothing_is_refused():
    with pytest.raises(ConfigError, match="no images to translate"):
        negative().translate([])
    with pytest.raises(ShapeError, match="give PIL images"):
        negative().translate(["photo.png"])


def test_translate_on_noise_model_points_to_generate():
    with pytest.raises(ConfigError, match=r"translates none; use generate\(\)"):
        pretrained(Shown).translate(Image.new("RGB", (8, 8)))


def test_translate_on_video_model_points_to_translate_video():
    with pytest.raises(ConfigError, match=r"'clips' translates video.*translate_video\(frames\)"):
        negative(Clips).translate(torch.zeros(3, 8, 8))


def test_translate_of_an_architecture_that_changes_the_size_names_it(monkeypatch):
    monkeypatch.setattr(Negative, "generate", lambda *_: torch.zeros(1, 3, 8, 8))
    with pytest.raises(PluginContractError, match=r"\[1, 3, 8, 8\].*must return \[1, C, 4, 4\]"):
        negative().translate(torch.zeros(3, 4, 4))


class Passed(Negative):
    """Its first three channels."""

    name = "passed"

    def generate(self, nets, request):
        self.shapes.append(tuple(request.source.shape))
        return request.source[..., :3, :, :].repeat_interleave(
            3 // min(3, request.source.shape[-3]), -3
        )


def derived(name, channels, **options):
    source = DerivedSource(name, options)
    return pretrained(Passed, source_channels=channels, derived=source)


def test_translate_makes_the_derived_source_unless_it_is_given():
    photo = torch.rand(3, 9, 11)
    (gray,) = derived("gray", 1).translate(photo, output_type="pt")
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    assert_close(gray, (photo * weights).sum(0, keepdim=True).expand(3, 9, 11), atol=0.01, rtol=0)
    source = torch.rand(1, 9, 11)
    (given,) = derived("gray", 1).translate(source, derive=False, output_type="pt")
    assert_close(given, source.expand(3, 9, 11))


def test_translate_derives_sources_at_the_size_that_the_networks_see():
    y, x = torch.meshgrid(torch.arange(40), torch.arange(60), indexing="ij")
    photo = ((x - 30) ** 2 + (y - 20) ** 2 < 150).float().expand(3, -1, -1)
    model = derived("edges", 1)
    (found,) = model.translate(photo, size=(20, 32), output_type="pt")
    small = resize(photo[None], 20, 32, "crop")
    expected = derive_sources(model.info.spec, small, [0])[0]
    assert expected.std() > 0.1
    assert torch.equal(found, expected.expand(3, -1, -1))
    (frame,) = model.translate_video([photo], size=(20, 32), output_type="pt")
    assert torch.equal(frame, found)


def test_translate_of_a_larger_derived_source_gives_the_size_that_was_wanted():
    model = derived("low_resolution", 3, factor=4)
    translated = model.translate(torch.rand(3, 9, 11), size=(40, 60), output_type="pt")
    assert translated.shape == (1, 3, 40, 60)


def test_translate_of_a_larger_derived_source_gives_its_size():
    model = derived("low_resolution", 3, factor=4)
    assert model.translate(torch.rand(3, 9, 11), output_type="pt").shape == (1, 3, 36, 44)
    frames = model.translate_video(clip_frames(), chunk_frames=3, output_type="pt")
    assert [tuple(img.shape) for img in frames] == [(3, 24, 40)] * 7


def test_translate_label_maps_keep_their_ids_at_any_size():
    model = pretrained(Passed, source_channels=3, source_kind="labels")
    ids = torch.randint(3, (1, 9, 11), generator=torch.Generator().manual_seed(0))
    one_hot = torch.stack([ids[0] == label for label in range(3)]).float()
    (img,) = model.translate(ids, output_type="pt")
    assert torch.equal(img, one_hot)
    (img,) = model.translate(ids, size=32, resize="pad", output_type="pt")
    assert set(img.unique().tolist()) == {0, 1} and img[:, 0].abs().max() == 0
    assert torch.equal(img.sum(0)[8:24], torch.ones(16, 32))


# Video -----------------------------------------------------------------------------------------


class Echo(Clips):
    """Each frame becomes the mean of all sources so far, plus noise of the frame."""

    name = "echo"

    def generate(self, nets, request):
        self.shapes.append(tuple(request.source.shape))
        total = request.state.get("total", torch.zeros_like(request.source[:, 0]))
        frames = []
        for number, source in enumerate(request.source.unbind(1)):
            total = total + source
            mean = total / (request.frame_index + number + 1)
            frames.append(mean + request.frame_noise(number, *mean.shape[1:]) / 100)
        request.state["total"] = total
        return torch.stack(frames, 1)


def clip_frames(num=7, size=(6, 10)):
    return list(torch.rand(num, 3, *size, generator=torch.Generator().manual_seed(0)))


def frames_of(model, chunk_frames, **given):
    return torch.stack(
        list(
            model.translate_video(
                clip_frames(), chunk_frames=chunk_frames, output_type="pt", **given
            )
        )
    )


@pytest.mark.parametrize("chunk_frames", [1, 2, 3, 100])
def test_translate_video_in_chunks_equals_the_whole_bit_for_bit(chunk_frames):
    assert torch.equal(frames_of(negative(Echo), chunk_frames), frames_of(negative(Echo), 7))


def test_translate_video_hands_frames_to_the_architecture_in_chunks():
    model = negative(Echo)
    frames = frames_of(model, 3)
    assert frames.shape == (7, 3, 6, 10), "the size is kept"
    assert model.architecture.shapes == [(1, 3, 3, 8, 12)] * 2 + [(1, 1, 3, 8, 12)]


def test_translate_video_starts_every_clip_without_state():
    model = negative(Echo)
    assert torch.equal(frames_of(model, 3), frames_of(model, 3))


def test_translate_video_seed_decides_the_noise():
    model = negative(Echo)
    assert not torch.equal(frames_of(model, 3), frames_of(model, 3, seed=1))


def test_translate_video_with_a_model_of_images_translates_each_frame_with_one_seed():
    model = negative()
    frames = frames_of(model, 3, seed=4)
    assert_close(frames, -torch.stack(clip_frames()))
    assert model.architecture.shapes == [(3, 3, 8, 12), (3, 3, 8, 12), (1, 3, 8, 12)]
    assert model.architecture.seeds == [[4] * 3, [4] * 3, [4]]


def test_translate_video_reads_frames_only_as_they_are_consumed():
    read = []
    frames = (read.append(n) or img for n, img in enumerate(clip_frames()))
    translated = negative(Echo).translate_video(frames, chunk_frames=2)
    assert read == []
    assert isinstance(next(translated), Image.Image) and read == [0, 1]


def test_translate_video_writes_a_file_with_rate_size_and_audio(tmp_path):
    source = make_video(tmp_path / "in.mp4", 12, Fraction(30000, 1001), (30, 23), audio="aac")
    found = negative(Clips).translate_video(source, tmp_path / "out.mp4", chunk_frames=5)
    before, after = read_video(source), read_video(tmp_path / "out.mp4")
    assert (found.num_frames, found.height, found.width) == (12, 30, 23)
    assert (found.fps, found.has_audio) == (Fraction(30000, 1001), True)
    assert after[1:] == before[1:]
    np.testing.assert_allclose(after[0][3], 255 - before[0][3], atol=4)


def test_translate_video_compare_shows_source_and_output_side_by_side(tmp_path):
    make_video(tmp_path / "in.mp4", 5, size=(16, 24))
    given = {"video": tmp_path / "in.mp4", "out": tmp_path / "out.mp4"}
    negative(Clips).translate_video(**given, compare=tmp_path / "both.mp4", chunk_frames=2)
    (source, out, both) = (read_video(tmp_path / f"{name}.mp4") for name in ("in", "out", "both"))
    assert both[1:3] == source[1:3] and both[0][4].shape == (16, 48, 3)
    np.testing.assert_allclose(both[0][4][:, :24], source[0][4], atol=6)
    np.testing.assert_allclose(both[0][4][:, 24:], out[0][4], atol=6)


@pytest.mark.parametrize(
    ("out", "compare", "message"),
    [
        (None, "both.mp4", "Give out too"),
        ("out", "both", "is a video"),
        ("out.mp4", "out.mp4", "two names"),
        ("out", "in.mp4", "is the video that is translated"),
    ],
)
def test_translate_video_comparison_that_cannot_be_written_is_refused(
    out, compare, message, tmp_path
):
    source = make_video(tmp_path / "in.mp4", 2)
    place = None if out is None else tmp_path / out
    with pytest.raises(ConfigError, match=message):
        negative(Clips).translate_video(source, place, compare=tmp_path / compare)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_translate_video_resizes_when_asked_to(tmp_path):
    make_video(tmp_path / "in.mp4", 3)
    found = negative().translate_video(
        tmp_path / "in.mp4", tmp_path / "out", size=(10, 14), resize="pad"
    )
    assert (found.height, found.width) == (10, 14)
    assert decode_image(tmp_path / "out" / "000002.png").shape == (10, 14, 3)


def test_translate_video_of_a_size_that_the_model_does_not_take_writes_nothing(
    tmp_path, translator
):
    make_video(tmp_path / "in.mp4", 3)
    with pytest.raises(ConfigError, match=r"in.mp4 is 16 x 24 .*6 x 8 only.*size='model'"):
        translator.translate_video(tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    found = translator.translate_video(tmp_path / "in.mp4", tmp_path / "out.mp4", size="model")
    assert (found.height, found.width) == (6, 8)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"direction": "back"}, "no direction 'back'"),
        ({"chunk_frames": 0}, "chunk_frames=0; use at least 1"),
        ({"strength": 2}, "no generation option 'strength'"),
        ({"output_type": "gif"}, "output_type='gif' is unknown"),
        ({"resize": "pad"}, "resize='pad' changes nothing"),
        ({"fps": 0}, "fps=0 is not a frame rate"),
        ({"seed": -1}, "The seed -1 is out of range"),
        ({"out": "out.gif"}, "videos are written as .mp4"),
    ],
)
def test_translate_video_impossible_request_is_refused_at_once(given, message):
    with pytest.raises(ConfigError, match=message):
        negative(Clips).translate_video(clip_frames(), **given)


def test_translate_video_on_noise_model_points_to_generate():
    with pytest.raises(ConfigError, match=r"translates none; use generate\(\)"):
        pretrained(Shown).translate_video(clip_frames())


@pytest.mark.parametrize("kind", [Negative, Echo])
def test_translate_video_keeps_no_more_frames_of_a_longer_clip(kind):
    def most_alive(num):
        found, most = [], 0
        frames = (torch.full((3, 4, 4), number / num) for number in range(num))

        def watched():
            for img in frames:
                found.append(StorageWeakRef(img.untyped_storage()))
                yield img

        for img in negative(kind).translate_video(watched(), chunk_frames=4, output_type="pt"):
            found.append(StorageWeakRef(img.untyped_storage()))
            most = max(most, sum(not storage.expired() for storage in found))
        return most

    assert most_alive(60) == most_alive(30) <= 10


# Fields of clips ---------------------------------------------------------------------------------


class Fields(Clips):
    """Shows its fields: a number of each frame, one of the clip, and the x of the first joint."""

    name = "fields"

    def generate(self, nets, request):
        shown = torch.zeros_like(request.source)
        for channel, name in enumerate(("heat", "style", "pose")):
            value = request.fields.get(name, torch.zeros(1, 1))
            value = value[..., 0] if value.ndim == 3 else value
            shown[:, :, channel] = value.reshape(1, -1, 1, 1) / 8
        return shown


def with_fields():
    fields = {
        "heat": FieldSpec("vector", 1, is_clip=True),
        "style": FieldSpec("vector", 1),
        "pose": FieldSpec("vector", 51, is_clip=True),
    }
    return pretrained(Fields, source_channels=3, source_kind="pose", fields=fields)


@pytest.mark.parametrize("chunk_frames", [1, 3, 8])
def test_translate_video_gives_each_chunk_the_fields_of_its_frames(chunk_frames):
    poses = Poses(dance(5, x=1).reshape(5, -1).astype(np.float32))
    heat = torch.arange(5.0)[:, None]
    shown = with_fields().translate_video(
        poses, size=(32, 40), chunk_frames=chunk_frames, output_type="pt",
        fields={"heat": heat, "style": [7.0]},
    )  # fmt: skip
    values = 8 * torch.stack([img[:, 0, 0] for img in shown])
    assert values[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert values[:, 1].tolist() == [7] * 5
    assert values[:, 2].tolist() == [1, 2, 3, 4, 5]


def test_translate_video_with_too_few_values_or_an_unknown_field_is_refused():
    poses = Poses(dance(5).reshape(5, -1).astype(np.float32))
    make = with_fields().translate_video
    with pytest.raises(ConfigError, match=r"fields\['heat'\] has 1 values for 2 images"):
        list(make(poses, size=40, chunk_frames=3, fields={"heat": torch.zeros(4, 1)}))
    with pytest.raises(ConfigError, match=r"no field 'heet'.*Did you mean 'heat'"):
        list(make(poses, size=40, fields={"heet": torch.zeros(5, 1)}))
