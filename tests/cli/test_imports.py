"""What commands import: seconds and memory of every call."""

import json
import subprocess
import sys

import pytest
from PIL import Image
from report.runs import write_run

from ganforge.config.models import DataConfig
from ganforge.data.prepare.source_to_shards import prepare

HEAVY = ("torch", "accelerate", "datasets", "huggingface_hub.hf_api", "transformers")
SLOW = (
    *(
        "accelerate",
        "datasets",
        "huggingface_hub.hf_api",
        "rich",
        "torch._dynamo",
        "torch_fidelity",
    ),
    *("torchvision", "transformers"),
)
PROBE = """
import json, sys
from click.testing import CliRunner
from ganforge.cli import main
commands, modules = json.load(sys.stdin)
found = {}
for command in commands:
    result = CliRunner().invoke(main, command)
    refused = command[0] == "new"  # of too few images, before anything is measured
    assert result.exit_code == 2 * refused, (command, result.output, result.exception)
    found[" ".join(command[:2])] = [name for name in modules if name in sys.modules]
print(json.dumps(found))
"""


def imported(commands, modules):
    """Which of the modules are there after each command; one process runs all."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        input=json.dumps([commands, modules]),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for number in range(2):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "photos" / f"{number}.png")
    return str(tmp_path / "photos")


def test_commands_without_networks_import_no_torch(photos, tmp_path):
    prepare(DataConfig(source={"name": "folder", "path": photos}), tmp_path / "shards", workers=0)
    run = str(write_run(tmp_path / "run"))
    commands = [
        ["data", "inspect", photos, "--contact-sheet", str(tmp_path / "sheet.png")],
        ["data", "verify", str(tmp_path / "shards")],
        ["new", photos],
        ["status", run],
        ["report", run],
    ]

    found = imported(commands, ("torch", *SLOW))

    assert len(found) == len(commands)
    assert not any(found.values()), found


def test_commands_that_need_torch_import_nothing_else_that_is_slow():
    commands = [["plugins", "list"], ["schema"]]

    assert imported(commands, SLOW) == {"plugins list": [], "schema": []}
