"""Every `ganforge` command that a page shows parses, and every pipeline it names loads."""

import re
import shlex
from pathlib import Path

import click
import pytest

from ganforge.cli import main
from ganforge.cli._options import FieldType
from ganforge.config.find import find_pipeline
from ganforge.config.load import load_pipeline
from ganforge.registry.components import resolve

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
PREFIX = re.compile(
    r"^(?:[A-Z_]+=\S+ +)?"  # an environment variable
    r"(?:ganforge|(?:python|accelerate launch(?: --num_processes \d+)?) -m ganforge)"
    r"(?P<run>\.run)? +(?P<rest>.*)$"
)


def commands():
    """Page and arguments of each command; those with placeholders are left out."""
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                found = PREFIX.match(line.split("  #")[0])
                if found and not re.search(r"\$|\.\.\.|\b[A-Z]{3,}\b", found["rest"]):
                    yield page, ["run"] * bool(found["run"]) + shlex.split(found["rest"])


COMMANDS = list(dict.fromkeys((page.name, tuple(words)) for page, words in commands()))


def test_pages_show_many_commands():
    assert len(COMMANDS) > 50


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=lambda value: value[:1])
def test_command_of_a_page_parses(page, words, monkeypatch):
    command, arguments = main, list(words)
    context = click.Context(main, **main.context_settings)
    while isinstance(command, click.Group):
        command = command.get_command(context, arguments.pop(0))
        assert command is not None, f"{page}: ganforge {' '.join(words)}"
    for parameter in command.params:
        if isinstance(parameter.type, click.Path | FieldType):
            monkeypatch.setattr(parameter.type, "exists", False)  # the user's files
    parameters = command.make_context("ganforge", arguments, parent=context).params
    if words[0] == "run":
        pipeline = str(parameters["pipeline"])
        if (ROOT / pipeline).exists():
            pipeline = str(ROOT / pipeline)
        config = load_pipeline(find_pipeline(pipeline), list(parameters["overrides"]))
        resolve(config)
