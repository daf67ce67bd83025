from dataclasses import replace

import pytest

from ganforge.data.inspect import DatasetReport, ImageForm
from ganforge.errors import ConfigError
from ganforge.starters.recipes import (
    STARTERS,
    choose_resolution,
    choose_starter,
    image_size,
    length,
    settings,
    two_digits,
)
from ganforge.starters.survey import Survey

IMAGES = Survey(
    "images",
    ("in",),
    {"name": "folder", "path": "in"},
    DatasetReport("in", num_samples={"main": 3000}, forms={ImageForm(72, 72, 3, 8): 3000}),
    3000,
)


def values(found=IMAGES, starter=STARTERS[0], side=64):
    return {each.key: each.value for each in settings(found, starter, "name", (side, "why"))}


def lengths(starter=STARTERS[0], speed=100.0, minutes=10.0):
    return {each.key: each.value for each in length(IMAGES, starter, minutes, speed, "here")}


@pytest.mark.parametrize(
    ("side", "is_gpu", "wanted", "expected"),
    [
        (72, False, None, 64),
        (28, False, None, 32),  # enlarged a little
        (9, False, None, 16),
        (1000, False, None, 64),
        (1000, True, None, 128),
        (72, False, 48, 48),
    ],
)
def test_resolution_follows_the_images_and_the_machine(side, is_gpu, wanted, expected):
    report = DatasetReport("in", forms={ImageForm(side, side + 5, 3, 8): 1})
    found = replace(IMAGES, report=report)
    assert choose_resolution(found, STARTERS[0], is_gpu, wanted)[0] == expected


def test_resolution_on_a_cpu_is_at_most_that_of_the_starter():
    small = replace(STARTERS[0], cpu_side=32)
    assert choose_resolution(IMAGES, small, False, None)[0] == 32
    assert choose_resolution(IMAGES, small, True, None)[0] == 64


def test_gamma_grows_with_the_pixels():
    gammas = [
        each["gamma"] for side in (64, 128) for each in values(side=side)["loss.regularizers"]
    ]
    assert gammas == [1, 1, 4, 4]


def test_gamma_of_stylegan2_is_that_of_the_paper():
    stylegan2 = next(one for one in STARTERS if one.architecture == "stylegan2")
    (r1,) = values(starter=stylegan2, side=256)["loss.regularizers"]
    assert r1["gamma"] == pytest.approx(0.0002 * 256**2 / 32, rel=0.05)


def test_starter_follows_the_machine_and_the_wish():
    assert choose_starter(IMAGES, False, None).architecture == "dcgan"
    assert choose_starter(IMAGES, True, None).architecture == "stylegan2"
    assert choose_starter(IMAGES, False, "stylegan2").architecture == "stylegan2"
    with pytest.raises(ConfigError, match=r"no recipe with it for images, only dcgan, stylegan2"):
        choose_starter(IMAGES, False, "cyclegan")


VIDEO = replace(
    IMAGES,
    kind="video",
    source={"name": "video", "path": "in"},
    report=replace(
        IMAGES.report, forms={ImageForm(720, 1280, 3, 8): 90, ImageForm(64, 64, 3, 8): 9}
    ),
)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ((720, 1280), (64, 112)),
        ((1280, 720), (112, 64)),
        ((300, 300), (64, 64)),
        ((9, 100), (64, 704)),
    ],
)
def test_size_of_video_keeps_its_aspect_in_sides_that_can_be_halved(form, expected):
    found = replace(VIDEO, report=replace(VIDEO.report, forms={ImageForm(*form, 3, 8): 1}))
    assert image_size(found, 64) == expected
    assert image_size(replace(found, kind="images"), 64) == (64, 64)


def test_video_trains_vid2vid_and_holds_out_the_end_of_each_clip():
    starter = choose_starter(VIDEO, False, None)
    found = values(VIDEO, starter)
    assert starter.architecture == "vid2vid"
    assert found["data.source"]["part"] == [0, 0.8]
    assert found["data.validation"]["source"] == {"name": "video", "path": "in", "part": [0.8, 1]}
    assert found["data.resolution"] == [64, 112]  # of most frames


def test_transparent_images_get_a_background_that_shows_them():
    dark = replace(IMAGES.report, num_transparent=3000, brightness=100.0)
    bright = replace(dark, brightness=240.0)
    assert "data.background" not in values()
    assert values(replace(IMAGES, report=dark))["data.background"] == [255, 255, 255]
    assert values(replace(IMAGES, report=bright))["data.background"] == [0, 0, 0]


def test_damage_gray_and_small_classes_change_the_data_section():
    report = replace(
        IMAGES.report, num_bad=2, class_counts={"a": 9}, forms={ImageForm(72, 72, 1, 8): 3000}
    )
    found = values(replace(IMAGES, report=report))
    assert found["data.on_bad_sample"] == "skip"
    assert found["data.channels"] == 1
    assert found["data.flip"] is found["data.use_labels"] is False


def test_length_fills_the_minutes_at_the_measured_speed():
    found = lengths()
    assert found["train.total_kimg"] == 54  # 100 x 600 x 0.9
    assert found["train.max_minutes"] == 10
    assert found["train.schedule"] == {"decay_start_kimg": 27, "decay_end_kimg": 54}
    assert found["augment"] == "diffaugment"  # 18 passes over 3,000 images
    assert 4 < found["train.sample_every_kimg"] <= 6


def test_length_of_a_short_run_still_shows_pictures():
    found = lengths(minutes=0.4)
    assert found["train.sample_every_kimg"] <= found["train.total_kimg"] / 4
    assert lengths(minutes=600)["train.sample_every_kimg"] == 32  # of 3,200: a hundred pictures


def test_length_of_more_than_twelve_passes_augments():
    assert lengths(minutes=6.6)["augment"] is None  # 36,000 of 3,000 images
    assert lengths(minutes=6.9)["augment"] == "diffaugment"


def test_two_digits_keeps_what_people_write():
    assert [two_digits(n) for n in (54321, 150.4, 12, 3.14, 0.0273)] == [54000, 150, 12, 3.1, 0.027]
