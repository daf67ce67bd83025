"""Blocks of image-to-image networks."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.layers import (
    InstanceNorm,
    LowPassDown,
    LowPassUp,
    MultiScaleDiscriminator,
    PatchDiscriminator,
    ReflectionPad,
    ResizeConv,
    UNet,
)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_discriminator_three_layers_has_the_papers_parameters():
    with torch.device("meta"):
        network = PatchDiscriminator(3, width=64, num_layers=3)
    sizes = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 1)]
    assert count(network) == sum(16 * i * o + o for i, o in sizes) == 2_764_737


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70)])
def test_discriminator_logit_sees_a_patch_of_the_papers_size(layers, field):
    network = PatchDiscriminator(1, width=2, num_layers=layers)
    for name, module in network.layers.named_children():
        if isinstance(module, InstanceNorm):
            # The normalization sees the whole image; the convolutions alone make the patch.
            network.layers.register_module(name, nn.Identity())
    img = torch.randn(1, 1, 160, 160, requires_grad=True)
    logits = network(img)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    rows, columns = (img.grad[0, 0] != 0).nonzero().T
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == field


def test_instance_norm_matches_torch_in_either_layout():
    img = torch.randn(2, 3, 5, 7) * 4 + 1
    wanted = nn.functional.instance_norm(img)
    assert_close(InstanceNorm()(img), wanted)
    assert_close(InstanceNorm()(img.contiguous(memory_format=torch.channels_last)), wanted)


def test_instance_norm_has_the_second_derivatives_that_penalties_need():
    img = torch.randn(2, 2, 3, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradgradcheck(InstanceNorm(), (img,))
    assert InstanceNorm()(torch.ones(1, 2, 1, 1)).tolist() == [[[[0.0]], [[0.0]]]]


def test_instance_norm_bf16_keeps_statistics_in_float32():
    img = (torch.randn(1, 2, 64, 64) + 30).bfloat16()
    out = InstanceNorm()(img)
    assert out.dtype == torch.bfloat16
    assert_close(out.float(), nn.functional.instance_norm(img.float()), atol=0.01, rtol=0.01)


@pytest.mark.parametrize("layers", [2, 3, 4])
def test_smallest_size_is_the_smallest_that_works(layers):
    network = PatchDiscriminator(1, width=1, num_layers=layers)
    norms = [m for m in network.modules() if isinstance(m, InstanceNorm)]
    seen = []
    norms[-1].register_forward_hook(lambda module, inputs, out: seen.append(out.shape[2:]))
    least = PatchDiscriminator.smallest_size(layers)
    logits = network(torch.rand(1, 1, least, least))
    assert logits.shape[2:] == (1, 1)
    assert seen[0] == (2, 2)


def test_instance_norm_with_channels_learns_a_scale_and_a_bias():
    norm = InstanceNorm(3)
    assert norm.scale is not None and 0 < (norm.scale - 1).abs().max() < 0.2
    with torch.no_grad():
        norm.scale.copy_(torch.tensor([1.0, 2.0, 0.0]).view(3, 1, 1))
        norm.bias.copy_(torch.tensor([0.0, 1.0, 5.0]).view(3, 1, 1))
    img = torch.randn(2, 3, 4, 4)
    plain = InstanceNorm()(img)
    wanted = torch.stack([plain[:, 0], 2 * plain[:, 1] + 1, torch.full((2, 4, 4), 5.0)], dim=1)
    assert_close(norm(img), wanted)


def test_reflection_pad_repeats_the_edge_of_a_map_that_is_too_small():
    assert_close(ReflectionPad(2)(torch.ones(1, 1, 2, 2)), torch.ones(1, 1, 6, 6))
    row = torch.arange(4.0).expand(1, 1, 4, 4)
    assert ReflectionPad(2)(row)[0, 0, 3].tolist() == [2, 1, 0, 1, 2, 3, 2, 1]


@pytest.mark.parametrize("size", [3, 5])
def test_resize_conv_of_a_constant_map_is_constant(size):
    # A transposed convolution adds up another number of weights at each second pixel.
    out = ResizeConv(2, 3, size)(torch.full((1, 2, 4, 5), 0.3))
    assert out.shape == (1, 3, 8, 10)
    assert_close(out, out[..., :1, :1].expand_as(out))


def test_unet_of_256_pixels_has_the_papers_parameters():
    widths = [64, 128, 256, *[512] * 5]
    with torch.device("meta"):
        network = UNet(3, 3, widths)
        assert network(torch.empty(1, 3, 256, 256)).shape == (1, 3, 256, 256)
    assert count(network) == 54_414_531  # 54.414 M, as the authors' program prints
    assert network.stride == 256


def test_unet_joins_each_size_of_the_encoder_with_the_decoder():
    network = UNet(2, 3, [4, 8, 16], dropout=0.0)
    inputs = [layer[-2 if isinstance(layer[-1], InstanceNorm) else -1] for layer in network.decoder]
    assert [conv.in_channels for conv in inputs] == [16, 16, 8]
    assert [conv.out_channels for conv in inputs] == [8, 4, 3]
    normed = [isinstance(layer[-1], InstanceNorm) for layer in network.encoder]
    assert normed == [False, True, False]  # none at the ends: 1 x 1 has no variance


def test_unet_dropout_is_on_in_training_and_evaluation_alike():
    network = UNet(3, 3, [4, 8, 8, 8, 8]).eval()
    img = torch.randn(1, 3, 32, 32)
    assert not torch.equal(network(img), network(img))
    assert list(network.drops) == [1, 2, 3]


def test_unet_drop_replaces_the_random_dropout():
    network = UNet(3, 3, [4, 8, 8, 8])
    seen = []

    def drop(x, layer):
        seen.append((layer, tuple(x.shape[1:])))
        return x

    img = torch.randn(1, 3, 16, 16)
    assert_close(network(img, drop), network(img, drop))
    assert seen[:2] == [(1, (8, 4, 4)), (2, (4, 8, 8))]


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
def test_unet_of_several_images_equals_one_by_one(upsampling):
    network = UNet(3, 2, [4, 8, 8], dropout=0.0, upsampling=upsampling)
    img = torch.randn(3, 3, 16, 24)
    assert_close(network(img), torch.cat([network(one[None]) for one in img]))


def test_discriminator_features_are_the_activations_and_the_logits():
    network = PatchDiscriminator(3, width=4, num_layers=3)
    img = torch.randn(2, 3, 32, 32)
    features = network.features(img)
    assert [(x.shape[1], x.shape[2]) for x in features] == [
        (4, 16),
        (8, 8),
        (16, 4),
        (32, 3),
        (1, 2),
    ]
    assert_close(features[0], nn.functional.leaky_relu(network.layers[0](img), 0.2))
    assert torch.equal(features[-1], network(img))


def test_discriminator_without_normalization_keeps_all_biases():
    network = PatchDiscriminator(3, 4, 2, affine=True, normalize=False)
    assert not any(isinstance(layer, InstanceNorm) for layer in network.layers)
    assert count(network) == count(PatchDiscriminator(3, 4, 2))


def test_multi_scale_discriminator_sees_the_image_and_its_halves():
    network = MultiScaleDiscriminator(3, 4, 1, num_scales=3)
    img = torch.randn(2, 3, 64, 48)
    half = nn.functional.avg_pool2d(img, 3, 2, 1, count_include_pad=False)
    quarter = nn.functional.avg_pool2d(half, 3, 2, 1, count_include_pad=False)
    assert quarter.shape == (2, 3, 16, 12)
    for scale, shown, logits in zip(
        network.scales, (img, half, quarter), network(img), strict=True
    ):
        assert logits.dtype == torch.float32
        assert_close(logits, scale(shown))
    # Three networks, not one three times.
    assert count(network) == 3 * count(PatchDiscriminator(3, 4, 1))


def test_multi_scale_discriminator_halves_keep_the_brightness_at_the_border():
    network = MultiScaleDiscriminator(1, 2, 1, num_scales=3)
    assert all((size == 1).all() for size in network._sizes(torch.ones(1, 1, 16, 16)))


def test_multi_scale_features_end_with_the_logits():
    network = MultiScaleDiscriminator(3, 4, 2, num_scales=2, affine=True)
    img = torch.randn(1, 3, 32, 32)
    features = network.features(img)
    assert [len(maps) for maps in features] == [4, 4]
    for maps, logits in zip(features, network(img), strict=True):
        assert torch.equal(maps[-1], logits)


@pytest.mark.parametrize(("layers", "scales"), [(1, 1), (2, 2), (1, 3)])
def test_multi_scale_smallest_size_is_the_smallest_of_the_coarsest_scale(layers, scales):
    network = MultiScaleDiscriminator(1, 1, layers, scales)
    least = MultiScaleDiscriminator.smallest_size(layers, scales)
    coarsest = network._sizes(torch.rand(1, 1, least, least))[-1]
    assert coarsest.shape[2:] == (PatchDiscriminator.smallest_size(layers),) * 2


def test_low_pass_down_filters_and_halves_over_reflected_borders():
    img = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 2, 8, 8)
    out = LowPassDown()(img)
    # Of the columns 0 ... 7, every other one; the first has its neighbor 1 on both sides.
    assert_close(out, torch.tensor([0.5, 2.0, 4.0, 6.0]).expand(1, 2, 4, 4))


def test_low_pass_up_is_bilinear():
    img = torch.randn(2, 3, 5, 6)
    wanted = nn.functional.interpolate(img, scale_factor=2, mode="bilinear")
    assert_close(LowPassUp()(img), wanted)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_discriminator_with_antialias_has_the_same_sizes_and_parameters(layers):
    plain, filtered = (PatchDiscriminator(3, 4, layers, antialias=on) for on in (False, True))
    img = torch.rand(1, 3, 32, 28)
    assert plain(img).shape == filtered(img).shape
    assert count(plain) == count(filtered)
    assert sum(isinstance(m, LowPassDown) for m in filtered.layers) == layers
    assert all(m.stride == (1, 1) for m in filtered.layers if isinstance(m, nn.Conv2d))
