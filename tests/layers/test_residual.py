import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from ganforge.layers import ResidualDownBlock, ResidualUpBlock


@pytest.mark.parametrize("cond_dim", [0, 3])
@pytest.mark.parametrize("spectral", [False, True])
def test_residual_up_block_doubles_the_size(cond_dim, spectral):
    block = ResidualUpBlock(4, 6, cond_dim=cond_dim, spectral=spectral)
    assert block(torch.randn(2, 4, 3, 5), torch.randn(2, cond_dim)).shape == (2, 6, 6, 10)


def test_residual_up_block_norm_eps_reaches_both_norms():
    block = ResidualUpBlock(2, 3, cond_dim=4, norm_eps=1e-3)
    assert [norm.norm.eps for norm in (block.norm1, block.norm2)] == [1e-3, 1e-3]


def test_residual_up_block_equals_the_layers_in_order():
    block, x = ResidualUpBlock(2, 3), torch.randn(4, 2, 4, 4)
    enlarged = functional.interpolate(functional.relu(block.norm1(x, None)), scale_factor=2)
    main = block.conv2(functional.relu(block.norm2(block.conv1(enlarged), None)))
    expected = main + functional.interpolate(block.skip(x), scale_factor=2)
    assert_close(block(x), expected)


def test_residual_up_block_skip_alone_is_enlarged_input_through_1x1():
    block = ResidualUpBlock(2, 3)
    with torch.no_grad():
        block.conv2.weight.zero_()
        block.conv2.bias.zero_()
    x = torch.randn(1, 2, 2, 2)
    expected = functional.conv2d(
        functional.interpolate(x, scale_factor=2), block.skip.weight, block.skip.bias
    )
    assert_close(block(x), expected)


def test_residual_up_block_same_size_and_channels_has_identity_skip():
    block = ResidualUpBlock(2, 2, upsample=False)
    assert block.skip is None
    with torch.no_grad():
        block.conv2.weight.zero_()
        block.conv2.bias.zero_()
    x = torch.randn(2, 2, 4, 4)
    assert_close(block(x), x)


def test_residual_down_block_equals_the_layers_in_order():
    torch.manual_seed(0)
    block, x = ResidualDownBlock(2, 3), torch.randn(2, 2, 4, 4)
    main = block.conv2(functional.relu(block.conv1(functional.relu(x))))
    expected = functional.avg_pool2d(main + block.skip(x), 2)
    assert_close(block(x), expected)


def test_residual_down_block_first_sees_negative_pixels():
    torch.manual_seed(0)
    x = -torch.rand(1, 2, 4, 4) - 1
    first, later = ResidualDownBlock(2, 3, first=True), ResidualDownBlock(2, 3, wide=True)
    later.load_state_dict(first.state_dict())
    assert_close(first(x), functional.avg_pool2d(
        first.conv2(functional.relu(first.conv1(x))) + first.skip(x), 2))  # fmt: skip
    assert not torch.allclose(first(x), later(x))


@pytest.mark.parametrize(
    ("options", "hidden"), [({}, 2), ({"wide": True}, 6), ({"first": True}, 6)]
)
def test_residual_down_block_middle_is_as_narrow_as_the_input_unless_wide_or_first(options, hidden):
    block = ResidualDownBlock(2, 6, **options)
    assert (block.conv1.out_channels, block.conv2.in_channels) == (hidden, hidden)
    assert block(torch.randn(1, 2, 4, 4)).shape == (1, 6, 2, 2)


def test_residual_down_block_norm_factory_is_used_before_each_relu():
    block = ResidualDownBlock(2, 4, norm=lambda channels: nn.GroupNorm(1, channels))
    norms = [m.num_channels for m in block.modules() if isinstance(m, nn.GroupNorm)]
    assert norms == [2, 2]
    assert block(torch.randn(1, 2, 4, 4)).shape == (1, 4, 2, 2)


def test_residual_down_block_same_size_and_channels_has_identity_skip():
    block = ResidualDownBlock(2, 2, downsample=False)
    assert block.skip is None
    assert block(torch.randn(1, 2, 3, 3)).shape == (1, 2, 3, 3)
