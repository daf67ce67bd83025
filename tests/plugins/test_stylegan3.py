import math
from functools import partial

import pytest
import torch
from ganforge_stylegan.config import Stylegan2Config, Stylegan3Config
from ganforge_stylegan.schedule import Plan
from ganforge_stylegan.stylegan2 import Stylegan2
from ganforge_stylegan.stylegan3 import AliasFreeLayer, FourierInput, Stylegan3
from small import GRAY, build, build_networks, no_label, num_parameters
from torch.testing import assert_close

from ganforge.api import ConfigError, GenerateRequest, ImageSpec, Objective
from ganforge.objectives.losses import NonSaturating

tiny, built = partial(build, Stylegan3), partial(build_networks, Stylegan3)


# The schedule -----------------------------------------------------------------------------------


def paper_bands(side, channel_base=32768):
    config = Stylegan3Config()
    spec = ImageSpec(side, side, 3)
    return Plan(spec, config.num_layers, config.margin, channel_base, 512).bands()


def test_stylegan3_schedule_at_1024_has_the_published_sizes_and_channels():
    bands = paper_bands(1024)
    sizes = [36, 36, 52, 52, 84, 148, 148, 276, 276, 532, 1044, 1044, 1044, 1024, 1024]
    assert [band.grid for band in bands] == [(size, size) for size in sizes]
    assert [band.channels for band in bands] == [512] * 7 + [323, 203, 128, 81, 51, 32, 32, 3]
    assert [band.rate for band in bands] == [
        16, 16, 32, 32, 64, 128, 128, 256, 256, 512, 1024, 1024, 1024, 1024, 1024,
    ]  # fmt: skip


@pytest.mark.parametrize("side", [64, 256, 1024])
def test_stylegan3_cutoffs_grow_geometrically_to_half_the_resolution(side):
    bands = paper_bands(side)
    ratio = (side / 4) ** (1 / 12)
    for index, band in enumerate(bands):
        assert band.cutoff == pytest.approx(2 * ratio ** min(index, 12))
    assert [band.cutoff for band in bands[-3:]] == pytest.approx([side / 2] * 3)


def test_stylegan3_stop_bands_follow_the_paper():
    """f_t from 2^2.1 to 2^0.3 f_c; where half the sampling rate is more, the filter takes it."""
    bands = paper_bands(256)
    ratio = (128 * 2**0.3 / 2**2.1) ** (1 / 12)
    for index, band in enumerate(bands):
        stopband = 2**2.1 * ratio ** min(index, 12)
        assert band.cutoff + band.half_width == pytest.approx(max(stopband, band.rate / 2))
        # No more is sampled than needed, and the next power of two.
        assert band.rate == min(2 ** math.ceil(math.log2(2 * stopband)), 256)
    assert bands[12].half_width == pytest.approx(128 * (2**0.3 - 1))


def test_stylegan3_schedule_of_other_sizes_halves_the_image_to_whole_rates():
    bands = Plan(ImageSpec(48, 80), 6, 4, 1024, 512).bands()
    assert {band.rate for band in bands} == {12, 24, 48}
    assert bands[0].grid == (12 + 8, 20 + 8)
    assert bands[-1].grid == bands[-2].grid == (48, 80)


@pytest.mark.parametrize("height, width", [(30, 30), (33, 33), (64, 50)])
def test_stylegan3_unreachable_size_says_what_to_set(height, width):
    message = rf"data\.resolution: 'stylegan3'.*{height}x{width} is not.*nearest.*data\.resize"
    with pytest.raises(ConfigError, match=message):
        tiny(ImageSpec(height, width)).check(Objective(NonSaturating(NonSaturating.Config())))


def test_stylegan3_image_smaller_than_its_first_layer_is_refused():
    message = r"data\.resolution: 'stylegan3' starts.*4\.3 cycles.*8x8.*16 or more.*'stylegan2'"
    with pytest.raises(ConfigError, match=message):
        tiny(ImageSpec(8, 8)).check(Objective(NonSaturating(NonSaturating.Config())))


# Networks ---------------------------------------------------------------------------------------


def test_stylegan3_at_1024_has_the_number_of_parameters_of_its_layers():
    with torch.device("meta"):
        networks = Stylegan3(Stylegan3Config(), ImageSpec(1024, 1024, 3)).networks()
    widths = [512] * 8 + [323, 203, 128, 81, 51, 32, 32]
    mapping = 2 * (512 * 512 + 512)
    source = 512 * 512 + 4 * (512 + 1)
    layers = sum(9 * a * b + b + (512 + 1) * a for a, b in zip(widths, widths[1:], strict=False))
    to_image = 32 * 3 + 3 + (512 + 1) * 32
    expected = mapping + source + layers + to_image
    assert num_parameters(networks["generator"]) == expected == 22_313_167
    assert num_parameters(networks["discriminator"]) == 29_012_513  # that of StyleGAN2


def make_input(channels=64, spec=GRAY, margin=2):
    torch.manual_seed(0)
    band = Plan(spec, 4, margin, 64 * channels, channels).bands()[0]
    return FourierInput(band, 5)


