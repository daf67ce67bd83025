import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.errors import ConfigError
from ganforge.inference.outputs import check_output_type, convert_output, convert_outputs

IMG = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).repeat(1, 3, 2, 4)


def test_convert_output_types_hold_the_same_pixels():
    assert convert_output(IMG, "pt") is IMG
    pixels = convert_output(IMG, "np")
    assert pixels.shape == (2, 2, 4, 3) and pixels.dtype == np.uint8
    assert pixels[0].max() == 0 and pixels[1].min() == 255
    images = convert_output(IMG, "pil")
    assert all(isinstance(image, Image.Image) for image in images)
    np.testing.assert_array_equal(np.stack([np.asarray(image) for image in images]), pixels)


@pytest.mark.parametrize("output_type", ["pt", "np"])
def test_convert_outputs_of_one_size_are_one_batch(output_type):
    assert convert_outputs(list(IMG), output_type).shape[0] == 2


@pytest.mark.parametrize("output_type", ["pil", "pt", "np"])
def test_convert_outputs_of_several_sizes_are_a_list(output_type):
    found = convert_outputs([IMG[0], IMG[1, :, :1]], output_type)
    assert isinstance(found, list)
    wide = [np.asarray(image) for image in found]
    axis = 1 if output_type == "pt" else 0
    assert [image.shape[axis] for image in wide] == [2, 1]


def test_check_output_type_lists_what_there_is():
    check_output_type("np")
    with pytest.raises(ConfigError, match="output_type='jpg' is unknown. Use 'pil', 'pt', 'np'"):
        check_output_type("jpg")
