"""Sheets of translations, read back pixel by pixel; images are large enough for their labels."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ganforge.imaging.showable import palette
from ganforge.interfaces.spec import ImageSpec
from ganforge.training.tasks.sheets import MAX_FRAMES, animation, make_block, sheet

SIDE = 64
SPEC = ImageSpec(SIDE, SIDE, 1, source_channels=1)


def shades(*values, frames=0) -> Tensor:
    """One gray image for each value, in units of 8 bits; of clips, each frame is one lighter."""
    img = torch.tensor(values).float().view(-1, 1, 1, 1).expand(-1, 1, SIDE, SIDE)
    if frames:
        img = img.unsqueeze(1) + torch.arange(frames).view(1, -1, 1, 1, 1)
    return img / 127.5 - 1


def block(source, output, target=None, direction="source_to_target", spec=SPEC):
    return make_block(source, output, target, direction, spec)


def cells(picture, rows):
    """The shade of each image of a sheet, by row: long runs of one shade in its middle lines."""
    pixels = np.asarray(picture.convert("L"))
    height = picture.height / rows
    found = []
    for row in range(rows):
        line = pixels[int(height * (row + 0.6))]
        ends = np.flatnonzero(np.diff(line)) + 1
        runs = np.split(line, ends)
        found.append([int(run[0]) for run in runs if len(run) >= SIDE // 2 and run[0] != 255])
    return found


def test_sheet_shows_source_output_and_target_of_several_samples_a_row():
    made = block(shades(10, 20, 30), shades(110, 120, 130), shades(210, 220, 230))
    assert list(made) == ["source", "output", "target"]
    assert cells(sheet([made], (2, 6)), 2) == [[10, 110, 210, 20, 120, 220], [30, 130, 230]]
    assert cells(sheet([made], (3, 2)), 3) == [[10, 110, 210], [20, 120, 220], [30, 130, 230]]
    assert cells(sheet([made], (1, 2)), 1) == [[10, 110, 210]]  # more samples than rows


def test_sheet_names_every_column():
    made = block(shades(10, 20), shades(110, 120))
    picture = np.asarray(sheet([made], (1, 4)).convert("L"))
    heads = np.array_split(picture[: len(picture) - SIDE], 4, axis=1)
    assert all((head < 128).any() for head in heads)


def test_sheet_of_unpaired_data_has_no_target():
    made = block(shades(10, 20), shades(110, 120))
    assert list(made) == ["source", "output"]
    assert cells(sheet([made], (1, 4)), 1) == [[10, 110, 20, 120]]


def test_sheet_is_no_wider_than_its_samples():
    made = block(shades(10), shades(110))
    assert sheet([made], (8, 8)).width < 3 * SIDE


def test_sheet_shows_directions_one_below_the_other():
    there = block(shades(10, 20), shades(110, 120))
    back = block(shades(210, 220), shades(60, 70), direction="target_to_source")
    assert list(back) == ["target", "output"]
    assert cells(sheet([there, back], (1, 4)), 2) == [[10, 110, 20, 120], [210, 60, 220, 70]]


def test_block_shows_label_maps_in_colors_in_whichever_column():
    spec = ImageSpec(SIDE, SIDE, 3, source_channels=5, source_kind="labels")
    labels = torch.zeros(1, 5, SIDE, SIDE)
    labels[:, 3] = 1
    img = torch.zeros(1, 3, SIDE, SIDE)
    color = palette()[3] / 127.5 - 1
    there = block(labels, img, img, spec=spec)
    back = block(img, labels, labels, "target_to_source", spec=spec)
    for shown in (there["source"], back["output"], back["source"]):
        torch.testing.assert_close(shown[0, :, 0, 0], color)
    assert torch.equal(there["target"], img) and torch.equal(back["target"], img)


def test_block_shows_the_first_channels_and_sources_of_another_size():
    source = torch.rand(2, 7, 8, 8)
    made = block(source, torch.zeros(2, 3, 16, 16))
    assert made["source"].shape == (2, 3, 16, 16)
    assert torch.equal(made["source"][..., ::2, ::2], source[:, :3])
    clips = block(torch.rand(2, 5, 1, 8, 8), torch.zeros(2, 5, 3, 16, 16))
    assert clips["source"].shape == (2, 5, 1, 16, 16)


def clip_block(count=3, frames=5):
    values = [
        shades(*(first + 20 * n for n in range(count)), frames=frames) for first in (0, 80, 160)
    ]
    return block(*values, direction="source_to_frames")


def test_sheet_of_video_shows_frames_from_the_first_to_the_last():
    made = clip_block()
    assert list(made) == ["source", "output", "frames"]
    assert cells(sheet([made], (3, 3)), 3) == [[0, 2, 4], [80, 82, 84], [160, 162, 164]]
    assert len(cells(sheet([made], (6, 3)), 6)) == 6
    assert cells(sheet([made], (6, 3)), 6)[3] == [20, 22, 24]  # the second clip


def test_animation_shows_clips_below_each_other_and_all_frames():
    frames = animation([clip_block()], (6, 3))
    assert len(frames) == 5
    for number, frame in enumerate(frames):
        first, second = cells(frame, 2)
        assert first == [number, 80 + number, 160 + number]
        assert second == [20 + number, 100 + number, 180 + number]


def test_animation_shows_a_still_source_in_every_frame():
    made = block(shades(7), shades(50, frames=2), direction="source_to_frames")
    assert [cells(frame, 1) for frame in animation([made], (1, 2))] == [[[7, 50]], [[7, 51]]]
    assert cells(sheet([made], (2, 2)), 2) == [[7, 7], [50, 51]]


@pytest.mark.parametrize(("frames", "shown"), [(1, 1), (MAX_FRAMES + 9, MAX_FRAMES)])
def test_animation_is_limited_in_length(frames, shown):
    clips = torch.zeros(1, frames, 1, 4, 4)
    assert len(animation([block(clips, clips)], (1, 2))) == shown


def test_animation_of_still_images_is_empty():
    assert animation([block(shades(1), shades(2))], (1, 2)) == []
