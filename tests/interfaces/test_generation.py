import pytest
import torch
from torch.testing import assert_close

from ganforge.inference.seeds import MAX_SEED
from ganforge.interfaces.generation import GenerateRequest


def noise(seed, stream):
    return GenerateRequest([seed]).noise(4, stream=stream)[0]


@pytest.mark.parametrize(
    ("seed", "stream", "normal", "uniform"),
    [
        (0, 0, [1.540996, -0.293429], [0.496257, 0.768222]),
        (7, 1, [-0.372195, 0.228647], [0.55154, 0.028929]),
        (2**24 - 1, 254, [-0.747242, 1.446732], [0.290735, 0.073342]),
        (3, -1, [0.983093, 0.092474], [0.001866, 0.439364]),
    ],
)
def test_draws_of_published_seeds_never_change(seed, stream, normal, uniform):
    request = GenerateRequest([seed])
    assert_close(request.noise(2, stream=stream), torch.tensor([normal]), atol=1e-6, rtol=0)
    assert_close(request.uniform(2, stream=stream), torch.tensor([uniform]), atol=1e-6, rtol=0)


def test_draws_of_all_seeds_and_streams_differ():
    seeds = (0, 1, 2**24 - 1, 2**24, 2**24 + 1, 2**32, MAX_SEED)
    streams = (*range(-1, 600), 2**20, 2**32, 2**40)
    drawn = {tuple(noise(seed, stream).tolist()) for seed in seeds for stream in streams}
    assert len(drawn) == len(seeds) * len(streams)


@pytest.mark.parametrize("seed", [5, 2**40])
@pytest.mark.parametrize("stream", [0, 300])
def test_draws_have_the_distribution_that_their_name_says(seed, stream):
    request = GenerateRequest([seed])
    normal, uniform = (draw(20_000, stream=stream) for draw in (request.noise, request.uniform))
    assert normal.dtype == uniform.dtype == torch.float32
    assert_close(
        torch.stack([normal.mean(), normal.std()]), torch.tensor([0.0, 1.0]), atol=0.03, rtol=0
    )
    assert 0 <= uniform.min() and uniform.max() < 1
    assert_close(uniform.mean(), torch.tensor(0.5), atol=0.01, rtol=0)


def test_draws_of_no_seeds_are_empty():
    assert GenerateRequest([]).noise(3, 2).shape == (0, 3, 2)


def test_frame_noise_of_every_frame_and_stream_differs():
    request = GenerateRequest([3])
    frames = [
        request.frame_noise(frame, 4, stream=stream) for frame in range(600) for stream in (0, 1)
    ]
    plain = [request.noise(4, stream=stream) for stream in range(300)]
    assert len({tuple(row[0].tolist()) for row in frames + plain}) == 1500


def test_frame_noise_follows_the_number_of_the_frame_in_its_clip():
    whole, chunk = GenerateRequest([3, 4]), GenerateRequest([3, 4], frame_index=250)
    assert torch.equal(chunk.frame_noise(7, 2, 3), whole.frame_noise(257, 2, 3))


def test_take_cuts_the_state_and_keeps_the_frame_index():
    state = {"past": torch.arange(3.0)}
    request = GenerateRequest(
        [0, 1, 2], source=torch.zeros(3, 2, 1, 4, 4), frame_index=6, state=state
    )
    part = request.take([2, 0])
    assert part.state["past"].tolist() == [2, 0] and part.frame_index == 6
    part.state["past"] = torch.ones(2)
    part.state["more"] = torch.ones(2)
    assert request.state["past"].tolist() == [0, 1, 2] and list(request.state) == ["past"]


def test_take_of_several_batches_starts_each_without_state():
    request = GenerateRequest([0, 1])
    first, second = request.take([0]), request.take([1])
    first.state["past"] = torch.ones(1)
    assert second.state == {}


def test_take_cuts_the_further_fields():
    request = GenerateRequest([0, 1, 2], fields={"instances": torch.arange(3).view(3, 1, 1, 1)})
    assert request.take([2, 0]).fields["instances"].flatten().tolist() == [2, 0]
    assert GenerateRequest([0]).take([0]).fields == {}
