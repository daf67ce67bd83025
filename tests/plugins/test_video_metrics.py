"""Metrics of clips: what each sees, and what it does not."""

import pytest
import torch
from ganforge_video.metrics import Flicker, FrechetVideoDistance, FvdConfig, WarpingError
from torch import nn

from ganforge.api import ComponentOptions, MetricError


@pytest.fixture
def moving():
    """A clip [1, 4, 3, 32, 40] of a smooth picture that moves by 2 pixels a frame."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 10, 14, generator=generator) * 2 - 1
    canvas = nn.functional.interpolate(coarse, scale_factor=4, mode="bicubic").clamp(-1, 1)
    return torch.stack([canvas[..., :32, 2 * n : 2 * n + 40] for n in range(4)], 1)


def values(metric, output, target):
    return {n: v.tolist() for n, v in metric.compare(target, output, target).items()}


def warping(output, target):
    return values(WarpingError(ComponentOptions()), output, target)


def test_warping_error_of_the_target_is_that_of_real_motion(moving):
    found = warping(moving, moving)
    assert found["warping_error"] == found["warping_error_real"] and found["warping_error"][0] < 2


def test_warping_error_follows_motion_where_a_frame_difference_does_not(moving):
    still = moving[:, :1].expand_as(moving)
    found = warping(still, moving)
    assert found["warping_error"][0] > 3 * found["warping_error_real"][0]


def test_warping_error_is_the_root_mean_square_of_flicker_on_a_still_clip():
    still = torch.full((1, 4, 3, 24, 24), 0.1)
    flicker = torch.tensor([0.1, -0.1, 0.1, -0.1]).view(1, 4, 1, 1, 1)
    assert warping(still + flicker, still)["warping_error"] == pytest.approx([10], rel=1e-4)


def test_warping_error_ignores_pixels_that_the_past_does_not_show():
    clip = torch.zeros(1, 2, 1, 24, 24)
    clip[:, 1, :, 4:8, 4:8] = 1.0
    output = clip.clone()
    output[:, 1, :, 5:7, 5:7] = -1.0  # inside of what appears
    found = warping(output, clip)
    assert found["warping_error"][0] < 1.5 * found["warping_error_real"][0] + 0.01


def test_warping_error_of_several_clips_equals_one_by_one(moving):
    other = moving.flip(-1)
    target, output = torch.cat([moving, other]), torch.cat([moving + 0.1, other[:, [0, 0, 1, 1]]])
    together = warping(output, target)["warping_error"]
    alone = [warping(output[i : i + 1], target[i : i + 1])["warping_error"][0] for i in (0, 1)]
    assert together == pytest.approx(alone)


def test_flicker_is_the_mean_change_and_its_ratio_that_to_the_target():
    metric = Flicker(ComponentOptions())
    target = torch.tensor([0.0, 0.2, 0.4]).view(1, 3, 1, 1, 1).expand(2, 3, 1, 4, 4)
    output = 1.5 * target
    found = metric.compute(metric.compare(target, output, target))
    assert found == pytest.approx({"flicker": 15.0, "flicker_ratio": 1.5})
    assert metric.compute(metric.compare(target, target, target))["flicker_ratio"] == 1


def test_flicker_of_a_still_target_is_finite():
    metric, still = Flicker(ComponentOptions()), torch.zeros(1, 3, 1, 4, 4)
    assert metric.compute(metric.compare(still, still, still)) == {"flicker": 0, "flicker_ratio": 0}


class Averages(nn.Module):
    """Two features of a clip."""

    def forward(self, clips: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        assert clips.shape[1] == 3 and clips.shape[3] == 224 and clips.shape[4] == 224
        means = clips.mean((1, 3, 4))
        return scale * torch.stack([means.mean(1), (means[:, 1:] - means[:, :-1]).mean(1)], 1)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("fvd") / "averages.pt"
    torch.jit.script(Averages()).save(str(path))
    return str(path)


def fvd(output, target, **options):
    metric = FrechetVideoDistance(FvdConfig(**options))
    metric.check(len(output), len(target))
    return metric.compute(metric.compare(target, output, target))["fvd"]


def test_fvd_is_the_frechet_distance_of_a_networks_features(network):
    levels = torch.tensor([-0.5, 0.0, 0.5, 0.2]).view(4, 1, 1, 1, 1)
    target = levels.expand(4, 3, 1, 4, 4)
    assert fvd(target, target, network=network) == pytest.approx(0, abs=1e-6)
    assert fvd(target + 0.3, target, network=network) == pytest.approx(0.09, abs=1e-4)
    scaled = fvd(target + 0.3, target, network=network, arguments={"scale": 2.0})
    assert scaled == pytest.approx(0.36, abs=1e-3)


def test_fvd_of_few_clips_warns(network):
    metric = FrechetVideoDistance(FvdConfig(network=network))
    features = {"output": torch.zeros(2, 2), "target": torch.zeros(2, 2)}
    assert "2 clips for 2 features" in metric.caveats(features)[0]
    assert not metric.caveats({name: torch.zeros(3, 2) for name in features})


def test_fvd_without_a_network_says_what_to_give():
    metric, clip = FrechetVideoDistance(FvdConfig()), torch.zeros(1, 2, 1, 4, 4)
    with pytest.raises(MetricError, match=r"needs features.*network: i3d.pt.*leave fvd out"):
        metric.check(8, 8)
    with pytest.raises(MetricError, match="needs features"):
        metric.compare(clip, clip, clip)


def test_fvd_refuses_one_clip_and_files_that_are_no_network(network, tmp_path):
    with pytest.raises(MetricError, match="covariances.*1 clip"):
        FrechetVideoDistance(FvdConfig(network=network)).check(1, 1)
    (tmp_path / "x.pt").write_text("no")
    for path in (tmp_path / "x.pt", tmp_path / "none.pt"):
        with pytest.raises(MetricError, match=f"{path.name}, cannot be read as TorchScript"):
            FrechetVideoDistance(FvdConfig(network=str(path))).check(2, 2)


def test_fvd_names_arguments_and_results_that_do_not_fit(network, tmp_path):
    clip = torch.zeros(2, 2, 1, 4, 4)
    with pytest.raises(MetricError, match="fails on 2 clips of 2 frames.*arguments"):
        fvd(clip, clip, network=network, arguments={"rescale": True})
    torch.jit.script(nn.Identity()).save(str(tmp_path / "same.pt"))
    with pytest.raises(MetricError, match=r"returned \[2, 3, 2, 224, 224\] for 2 clips"):
        fvd(clip, clip, network=str(tmp_path / "same.pt"))