def test_stylegan3_input_has_frequencies_all_over_the_disc():
    waves = make_input(4096).frequencies
    radius = waves.norm(dim=1)
    assert radius.max() <= 2.0
    # Uniform over the area: half of them lie beyond the radius sqrt(1/2).
    beyond = (radius > 2 * math.sqrt(0.5)).float().mean()
    assert_close(beyond, torch.tensor(0.5), atol=0.03, rtol=0)
    assert waves.mean(dim=0).abs().max() < 0.06


def plane_waves(source, x, y):
    """The mixed waves [C] at one point, from the definition."""
    turns = source.frequencies @ torch.tensor([x, y]) + source.phases
    return source.weight @ torch.sin(2 * math.pi * turns) / math.sqrt(len(turns))


def test_stylegan3_input_samples_plane_waves_at_pixel_centers():
    source = make_input(spec=ImageSpec(16, 32), margin=2)
    out = source(torch.zeros(1, 5))
    assert out.shape == (1, 64, 16 + 4, 32 + 4)
    # Pixel (0, 0) of the image lies in the margin's corner.
    assert_close(out[0, :, 2, 2], plane_waves(source, -1 + 1 / 32, -0.5 + 1 / 32))
    assert_close(out[0, :, 10, 18], plane_waves(source, 1 / 32, 1 / 32))


def test_stylegan3_input_moves_and_turns_with_its_affine_layer():
    source = make_input()
    angle = 0.3
    with torch.no_grad():
        source.affine.bias.copy_(torch.tensor([2 * math.cos(angle), 2 * math.sin(angle), 0.2, 0.4]))
    out = source(torch.zeros(1, 5), torch.tensor([[0.05, 0.0]]))
    # Row 4, column 7 of 20, of which 2 are margin; rotation and translation are over their norm.
    x, y = (7 - 9.5) / 16 - 0.1 - 0.05, (4 - 9.5) / 16 - 0.2
    turned = x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)
    assert_close(out[0, :, 4, 7], plane_waves(source, *turned), atol=1e-4, rtol=1e-4)


def test_stylegan3_input_starts_without_pose_but_learns_one():
    source = make_input()
    w = torch.randn(2, 5)
    assert_close(source(w)[:1], source(torch.zeros(1, 5)))
    source(w).square().sum().backward()
    assert source.affine.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("spec", [ImageSpec(64, 64), ImageSpec(24, 40), ImageSpec(28, 28)], ids=str)
def test_stylegan3_layers_keep_the_center(spec):
    """A picture that is its own mirror image stays so, through every change of rate."""
    config = Stylegan3Config(w_dim=4, channel_max=2, channel_base=512, num_layers=6, margin=4)
    bands = Plan(spec, 6, 4, 512, 2).bands()
    for before, after in zip(bands[:-2], bands[1:-1], strict=True):
        layer = AliasFreeLayer(before, after, config).eval()
        with torch.no_grad():
            layer.conv.weight[:] = layer.conv.weight + layer.conv.weight.flip((2, 3))
        x = torch.randn(1, before.channels, *before.grid)
        out = layer(x + x.flip((2, 3)), torch.randn(1, 4))
        assert out.shape[2:] == after.grid
        assert_close(out, out.flip((2, 3)), atol=1e-5, rtol=1e-4)


def test_stylegan3_inputs_are_divided_by_their_running_root_mean_square():
    layer = built(magnitude_decay=0.75)["generator"].synthesis.layers[0]
    x, w = 3 * torch.randn(2, 8, 20, 20), torch.randn(2, 8)
    mean_square = x.square().mean()
    layer.eval()(x, w)
    assert layer.magnitude == 1
    layer.train()(x, w)
    expected = 0.75 + 0.25 * mean_square
    assert_close(layer.magnitude, expected)
    layer.eval()
    with torch.no_grad():
        out = layer(x, w)
        layer.magnitude.mul_(4)
        assert_close(layer(2 * x, w), out, atol=1e-4, rtol=1e-3)


def test_stylegan3_state_is_float_and_holds_the_waves():
    state = built()["generator"].state_dict()
    assert all(t.is_floating_point() for t in state.values())
    assert {"synthesis.input.frequencies", "synthesis.input.phases"} <= set(state)


# Equivariance -----------------------------------------------------------------------------------


def psnr(one, other):
    """Peak signal to noise ratio in dB; the peak is the range of the first."""
    one, other = one.detach(), other.detach()
    return float(20 * torch.log10((one.max() - one.min()) / (one - other).square().mean().sqrt()))


def calibrated(margin=10):
    """A generator whose running magnitudes are those of its features; and latents."""
    torch.manual_seed(0)
    options = {"margin": margin, "num_layers": 6, "channel_base": 4096, "channel_max": 16}
    gen = built(ImageSpec(32, 32), magnitude_decay=0.0, **options)["generator"]
    with torch.no_grad():
        gen.train()(torch.randn(4, 8), no_label(4))
        return gen.eval(), gen.styles(torch.randn(2, 8), no_label(2))


