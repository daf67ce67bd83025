"""Coarse features stay in float32 under mixed precision where `full_precision_below` says so."""

import pytest
import torch
from ganforge_r3gan.architecture import R3gan
from ganforge_stylegan.stylegan1 import Stylegan
from ganforge_stylegan.stylegan2 import Stylegan2
from ganforge_stylegan.stylegan3 import Stylegan3
from small import build_networks, no_label
from torch import nn

from ganforge.api import ImageSpec

SPEC = ImageSpec(32, 32, 3)
FAMILY = [Stylegan, Stylegan2, R3gan]


def outputs(network):
    """The dtypes in which a network's own convolutions compute, by the side of their features."""
    found = {}

    def note(module, inputs, output):
        side = max(inputs[0].shape[2], output.shape[2])
        found.setdefault(side, set()).add(output.dtype)

    for module in network.modules():
        # A 1x1 convolution of R3GAN runs at the coarser size and belongs to the finer grid.
        is_wide = isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)
        if is_wide or type(module).__name__ in ("EqualizedConv2d", "ModulatedConv2d"):
            module.register_forward_hook(note)
    return found


def run(networks):
    gen, disc = networks["generator"], networks["discriminator"]
    z = torch.randn(2, 8 if hasattr(gen, "mapping") else 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        img = gen(z, no_label(2))
        logits = disc(img, no_label(2))
    assert img.dtype == logits.dtype == torch.float32
    (img.square().mean() + logits.square().mean()).backward()
    return img


@pytest.mark.parametrize("architecture", FAMILY)
@pytest.mark.parametrize("below", [0, 16, 64])
def test_features_below_the_side_stay_in_float32(architecture, below):
    networks = build_networks(architecture, SPEC, full_precision_below=below)
    found = {role: outputs(network) for role, network in networks.items()}

    run(networks)

    for by_side in found.values():
        assert {4, 8, 16, 32} <= by_side.keys()
        for side, dtypes in by_side.items():
            expected = torch.float32 if side < below else torch.bfloat16
            # A change of size belongs to the finer grid.
            assert dtypes == {expected}, (side, by_side)


def test_stylegan3_keeps_low_sampling_rates_in_float32():
    gen = build_networks(Stylegan3, SPEC, full_precision_below=32)["generator"]
    rates = []
    for layer, full in zip(gen.synthesis.layers, gen.synthesis.in_float32, strict=True):
        layer.conv.register_forward_hook(
            lambda module, inputs, output, full=full: rates.append((full, output.dtype))
        )

    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert gen(torch.randn(2, 8), no_label(2)).dtype == torch.float32

    assert {full for full, _ in rates} == {True, False}
    assert all((dtype == torch.float32) is full for full, dtype in rates)


@pytest.mark.parametrize("architecture", FAMILY)
def test_images_are_closer_to_float32_than_in_16_bits_throughout(architecture):
    def error(below):
        gen = build_networks(architecture, SPEC, full_precision_below=below)["generator"].eval()
        for block in gen.modules():  # R3GAN's blocks begin as the identity
            if hasattr(block, "reduce"):
                nn.init.normal_(block.reduce.weight, std=0.2)
        torch.manual_seed(1)
        z = torch.randn(8, 8 if hasattr(gen, "mapping") else 4)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            img = gen(z, no_label(8))
        return float((img - gen(z, no_label(8))).detach().square().mean())

    assert error(64) < 1e-10 < error(32) < error(0)


def test_option_is_part_of_the_exported_configuration():
    config = Stylegan2.Config(full_precision_below=32)

    assert config.model_dump(mode="json")["full_precision_below"] == 32
