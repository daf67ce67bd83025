import pytest
import torch
from torch.testing import assert_close

from ganforge.errors import ConfigError
from ganforge.inference.sizes import Sizing, resolve_sizing
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.spec import ImageSpec


class Strided(Architecture):
    name, stride = "strided", 4
    networks = phases = generate = None


class Fixed(Strided):
    name, stride = "fixed", None


def sizing(size="keep", resize=None, kind=Strided):
    return resolve_sizing(kind(kind.Config(), ImageSpec(8, 12)), size, resize)


@pytest.mark.parametrize(
    ("size", "result", "padded"),
    [
        ("keep", (150, 90), (152, 92)),
        ("model", (8, 12), (8, 12)),
        (30, (30, 30), (32, 32)),
        ((20, 31), (20, 31), (20, 32)),
    ],
)
def test_sizing_of_a_stride_pads_to_it_and_cuts_back(size, result, padded):
    found = sizing(size)
    assert found.result(150, 90) == result and found.padded(150, 90) == padded
    fitted = found.fit(torch.rand(2, 3, 150, 90))
    assert fitted.shape == (2, 3, *padded)
    assert found.cut(fitted, 150, 90).shape == (2, 3, *result)


def test_sizing_keep_returns_every_pixel_to_its_place():
    img, found = torch.rand(1, 3, 5, 7), sizing()
    assert torch.equal(found.cut(found.fit(img), 5, 7), img)


def test_sizing_resize_decides_how_another_shape_is_reached():
    wide = torch.full((1, 1, 8, 36), -1.0)
    wide[..., 12:24] = 0.5
    assert_close(sizing("model").fit(wide), torch.full((1, 1, 8, 12), 0.5))
    assert sizing("model", "pad").fit(wide)[0, 0, 0, 0] == 1
    assert sizing("model", "stretch").fit(wide)[0, 0, 0, 0] == pytest.approx(-1, abs=0.1)


def test_sizing_without_stride_takes_images_of_the_model_only():
    found = sizing(kind=Fixed)
    found.check(8, 12, "images[0]")
    with pytest.raises(
        ConfigError,
        match=r"images\[1\] is 9 x 12 .*'fixed' translates 8 x 12 only.* size='model'.*'crop'.*"
        r"--size model --resize crop",
    ):
        found.check(9, 12, "images[1]")
    for size in ("model", (8, 12)):
        sizing(size, kind=Fixed).check(9, 12, "images[1]")


def test_sizing_without_stride_refuses_a_size_that_it_cannot_make():
    with pytest.raises(ConfigError, match="size=16: 'fixed' translates 8 x 12 only.*size='model'"):
        sizing(16, kind=Fixed)


@pytest.mark.parametrize("size", [0, -4, 99999, (8,), (8, 0), (8, 9.5), "large", None, 2.5])
def test_sizing_of_what_is_no_size_is_refused(size):
    with pytest.raises(ConfigError, match=r"is not a size. Use 'keep', 'model', a side from 1 to"):
        sizing(size)


def test_sizing_refuses_a_resize_that_is_unknown_or_without_effect():
    with pytest.raises(ConfigError, match="resize='fit' is unknown. Use 'crop', 'pad', 'stretch'"):
        sizing("model", "fit")
    with pytest.raises(ConfigError, match="resize='crop' changes nothing with size='keep'. Pass"):
        sizing("keep", "crop")


def test_sizing_is_comparable():
    assert sizing() == Sizing("strided", 4, (8, 12), None)
