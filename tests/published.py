"""A tiny plugin with three architectures, an export of each, and a Hub on the loopback address."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from minihub import WRITE_TOKEN, MiniHub, serve
from torch import Tensor, nn

from ganforge.config.models import StrictModel
from ganforge.hub import export as export_module
from ganforge.hub.card import CardInfo
from ganforge.hub.export import export_model
from ganforge.imaging.images import image_grid
from ganforge.inference import loading
from ganforge.interfaces.architecture import Architecture, Phase
from ganforge.interfaces.component import hookimpl
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.objective import Objective
from ganforge.interfaces.spec import ImageSpec
from ganforge.registry.plugins import Plugin, Registry, empty_registry

CLASSES = ("bag", "boot", "shirt")
PLUGIN = Plugin("tiny", "ganforge_tiny", "ganforge-tiny", "1.2.0")
FID = {
    "metric": "fid",
    "name": "frechet_distance",
    "value": 12.34567,
    "n_gen": 5000,
    "n_real": 10000,
    "extractor": "tiny-features",
    "extractor_sha256": "ab" * 32,
    "precision": "fp32",
    "seed": 0,
    "nimg": 64000,
}


class TinyConfig(StrictModel):
    z_dim: int = 4


class TinyGenerator(nn.Module):
    def __init__(self, z_dim: int, spec: ImageSpec) -> None:
        super().__init__()
        self.shape = (spec.channels, spec.height, spec.width)
        self.norm = nn.BatchNorm1d(z_dim + spec.num_classes)
        self.out = nn.Linear(z_dim + spec.num_classes, spec.channels * spec.height * spec.width)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        return self.out(self.norm(torch.cat([z, c], 1))).tanh().view(-1, *self.shape)


class Tiny(Architecture[TinyConfig]):
    """Noise to image, with classes, truncation and one option."""

    name, Config, paper = "tiny", TinyConfig, "Tiny 2020, arXiv:0000.00000"
    inputs, optional_inputs = ("image",), ("label", "attributes")
    generate_options = {"brightness": "Added to each image."}

    def networks(self) -> dict[str, nn.Module]:
        generator = TinyGenerator(self.config.z_dim, self.spec)
        return {"generator": generator, "discriminator": nn.Linear(2, 1)}

    def phases(self, objective: Objective) -> list[Phase]:
        return []

    @classmethod
    def check_truncation(cls, truncation: float) -> None:
        if not cls.optional_inputs:
            super().check_truncation(truncation)

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        z = request.noise(self.config.z_dim)
        if request.truncation is not None:
            z = z * request.truncation
        c = request.random_label(self.spec.num_classes)
        return nets["generator"](z, c) + request.options.get("brightness", 0.0)


class TinyPlain(Tiny):
    """Without classes, truncation or options."""

    name = "tiny_plain"
    optional_inputs = ()
    generate_options = {}


class Shift(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.full((channels, 1, 1), 0.25))


class TinyTranslator(Architecture[TinyConfig]):
    """Gray to color by adding a constant, and back by a mean."""

    name, Config, paper = "tiny_translator", TinyConfig, "Tiny 2021"
    inputs = ("source", "target")
    ema_roles = ("generator_forward", "generator_back")
    directions = ("forward", "back")

    def networks(self) -> dict[str, nn.Module]:
        return {role: Shift(self.spec.channels) for role in self.ema_roles}

    def phases(self, objective: Objective) -> list[Phase]:
        return []

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        assert request.source is not None
        shift = nets["generator_forward"].shift
        if request.options.get("direction", "forward") == "forward":
            return request.source + shift
        return request.source.mean(1, keepdim=True) - shift.mean()


def make_registry(*architectures: type[Architecture[Any]], plugin: Plugin = PLUGIN) -> Registry:
    module = ModuleType(plugin.module)
    module.ganforge_architectures = hookimpl(lambda: list(architectures))
    registry = empty_registry()
    registry.register(module, plugin)
    return registry


UseRegistry = Callable[..., None]


@pytest.fixture
def use_plugin(monkeypatch: pytest.MonkeyPatch) -> UseRegistry:
    """Pretend that this plugin, with these architectures, is the only one installed."""

    def use(*architectures: type[Architecture[Any]], plugin: Plugin = PLUGIN) -> None:
        registry = make_registry(*architectures, plugin=plugin)
        for module in (export_module, loading):
            monkeypatch.setattr(module, "get_registry", lambda: registry)

    return use


@pytest.fixture(autouse=True)
def tiny_plugin(use_plugin: UseRegistry) -> None:
    use_plugin(Tiny, TinyPlain, TinyTranslator)


@pytest.fixture
def spec() -> ImageSpec:
    return ImageSpec(8, 8, 3, class_names=CLASSES)


@pytest.fixture
def architecture(spec: ImageSpec) -> Tiny:
    return Tiny(TinyConfig(z_dim=5), spec)


def seeded_networks(architecture: Architecture[Any]) -> dict[str, nn.Module]:
    torch.manual_seed(1)
    networks = architecture.networks()
    for network in networks.values():
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.uniform_(-1, 1)
        network.eval()
    return networks


@pytest.fixture
def networks(architecture: Tiny) -> dict[str, nn.Module]:
    return seeded_networks(architecture)


@pytest.fixture
def exported(tmp_path: Path, architecture: Tiny, networks: dict[str, nn.Module]) -> Path:
    """An export folder of the conditional model."""
    return export_model(
        tmp_path / "export",
        architecture=architecture,
        networks=networks,
        nimg=64000,
        metrics=[FID],
        card=CardInfo(
            name="Tiny fashion",
            description="Makes tiny clothes.",
            repo_id="org/tiny",
            license="mit",
            dataset="org/clothes",
            num_train_images=10000,
            training={"Batch size": 64},
        ),
        samples=image_grid(torch.zeros(4, 3, 8, 8), 2, 2),
    )


def _export(folder: Path, architecture: Architecture[Any]) -> Path:
    return export_model(
        folder,
        architecture=architecture,
        networks=seeded_networks(architecture),
        nimg=1000,
        card=CardInfo(name="Tiny"),
    )


@pytest.fixture
def others(networks: dict[str, nn.Module]) -> dict[str, dict[str, Tensor]]:
    """What the conditional model exports beside its generator."""
    return {"discriminator": networks["discriminator"].state_dict()}


@pytest.fixture
def exported_plain(tmp_path: Path) -> Path:
    return _export(tmp_path / "plain", TinyPlain(TinyConfig(), ImageSpec(8, 8, 1)))


@pytest.fixture
def exported_translator(tmp_path: Path) -> Path:
    spec = ImageSpec(6, 8, 3, source_channels=1)
    return _export(tmp_path / "translator", TinyTranslator(TinyConfig(), spec))


@pytest.fixture
def exported_video(tmp_path: Path) -> Path:
    spec = ImageSpec(6, 8, 3, source_channels=1, num_frames=4)
    return _export(tmp_path / "video", TinyTranslator(TinyConfig(), spec))


def point_client_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The client reads HF_ENDPOINT into these two when it is imported.
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def disconnect(hub: MiniHub, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and the client's Hub is a port at which nobody listens."""
    return lambda: point_client_at("http://127.0.0.1:9", monkeypatch)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[MiniHub]:
    """A Hub that the client talks to by default, with an empty cache and a valid token."""
    with serve() as running:
        constants = huggingface_hub.constants
        point_client_at(running.url, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
        yield running


def edit_config(folder: Path, **changes: Any) -> None:
    """Change values of an export's `config.json`."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
