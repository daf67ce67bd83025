"""The teacher of vid2vid's flow: a pyramid without weights, or torchvision's RAFT from a file."""

import pytest
import torch
from ganforge_video.teacher import Raft, teacher
from torchvision.models.optical_flow import raft_small

from ganforge.api import ConfigError
from ganforge.layers import estimate_flow


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("raft") / "raft_small.pth"
    torch.save(raft_small(weights=None).state_dict(), path)
    return path


def test_teacher_without_weights_is_the_pyramid():
    assert teacher(None) is estimate_flow


def test_raft_gives_its_last_flow_without_moving_the_random_numbers(weights):
    before = torch.random.get_rng_state()
    found = Raft(weights)
    assert torch.equal(torch.random.get_rng_state(), before)
    now, past = torch.rand(2, 1, 3, 128, 128).unbind(0)
    network = raft_small(weights=None).eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    flow = found(now, past)
    with torch.no_grad():
        torch.testing.assert_close(flow, network(now, past)[-1])
    assert flow.shape == (1, 2, 128, 128) and not flow.requires_grad
    gray = found(now[:, :1], past[:, :1])
    torch.testing.assert_close(
        gray, found(now[:, :1].expand(-1, 3, -1, -1), past[:, :1].expand(-1, 3, -1, -1))
    )


def test_raft_refuses_files_that_are_none(tmp_path):
    with pytest.raises(ConfigError, match=r"no file .*none.pth.*Download.*leave it out"):
        teacher(str(tmp_path / "none.pth"))
    (tmp_path / "text.pth").write_text("no")
    with pytest.raises(ConfigError, match="text.pth cannot be read"):
        teacher(str(tmp_path / "text.pth"))
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(ConfigError, match="list.pth holds list"):
        teacher(str(tmp_path / "list.pth"))
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="other.pth holds no weights of torchvision's"):
        teacher(str(tmp_path / "other.pth"))
