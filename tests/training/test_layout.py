"""Networks are laid out by what convolutions they have."""

import pytest
import small
import torch
from ganforge_biggan.biggan import Biggan
from ganforge_r3gan.architecture import R3gan
from ganforge_stylegan.stylegan2 import Stylegan2
from torch import nn
from training.toy import SPEC, toy_config

from ganforge.api import ImageSpec
from ganforge.config.models import TrainConfig
from ganforge.registry.components import resolve
from ganforge.training import build
from ganforge.training.engine.loop import make_batches
from ganforge.training.layout import images_channels_last, to_channels_last, wants_channels_last
from ganforge.training.runtime import Runtime

CPU, GPU = torch.device("cpu"), torch.device("cuda")
PLAIN = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU())
GROUPED = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3, groups=2))
DEPTHWISE = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.ConvTranspose2d(8, 8, 3, groups=8))


@pytest.mark.parametrize(
    ("network", "chosen", "device", "expected"),
    [
        (PLAIN, "auto", GPU, True),
        (GROUPED, "auto", GPU, False),
        (nn.ConvTranspose2d(8, 8, 3, groups=2), "auto", GPU, False),
        (DEPTHWISE, "auto", GPU, True),
        (GROUPED, "auto", CPU, True),
        (GROUPED, True, GPU, True),
        (PLAIN, False, GPU, False),
    ],
)
def test_layout_is_chosen_from_the_convolutions_of_a_network(network, chosen, device, expected):
    assert wants_channels_last(network, TrainConfig(channels_last=chosen), device) is expected


@pytest.mark.parametrize(
    ("architecture", "expected"), [(R3gan, False), (Stylegan2, True), (Biggan, True)]
)
def test_only_networks_of_grouped_convolutions_stay_as_they_are_on_a_gpu(architecture, expected):
    networks = small.build(architecture, ImageSpec(32, 32, 3, class_names=("a",))).meta_networks()

    found = [wants_channels_last(network, TrainConfig(), GPU) for network in networks.values()]
    assert found == [expected] * 2
    assert images_channels_last(networks.values(), TrainConfig(), GPU) is expected


def test_run_lays_out_its_weights_and_images_as_chosen(monkeypatch):
    monkeypatch.setattr(build, "wants_channels_last", lambda network, train, device: False)
    monkeypatch.setattr(build, "images_channels_last", lambda networks, train, device: False)
    run = build.build_run(resolve(toy_config()), SPEC, Runtime("fp32"))
    assert run.channels_last is False

    for expected in (False, True):
        run.channels_last = expected
        fields = [{"image": torch.zeros(2, 3, 4, 4, dtype=torch.uint8)}]
        (batch,) = make_batches(run, fields)
        assert batch.image.is_contiguous(memory_format=torch.channels_last) is expected


def test_to_channels_last_leaves_3d_convolutions_alone():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv3d(3, 4, 3), nn.Linear(3, 4))
    to_channels_last(module)
    assert module[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert module[1].weight.is_contiguous()
