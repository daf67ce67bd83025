"""Each check of translation finds the fault that it is there for."""

import pytest
import torch
from docs.test_examples import load

from ganforge.api import FieldSpec
from ganforge.errors import PluginContractError
from ganforge.plugin_tools.translation_contract import (
    check_chunks_equal_the_whole,
    check_noise_of_frames,
    check_other_sizes,
)

VideoGan = load("video_gan").VideoGan


class Noisy(VideoGan):
    """With noise in every frame, drawn as it should be."""

    name = "noisy"

    def generate(self, nets, request):
        frames = super().generate(nets, request).unbind(1)
        drawn = [self.draw(request, number, frame.shape[1:]) for number, frame in enumerate(frames)]
        return torch.stack(
            [frame + 0.1 * noise for frame, noise in zip(frames, drawn, strict=True)], 1
        )

    def draw(self, request, number, shape):
        return request.frame_noise(number, *shape)


class ForgetsThePast(VideoGan):
    name = "forgets_the_past"

    def generate(self, nets, request):
        request.state.clear()
        return super().generate(nets, request)


class CountsFromTheChunk(Noisy):
    name = "counts_from_the_chunk"

    def draw(self, request, number, shape):
        return request.noise(*shape, stream=number)


class RepeatsNoise(Noisy):
    name = "repeats_noise"

    def draw(self, request, number, shape):
        return request.noise(*shape, stream=(request.frame_index + number) % 4)


class DropsFrames(VideoGan):
    name = "drops_frames"

    def generate(self, nets, request):
        return super().generate(nets, request)[:, : max(1, request.source.shape[1] - 1)]


class OneSize(VideoGan):
    name = "one_size"

    def generate(self, nets, request):
        if request.source.shape[-1] != self.spec.width:
            raise RuntimeError("the size of tensor a must match")
        return super().generate(nets, request)


class SmallerOutput(VideoGan):
    name, stride = "smaller_output", 4

    def generate(self, nets, request):
        height = min(request.source.shape[-2], self.spec.height)
        return super().generate(nets, request)[..., :height, :]


class FixedSize(OneSize):
    name, stride = "fixed_size", None


class WithPoses(VideoGan):
    """Adds to each frame a number that the data give for it."""

    name = "with_poses"
    inputs = (*VideoGan.inputs, "poses")
    example_fields = {"poses": FieldSpec("vector", 2, is_clip=True)}

    def generate(self, nets, request):
        poses = self.poses(request)
        assert poses.shape[1] == request.source.shape[1]
        return super().generate(nets, request) + poses[..., :1, None, None] / 9

    def poses(self, request):
        return request.fields["poses"]


class OnlyTheFirstPose(WithPoses):
    name = "only_the_first_pose"

    def poses(self, request):
        return request.fields["poses"][:, :1].expand(-1, request.source.shape[1], -1)


@pytest.mark.parametrize(
    ("architecture", "check", "expected"),
    [
        (ForgetsThePast, check_chunks_equal_the_whole, r"frame 1 .* chunks of 1\. Keep .*state"),
        (CountsFromTheChunk, check_chunks_equal_the_whole, "frame 1 .* request.frame_noise"),
        (OnlyTheFirstPose, check_chunks_equal_the_whole, r"frame 1 .* chunks of 1"),
        (DropsFrames, check_chunks_equal_the_whole, "9 frames at once, but 10 in chunks of 1"),
        (RepeatsNoise, check_noise_of_frames, r"stream \d 3 times .*request.frame_noise\(n, ...\)"),
        (OneSize, check_other_sizes, r"`stride` is 1, but generate\(\) fails at 17 x 18: the size"),
        (SmallerOutput, check_other_sizes, "`stride` is 4, but 20 x 24 becomes 16 x 24"),
    ],
)
def test_check_names_the_fault(case_of, architecture, check, expected):
    with pytest.raises(PluginContractError, match=expected):
        check(case_of(architecture))


@pytest.mark.parametrize("architecture", [Noisy, FixedSize, WithPoses])
def test_check_of_what_is_sound_passes(case_of, architecture):
    case = case_of(architecture)
    assert case.spec.num_frames == 5
    for check in (check_other_sizes, check_chunks_equal_the_whole, check_noise_of_frames):
        check(case)
