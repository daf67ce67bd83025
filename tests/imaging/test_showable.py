import pytest
import torch

from ganforge.imaging.images import from_uint8, to_uint8
from ganforge.imaging.showable import colored, palette, showable


@pytest.mark.parametrize(("channels", "shown"), [(1, 1), (2, 1), (3, 3), (4, 4), (5, 3), (16, 3)])
def test_showable_keeps_the_first_channels_of_images_and_clips(channels, shown):
    img = torch.rand(2, channels, 4, 5)
    assert torch.equal(showable(img), img[:, :shown])
    clips = torch.rand(2, 6, channels, 4, 5)
    assert torch.equal(showable(clips), clips[:, :, :shown])


def test_palette_is_that_of_pascal_voc():
    colors = palette()
    assert colors[:5].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    assert colors[15].tolist() == [192, 128, 128]  # person
    assert colors[20].tolist() == [0, 64, 128]  # television
    assert len(colors.unique(dim=0)) == 256


def one_hot(labels, size):
    channels = torch.arange(size).view(size, 1, 1)
    return (torch.as_tensor(labels).unsqueeze(-3) == channels).float()


def test_colored_gives_each_label_its_color_and_white_where_there_is_none():
    found = to_uint8(colored(one_hot([[[0, 1], [2, 9]]], 3)))
    assert found.shape == (1, 3, 2, 2)
    assert found[0].flatten(1).T.tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [255, 255, 255]]


def test_colored_clips_repeat_the_colors_after_256_labels():
    found = colored(one_hot(torch.full((2, 3, 1, 1), 257), 300))
    assert found.shape == (2, 3, 3, 1, 1)
    assert torch.equal(found[1, 2, :, 0, 0], from_uint8(palette()[1]))