def moved(gen, ws, pixels):
    with torch.no_grad():
        return gen.synthesis(ws, torch.tensor([[pixels / 32, 0.0]]).expand(len(ws), -1))


@pytest.mark.parametrize("pixels", [1, 3])
def test_stylegan3_moving_the_input_by_whole_pixels_moves_the_image(pixels):
    gen, ws = calibrated()
    assert psnr(moved(gen, ws, 0)[..., :-pixels], moved(gen, ws, pixels)[..., pixels:]) > 70


def resampled(img, pixels, reach=8):
    """The image moved to the right by a part of a pixel: Lanczos' windowed sinc."""
    offset = torch.arange(-reach, reach + 1, dtype=torch.float64) - pixels
    weights = torch.sinc(offset) * torch.sinc(offset / reach) * (offset.abs() < reach)
    rows = img.double().reshape(-1, 1, img.shape[-1])
    out = torch.nn.functional.conv1d(rows, weights.flip(0)[None, None], padding=reach)
    return out.reshape(img.shape)


def test_stylegan3_moving_the_input_by_a_part_of_a_pixel_moves_the_image():
    gen, ws = calibrated()
    inner = (..., slice(9, -9))
    assert psnr(resampled(moved(gen, ws, 0), 0.4)[inner], moved(gen, ws, 0.4).double()[inner]) > 60


def test_stylegan3_without_filters_around_the_rectifiers_it_is_less_equivariant():
    gen, ws = calibrated()
    filtered = psnr(moved(gen, ws, 0)[..., :-1], moved(gen, ws, 1)[..., 1:])
    for layer in gen.synthesis.layers:
        steps = layer.rectify
        layer.rectify = torch.nn.Sequential(torch.nn.LeakyReLU(0.2), steps.enlarge, steps.reduce)
    plain = psnr(moved(gen, ws, 0)[..., :-1], moved(gen, ws, 1)[..., 1:])
    assert plain < filtered - 20


def test_stylegan2_is_not_equivariant_where_stylegan3_is():
    """The same measurement of StyleGAN2, whose constant is drawn from moving waves."""
    torch.manual_seed(0)
    config = {**Stylegan2.example_options, "channel_base": 4096, "channel_max": 16}
    gen = Stylegan2(Stylegan2Config(**config), ImageSpec(28, 28)).networks()["generator"].eval()
    ws = gen.styles(torch.randn(2, 8), no_label(2))
    waves, phases = 2 * torch.randn(16, 2), torch.rand(16)

    def image(pixels):
        place = (torch.arange(7) - 3) / 7
        turns = waves[:, :1, None] * (place - pixels / 28) + waves[:, 1:, None] * place[:, None]
        with torch.no_grad():
            gen.synthesis.const.copy_(torch.sin(2 * math.pi * (turns + phases[:, None, None])))
            return gen.synthesis(ws)

    inner = (..., slice(8, -8), slice(8, -8))
    assert psnr(image(0).roll(1, dims=-1)[inner], image(1)[inner]) < 40


# Use --------------------------------------------------------------------------------------------


def test_stylegan3_generate_shift_moves_the_image_to_the_right_and_down():
    gen, _ = calibrated()
    options = {"margin": 10, "num_layers": 6, "channel_base": 4096, "channel_max": 16}
    architecture, nets = tiny(**options), {"generator": gen}
    still = architecture.generate(nets, GenerateRequest([3]))
    request = GenerateRequest([3], options={"shift_x": 2 / 32, "shift_y": 1 / 32})
    shifted = architecture.generate(nets, request)
    assert psnr(still[..., :-1, :-2], shifted[..., 1:, 2:]) > 60


@pytest.mark.parametrize("value", ["far", float("nan")])
def test_stylegan3_shift_that_is_no_number_is_refused(value):
    message = r"'shift_y' of 'stylegan3' is .*give a number of short sides.*0\.1"
    with pytest.raises(ConfigError, match=message):
        tiny().check_request(None, {"shift_y": value})


def test_stylegan3_has_no_noise_option():
    with pytest.raises(ConfigError, match=r"'stylegan3' has no generation option 'noise'"):
        tiny().check_request(None, {"noise": "const"})


def test_stylegan3_truncation_zero_gives_one_image_for_all_seeds():
    nets = {"generator": built()["generator"].eval()}
    images = tiny().generate(nets, GenerateRequest([1, 2], truncation=0.0))
    assert_close(images[0], images[1])


def test_stylegan3_under_bf16_autocast_stays_near_float32():
    networks = built(channel_max=16, channel_base=1024)
    gen = networks["generator"].eval()
    z = torch.randn(4, 8)
    img = gen(z, no_label(4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        img_bf16 = gen(z, no_label(4))
    assert img_bf16.dtype == torch.float32
    assert_close(img_bf16, img, atol=0.02 * img.abs().max().item(), rtol=0.05)


def test_stylegan3_generator_is_one_graph_for_the_compiler():
    gen = built()["generator"].eval()
    z = torch.randn(2, 8)
    compiled = torch.compile(gen, backend="eager", fullgraph=True)
    assert_close(compiled(z, no_label(2)), gen(z, no_label(2)))
