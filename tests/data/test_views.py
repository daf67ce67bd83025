"""Views: the same numbers for the same position, within the stored image and clip."""

import numpy as np
import pytest

from ganforge.config.models import DataConfig
from ganforge.data.order import Draw, StreamOrder
from ganforge.data.shards.index import FieldSchema
from ganforge.data.views import (
    END_NIMG,
    Views,
    Window,
    check_views,
    fixed_views,
    longest_span,
    random_views,
    shown_size,
    window_at,
)
from ganforge.errors import DataError

COUNT = 4000


def draw(what):
    return StreamOrder((100,), 1, 10, seed=3).draw(what, 0, 0, COUNT)


def cropped(size=(16, 12), stored=(20, 24), scale=(1, 1)):
    return DataConfig(resolution=size, crop={"from": stored, "scale": scale})


@pytest.mark.parametrize(("count", "span"), [(10, 5), (5, 5), (250, 15)])
def test_window_lies_in_the_clip_and_every_start_is_drawn(count, span):
    window = Window(3, (span - 1) // 2)
    assert window.span == span
    shown = [window.frames(count, start) for start in np.linspace(0, 1, 5001)[:-1]]
    assert all(len(frames) == 3 and frames.step == window.stride for frames in shown)
    assert {frames[0] for frames in shown} == set(range(count - span + 1))
    assert max(frames[-1] for frames in shown) == count - 1
    assert window.frames(count, 1 - 2.0**-53)[-1] == count - 1


def test_window_of_one_frame_has_a_span_of_one():
    assert Window(1, 7).span == 1
    assert list(Window(1, 7).frames(4, 0.99)) == [3]


def test_window_follows_its_schedules():
    config = DataConfig(
        clip={
            "num_frames": {"from": 4, "to": 16, "over_kimg": 1, "shape": "linear"},
            "stride": {"from": 4, "to": 1, "over_kimg": 1, "shape": "linear"},
        }
    )
    found = [window_at(config.clip, nimg) for nimg in (0, 500, 1000, END_NIMG)]
    assert found == [Window(4, 4), Window(10, 2), Window(16, 1), Window(16, 1)]
    # 13 at the start, 16 at the end; more between them.
    spans = [window_at(config.clip, nimg).span for nimg in range(1001)]
    assert longest_span(config.clip) == max(spans) > 16


def test_longest_span_of_a_fixed_window_is_its_span():
    assert longest_span(DataConfig(clip={"num_frames": 8, "stride": 3}).clip) == 22


def test_random_views_without_options_draw_only_captions():
    views = random_views(DataConfig(), (8, 8), 0, draw)
    assert views.flips is views.crops is views.window is views.starts is views.seeds is None
    np.testing.assert_array_equal(views.captions, draw(Draw.CAPTION))


def test_random_views_mirror_half_of_the_samples():
    views = random_views(DataConfig(flip=True), (8, 8), 0, draw)
    np.testing.assert_allclose(views.flips.mean(), 0.5, atol=0.03)
    assert [views.is_mirrored(place) for place in range(9)] == views.flips[:9].tolist()


def test_random_crops_without_scale_take_every_corner_equally_often():
    crops = random_views(cropped(), (20, 24), 0, draw).crops
    assert crops.size == (16, 12)
    assert (crops.regions[:, 2:] == (16, 12)).all()
    counts = np.zeros((5, 13), dtype=int)
    np.add.at(counts, tuple(crops.regions[:, :2].T), 1)
    assert counts.min() > 0.5 * COUNT / counts.size
    assert counts.max() < 1.6 * COUNT / counts.size


def test_random_crops_with_scale_stay_inside_and_cover_the_range():
    regions = random_views(cropped(scale=(1, 2)), (20, 24), 0, draw).crops.regions
    top, left, height, width = regions.T
    assert (top >= 0).all() and (top + height <= 20).all() and (top + height == 20).any()
    assert (left >= 0).all() and (left + width <= 24).all() and (left + width == 24).any()
    assert (height.min(), height.max()) == (8, 16)
    assert (width.min(), width.max()) == (6, 12)
    np.testing.assert_allclose(height / width, 16 / 12, rtol=0.13)


def test_fixed_views_show_the_middle_and_the_first_frames():
    config = cropped().model_copy(
        update={"flip": True, "clip": DataConfig(clip={"num_frames": 3, "stride": 2}).clip}
    )
    views = fixed_views(config, (20, 24), np.array([0, 7]))
    assert views.crops.regions.tolist() == [[2, 6, 16, 12]] * 2
    assert views.flips is views.captions is views.seeds is None
    assert list(views.frames(1, 30, Window(9))) == [0, 2, 4]
    assert views.choose(1, 5) == 0


def test_fixed_views_of_images_of_the_size_of_crops_are_whole():
    assert fixed_views(cropped(), (16, 12), np.arange(2)).crops is None
    assert shown_size(cropped(), (16, 12)) == shown_size(cropped(), (20, 24)) == (16, 12)
    assert shown_size(DataConfig(), (20, 24)) == (20, 24)


def test_fixed_seeds_depend_on_the_sample_alone():
    config = DataConfig(derive="any")
    seeds = fixed_views(config, (8, 8), np.array([5, 6])).seeds
    other = fixed_views(config, (8, 8), np.array([6, 9, 5])).seeds
    assert seeds[0] == other[2] and seeds[1] == other[0] and len(set(other.tolist())) == 3


def test_views_by_default_show_whole_samples():
    views = Views()
    assert not views.is_mirrored(0) and views.choose(0, 3) == 0
    assert views.frames(0, 9, Window(4)) == range(4)


@pytest.mark.parametrize(
    ("schema", "config", "message"),
    [
        (
            FieldSchema(kind="labels", height=24, width=24, channels=1),
            cropped(),
            "'x' at HERE is stored at 24x24, .* to 16x12 .* stored at 20x24. Set data.crop.from",
        ),
        (
            FieldSchema(kind="image", is_clip=True, num_frames=14),
            DataConfig(clip={"num_frames": 8, "stride": 2}),
            "span up to 15 frames, but the shortest clip of 'x' at HERE has 14. Lower",
        ),
    ],
)
def test_check_views_refuses_what_cannot_be_cut(schema, config, message):
    with pytest.raises(DataError, match=message):
        check_views(config, {"x": schema}, (20, 24), "HERE")


def test_check_views_accepts_what_fits():
    fields = {
        "image": FieldSchema(kind="image", height=20, width=24),
        "frames": FieldSchema(kind="vector", is_clip=True, num_frames=15),
        "label": FieldSchema(kind="label"),
    }
    clip = DataConfig(clip={"num_frames": 8, "stride": 2}).clip
    check_views(cropped().model_copy(update={"clip": clip}), fields, (20, 24), "HERE")


def test_check_views_refuses_images_smaller_than_the_crops():
    image = FieldSchema(kind="image", height=15, width=24)
    with pytest.raises(DataError, match="stored at 15x24, and cannot be cropped to 16x12"):
        check_views(cropped(), {"image": image}, (15, 24), "HERE")
