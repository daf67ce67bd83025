import logging

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from ganforge.cli import main
from ganforge.encoders.hashed_words import HashedWords, HashedWordsConfig
from ganforge.hub.card import CardInfo
from ganforge.hub.export import export_model
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.spec import ImageSpec
from ganforge.registry.plugins import get_registry

PIPELINE = """
name: tiny
stages: [prepare]
data:
  source: {{name: folder, path: {photos}}}
  resolution: 16
model: {{architecture: dcgan, base_channels: 8}}
"""


@pytest.fixture
def ganforge(tmp_path, monkeypatch):
    """Run the command line in an empty folder; checks the exit code."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def _ganforge(*arguments, code=0):
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    yield _ganforge
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def requests_of(monkeypatch):
    """Lists the requests that an architecture answers from now on."""

    def record(architecture):
        generate, requests = architecture.generate, []

        def recorded(self, nets, request):
            requests.append(request)
            return generate(self, nets, request)

        monkeypatch.setattr(architecture, "generate", recorded)
        return requests

    return record


def export(folder, name, spec, **options):
    """An export folder of an untrained architecture of example size."""
    component = get_registry().find(Architecture, name)
    architecture = component(component.Config(**{**component.example_options, **options}), spec)
    torch.manual_seed(0)
    return export_model(
        folder / name,
        architecture=architecture,
        networks=architecture.networks(),
        nimg=8000,
        card=CardInfo(name=name),
    )


@pytest.fixture(scope="session")
def dcgan(tmp_path_factory):
    return export(tmp_path_factory.mktemp("models"), "dcgan", ImageSpec(16, 16, 3))


@pytest.fixture(scope="session")
def painter(tmp_path_factory):
    """A model that draws text, embedded by hashed words."""
    encoder = HashedWords(HashedWordsConfig(size=6))
    spec = ImageSpec(16, 16, 3, text_dim=6, text_encoding=encoder.encoding)
    return export(tmp_path_factory.mktemp("models"), "gan_int_cls", spec)


@pytest.fixture(scope="session")
def stylegan(tmp_path_factory):
    spec = ImageSpec(16, 16, 3, class_names=("cat", "dog"))
    return export(tmp_path_factory.mktemp("models"), "stylegan2", spec)


@pytest.fixture(scope="session")
def cyclegan(tmp_path_factory):
    spec = ImageSpec(16, 16, 3, source_channels=3)
    return export(tmp_path_factory.mktemp("models"), "cyclegan", spec)


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Twelve 20 x 24 images in two classes."""
    folder = tmp_path_factory.mktemp("photos")
    for index in range(12):
        pixels = np.random.default_rng(index).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        path = folder / ("cat" if index % 2 else "dog") / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture(scope="session")
def biggan(tmp_path_factory):
    spec = ImageSpec(16, 16, 4, class_names=("cat", "dog", "bird"))
    return export(tmp_path_factory.mktemp("models"), "biggan", spec)


@pytest.fixture(scope="session")
def cgan(tmp_path_factory):
    """A gray model with attributes."""
    spec = ImageSpec(9, 7, 1, attribute_names=("Female", "Black_Hair"))
    return export(tmp_path_factory.mktemp("models"), "cgan", spec, condition="attributes")


@pytest.fixture
def pipeline(ganforge, photos, tmp_path):
    (tmp_path / "tiny.yaml").write_text(PIPELINE.format(photos=photos))
    return "tiny.yaml"
