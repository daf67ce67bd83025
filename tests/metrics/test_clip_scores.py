import pytest
import torch

from ganforge.config.models import StrictModel
from ganforge.metrics.clip_scores import DtSsd


def dtssd(output, target):
    return DtSsd(StrictModel()).compare(target, output, target)["dtssd"].tolist()


def test_dtssd_is_the_root_mean_square_of_the_error_of_the_change():
    target = torch.zeros(1, 3, 1, 1, 2)
    output = target.clone()
    output[0, :, 0, 0, 0] = torch.tensor([0.0, 0.2, 0.6])  # changes by 0.1 and 0.2 of the range
    assert dtssd(output, target) == pytest.approx([100 * (0.1 + 0.2) / 2 / 2**0.5], rel=1e-6)


def test_dtssd_of_a_constant_error_is_zero_and_of_flicker_is_not():
    target = torch.rand(2, 4, 3, 5, 5) - 0.5
    flicker = torch.tensor([0.1, -0.1, 0.1, -0.1]).view(1, 4, 1, 1, 1)
    assert dtssd(target + 0.3, target) == pytest.approx([0, 0], abs=1e-5)
    assert dtssd(target + flicker, target) == pytest.approx([10, 10], rel=1e-5)


def test_dtssd_follows_the_change_of_the_target():
    moving = torch.rand(1, 4, 1, 8, 8)
    still = moving[:, :1].expand_as(moving)
    assert dtssd(moving, moving) == [0]
    assert dtssd(still, moving)[0] == pytest.approx(dtssd(moving, still)[0]) and (
        dtssd(still, moving)[0] > 10
    )
