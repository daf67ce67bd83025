import pytest
import torch
from inference.shown import Translator, pretrained
from torch.testing import assert_close

from ganforge.errors import ConfigError
from ganforge.inference.tiles import Tiling, resolve_tiling
from ganforge.interfaces.spec import FieldSpec
from ganforge.layers import InstanceNorm


def blurred(img):
    """The mean of 5x5 pixels, over repeated edges."""
    padded = torch.nn.functional.pad(img, (2, 2, 2, 2), mode="replicate")
    return torch.nn.functional.avg_pool2d(padded, 5, 1)


class Blur(Translator):
    """Blurs images whose sides are multiples of 4; it notes their shapes."""

    name, stride, receptive_field = "blur", 4, 5

    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.shapes = []

    def generate(self, nets, request):
        self.shapes.append(tuple(request.source.shape))
        depth = request.fields.get("depth")
        return blurred(request.source) if depth is None else depth.expand(-1, 3, -1, -1)


def blur():
    return pretrained(Blur, source_channels=3)


def image(height=61, width=87):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(("side", "overlap"), [(16, 8), (32, 8), (32, 15), (48, 10)])
def test_tiles_of_a_layer_that_sees_little_are_the_whole_image(side, overlap):
    model = blur()
    (whole,) = model.translate(image(), output_type="pt")
    (tiled,) = model.translate(image(), tile=side, overlap=overlap, output_type="pt")
    assert_close(tiled, whole)
    assert max(max(shape[-2:]) for shape in model.architecture.shapes[1:]) == side


def test_tiles_that_do_not_overlap_show_a_seam():
    model = blur()
    (whole,) = model.translate(image(), output_type="pt")
    (tiled,) = model.translate(image(), tile=16, overlap=0, output_type="pt")
    assert (tiled - whole).abs().max() > 0.1


@pytest.mark.parametrize("length", [16, 20, 64, 100])
def test_windows_start_at_the_stride_cover_the_image_and_overlap(length):
    tiling = Tiling(16, 5, 4)
    starts = [window[0].start for window in tiling.windows(length, 16)]
    assert starts[0] == 0 and starts[-1] == length - 16
    assert all(start % 4 == 0 for start in starts)
    pairs = zip(starts, starts[1:], strict=False)
    assert all(0 < other - one <= 16 - 5 for one, other in pairs)


def test_tiles_of_a_small_image_are_the_image():
    model = blur()
    assert_close(
        model.translate(image(8, 12), tile=16, output_type="pt"), blurred(image(8, 12)[None])
    )
    assert model.architecture.shapes == [(1, 3, 8, 12)]


def test_tiles_cut_the_further_fields_too():
    model = pretrained(Blur, source_channels=3, fields={"depth": FieldSpec("image", 1)})
    depth = image()[:1]
    fields = {"depth": [depth]}
    (made,) = model.translate(image(), tile=32, overlap=8, fields=fields, output_type="pt")
    assert_close(made, depth.expand(3, -1, -1))


class Normalized(Blur):
    """Normalizes what it is given, so that tiles have other colors than the whole."""

    name = "normalized"

    def generate(self, nets, request):
        return InstanceNorm()(request.source) / 4


def test_tiles_of_instance_normalization_are_blended_without_a_step():
    model = pretrained(Normalized, source_channels=3)
    brighter = torch.linspace(-1, 1, 176).square().expand(3, 64, 176)
    (whole,) = model.translate(brighter, output_type="pt")

    def steepest(overlap):
        """The largest step, from column to column, of what tiles change."""
        options = {"tile": 64, "overlap": overlap, "output_type": "pt"}
        change = model.translate(brighter, **options)[0] - whole
        return float(change.diff(dim=-1).abs().max())

    assert steepest(32) < steepest(0) / 8


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"overlap": 8}, "overlap=8 is for tiles"),
        ({"tile": 18}, "tile=18 must be a multiple of 4.*Use 16"),
        ({"tile": 2}, "tile=2 must be a multiple of 4.*Use 4"),
        ({"tile": 16, "overlap": 9}, "overlap=9 is out of range.*0 to 8"),
    ],
)
def test_tiles_that_cannot_be_are_refused_before_any_work(given, message):
    model = blur()
    with pytest.raises(ConfigError, match=message):
        model.translate(image(), **given)
    assert model.architecture.shapes == []


def test_tiles_of_an_architecture_of_one_size_or_of_video_are_refused():
    for kind, message in (
        (type("OneSize", (Blur,), {"stride": None}), "images of one size"),
        (type("Clips", (Blur,), {"inputs": ("source", "frames")}), "translates video"),
    ):
        with pytest.raises(ConfigError, match=message):
            resolve_tiling(pretrained(kind, source_channels=3).architecture, 16, None)


def test_tile_smaller_than_the_receptive_field_is_warned_of(caplog):
    blur().translate(image(), tile=4, output_type="pt")
    assert "tile=4 is smaller than the 5 pixels" in caplog.text
    caplog.clear()
    blur().translate(image(), tile=8, output_type="pt")
    assert caplog.text == ""
