import pytest
from published import *  # noqa: F403  # the fixtures that publishing and inference share

from ganforge.hub.card import CardInfo
from ganforge.hub.export import export_model
from ganforge.hub.push import push_folder


@pytest.fixture
def pushed(hub, exported):
    """The model of `exported` in the repository org/tiny."""
    return push_folder(exported, "org/tiny")


@pytest.fixture
def export(tmp_path, architecture, networks):
    """Export the conditional model, with changed arguments."""

    def run(folder=tmp_path / "again", **changes):
        arguments = {
            "architecture": architecture,
            "networks": networks,
            "nimg": 1000,
            "card": CardInfo(name="Tiny"),
        }
        return export_model(folder, **(arguments | changes))

    return run
