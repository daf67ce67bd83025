import textwrap

import pytest

from ganforge.config.load import load_pipeline
from ganforge.errors import ConfigError

BASE = """
    name: base
    model: {architecture: dcgan, z_dim: 32}
    loss:
      name: hinge
      margin: 2
      regularizers:
        - {name: r1, gamma: 1}
    train:
      total_kimg: 5
      seed: 3
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write YAML files in an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def _write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return name

    _write("base.yaml", BASE)
    return _write


@pytest.fixture
def error_of():
    """Give the message of the ConfigError that loading raises."""

    def _error_of(*args):
        with pytest.raises(ConfigError) as caught:
            load_pipeline(*args)
        return str(caught.value)

    return _error_of
