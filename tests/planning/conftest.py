import pytest

from ganforge.config.models import PipelineConfig
from ganforge.registry.components import resolve


def components_of(train=(), **sections):
    """Of a very small DCGAN on gray images of 16 pixels, in 8 steps."""
    base = {
        "name": "small",
        "run_dir": "/nonexistent/run",
        "data": {"resolution": 16, "channels": 1},
        "model": {"architecture": "dcgan", "z_dim": 4, "base_channels": 4},
        "loss": {"name": "nonsaturating", "regularizers": [{"name": "r1", "every": 4}]},
        "train": {"batch_size": 8, "total_kimg": 0.064, "compile": False, **dict(train)},
    }
    return resolve(PipelineConfig.model_validate({**base, **sections}))


@pytest.fixture
def small():
    return components_of
