from functools import partial

import pytest
import torch
from ganforge_stylegan.config import StyleganConfig
from ganforge_stylegan.stylegan1 import AdainLayer, AdaptiveInstanceNorm, Stylegan
from small import build, build_networks, no_label, num_parameters
from torch.nn import functional
from torch.testing import assert_close

from ganforge.api import ConfigError, GenerateRequest, ImageSpec, Objective
from ganforge.objectives.losses import NonSaturating

tiny, built = partial(build, Stylegan), partial(build_networks, Stylegan)


def test_stylegan_at_1024_has_the_published_number_of_parameters():
    """The paper: 26.2 million in the generator, 23.1 million in the discriminator (Sec. 2)."""
    with torch.device("meta"):
        networks = Stylegan(StyleganConfig(), ImageSpec(1024, 1024, 3)).networks()
    widths = [512, 512, 512, 512, 256, 128, 64, 32, 16]
    mapping = 8 * (512 * 512 + 512)
    convs = 9 * 512 * 512 + sum(9 * (a + b) * b for a, b in zip(widths, widths[1:], strict=False))
    styles = sum(2 * (512 + 1) * 2 * width for width in widths)
    noise_and_bias = sum(2 * 2 * width for width in widths)
    expected = mapping + 16 * 512 + convs + styles + noise_and_bias + 16 * 3 + 3
    assert num_parameters(networks["generator"]) == expected == 26_212_019
    down = [
        9 * b * (a + b) + a + b for a, b in zip(widths, widths[1:], strict=False)
    ]  # two convolutions and their biases a block
    head = 9 * 513 * 512 + 512 + 16 * 512 * 512 + 512 + 512 + 1
    total = sum(down) + head + (3 + 1) * 16
    assert num_parameters(networks["discriminator"]) == total == 23_077_137


def test_adain_gives_each_map_the_mean_and_deviation_of_the_style():
    norm = AdaptiveInstanceNorm(3, 4)
    x, w = 5 + 2 * torch.randn(2, 3, 8, 8), torch.randn(2, 4)
    scale, shift = norm.affine(w).chunk(2, dim=1)
    out = norm(x, w)
    assert_close(out.mean(dim=(2, 3)), shift, atol=1e-5, rtol=1e-4)
    assert_close(out.std(dim=(2, 3), correction=0), (scale + 1).abs(), atol=1e-4, rtol=1e-3)


def test_adain_forgets_scale_and_offset_of_its_input():
    norm = AdaptiveInstanceNorm(3, 4)
    x, w = torch.randn(2, 3, 8, 8), torch.randn(2, 4)
    assert_close(norm(7 * x + 3, w), norm(x, w), atol=1e-4, rtol=1e-3)


def test_adain_of_a_constant_map_is_its_style():
    norm = AdaptiveInstanceNorm(2, 4)
    x, w = torch.full((2, 2, 5, 7), 0.1), torch.randn(2, 4)
    shift = norm.affine(w).chunk(2, dim=1)[1]
    assert_close(norm(x, w), shift[:, :, None, None].expand(2, 2, 5, 7), atol=1e-3, rtol=0)


def test_adain_layer_equals_its_parts_in_order():
    layer = AdainLayer(3, 4, (8, 8), StyleganConfig(w_dim=8))
    layer.bias.data.normal_()
    layer.noise_strength.data.fill_(0.5)
    x, w, noise = torch.randn(2, 3, 8, 8), torch.randn(2, 8), torch.randn(2, 1, 8, 8)
    before = layer.conv(x) + 0.5 * noise + layer.bias[:, None, None]
    shown = torch.where(before > 0, before, 0.2 * before)  # a gain that the style takes out again
    assert_close(layer(x, w, noise), layer.style(shown * 2**0.5, w))


def test_stylegan_enlargement_is_nearest_neighbor_and_bilinear_smoothing():
    """Karras et al. 2019, Sec. 2 and appendix C; away from the borders."""
    torch.manual_seed(0)
    layer = AdainLayer(3, 2, (24, 24), StyleganConfig(w_dim=4), is_larger=True)
    x = torch.randn(1, 3, 12, 12)
    # A transposed convolution runs its kernel backwards.
    kernel = layer.conv.weight.flip((2, 3)) * layer.conv.weight_gain
    near = functional.interpolate(x, scale_factor=2, mode="nearest")
    smooth = torch.tensor([1.0, 2.0, 1.0]) / 4
    filters = (smooth[:, None] * smooth).expand(2, 1, 3, 3)
    expected = functional.conv2d(
        functional.conv2d(near, kernel, padding=1), filters, padding=1, groups=2
    )
    assert_close(layer.conv(x)[..., 3:-3, 3:-3], expected[..., 3:-3, 3:-3], atol=1e-5, rtol=1e-4)


def test_stylegan_noise_has_a_strength_per_channel():
    layer = AdainLayer(None, 2, (4, 4), StyleganConfig(w_dim=4)).eval()
    with torch.no_grad():
        layer.noise_strength.copy_(torch.tensor([0.0, 3.0])[:, None, None])
    x, noise = torch.zeros(1, 2, 4, 4), torch.randn(1, 1, 4, 4)
    added = layer.with_noise(x, noise)
    assert_close(added, torch.cat([torch.zeros_like(noise), 3 * noise], dim=1))


def test_stylegan_every_w_reaches_the_image():
    synthesis = built()["generator"].eval().synthesis
    assert synthesis.num_ws == 6  # two layers at 4, 8 and 16 pixels
    ws = torch.randn(1, synthesis.num_ws, 8, requires_grad=True)
    (grad,) = torch.autograd.grad(synthesis(ws).square().sum(), ws)
    assert (grad.abs().sum(dim=2) > 0).all()


def test_stylegan_late_styles_leave_early_features_alone():
    synthesis = built()["generator"].eval().synthesis
    seen = []
    synthesis.layers[2].register_forward_hook(lambda module, args, out: seen.append(out))
    ws = torch.randn(1, synthesis.num_ws, 8)
    synthesis(ws)
    synthesis(torch.cat([ws[:, :3], ws[:, 3:] + 1], dim=1))
    assert_close(seen[0], seen[1], atol=0, rtol=0)


def test_stylegan_generate_truncates_and_takes_noise_options():
    nets = {"generator": built()["generator"].eval()}
    request = GenerateRequest([1, 2], truncation=0.0, options={"noise": "const"})
    images = tiny().generate(nets, request)
    assert_close(images[0], images[1])
    free = tiny().generate(nets, GenerateRequest([1, 2]))
    assert (free[0] - free[1]).abs().max() > 1e-2


def test_stylegan_request_not_understood_names_itself():
    with pytest.raises(ConfigError, match=r"'noise' of 'stylegan' is 'loud'; use random, const"):
        tiny().check_request(None, {"noise": "loud"})


def test_stylegan_unreachable_size_names_itself():
    with pytest.raises(ConfigError, match=r"data\.resolution: 'stylegan' doubles.*30x30 is not"):
        tiny(ImageSpec(30, 30)).check(Objective(NonSaturating(NonSaturating.Config())))


def test_stylegan_under_bf16_autocast_stays_near_float32():
    networks = built(channel_max=32, channel_base=512)
    gen = networks["generator"].eval()
    z = torch.randn(4, 8)
    img = gen(z, no_label(4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        img_bf16 = gen(z, no_label(4))
    assert img_bf16.dtype == torch.float32
    assert_close(img_bf16, img, atol=0.15, rtol=0.05)
