import pytest
import torch
from torch.testing import assert_close

from ganforge.imaging.arrays import from_array, to_array


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 1, 4, 5), (2, 6, 3, 4, 5)])
def test_arrays_have_channels_last_and_give_back_the_images(shape):
    img = torch.rand(shape) * 2 - 1
    values = to_array(img)
    assert values.shape == (*shape[:-3], *shape[-2:], shape[-3])
    assert values.min() >= 0 and values.max() <= 1
    assert_close(torch.from_numpy(values).movedim(-1, -3), (img + 1) / 2)
    assert_close(from_array(values), img)


def test_array_of_values_slightly_outside_is_clamped():
    assert to_array(torch.tensor([[[-1.01, 1.01]]])).tolist() == [[[0.0], [1.0]]]


def test_image_of_an_array_is_a_copy():
    values = to_array(torch.zeros(1, 2, 2))
    from_array(values).fill_(1)
    assert (values == 0.5).all()
