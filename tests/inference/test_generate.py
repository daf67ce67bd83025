import pytest
import torch
from torch.testing import assert_close

from ganforge.errors import ConfigError, PluginContractError
from ganforge.inference.generate import iterate_request, run_request
from ganforge.interfaces.generation import GenerateRequest


def test_run_request_gives_each_seed_its_image_in_any_batch(architecture, networks):
    request = GenerateRequest(range(7), label=torch.eye(3)[[0, 1, 2, 0, 1, 2, 0]])
    whole = run_request(architecture, networks, request, 16)
    assert whole.shape == (7, 3, 8, 8) and whole.dtype == torch.float32
    assert_close(run_request(architecture, networks, request, 2), whole)
    assert_close(run_request(architecture, networks, request.take([4]), 1), whole[4:5])


def test_run_request_clamps_to_the_range_of_images(architecture, networks):
    request = GenerateRequest([1], label=torch.eye(3)[[0]], options={"brightness": 5.0})
    assert_close(run_request(architecture, networks, request, 1), torch.ones(1, 3, 8, 8))


def test_iterate_request_makes_a_batch_when_it_is_asked_for(architecture, networks, monkeypatch):
    sizes, generate = [], type(architecture).generate

    def counted(self, nets, part):
        assert not torch.is_grad_enabled() and not torch.backends.cudnn.allow_tf32
        sizes.append(part.size)
        return generate(self, nets, part)

    monkeypatch.setattr(type(architecture), "generate", counted)
    before = torch.backends.cudnn.allow_tf32
    batches = iterate_request(architecture, networks, GenerateRequest(range(5)), 2)
    assert sizes == []
    assert [len(img) for img in batches] == sizes == [2, 2, 1]
    assert torch.backends.cudnn.allow_tf32 == before


def test_run_request_of_an_empty_batch_is_refused(architecture, networks):
    with pytest.raises(ConfigError, match="batch_size=0; use at least 1"):
        run_request(architecture, networks, GenerateRequest([1]), 0)


def test_run_request_wrong_output_names_the_architecture(architecture, networks, monkeypatch):
    monkeypatch.setattr(type(architecture), "generate", lambda *_: torch.zeros(1, 3, 8, 8))
    with pytest.raises(PluginContractError, match=r"'tiny'.generate returned shape \[1, 3, 8, 8\]"):
        run_request(architecture, networks, GenerateRequest(seeds=[1, 2]), 4)
