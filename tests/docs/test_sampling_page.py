"""The commands of docs/sampling.md parse, and its Python runs on a small StyleGAN2."""

import re
import shlex
from pathlib import Path

import click
import pytest
import torch

import ganforge
from ganforge.cli import main
from ganforge.hub.card import CardInfo
from ganforge.hub.export import export_model
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.spec import ImageSpec
from ganforge.registry.plugins import get_registry

PAGE = (Path(__file__).parents[2] / "docs" / "sampling.md").read_text()
COMMANDS = [
    line.partition("#")[0].replace("\\\n", " ")
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in re.findall(r"^ganforge (?:.*\\\n)*.*$", block, re.MULTILINE)
]
SNIPPETS = {
    name: block
    for name, block in re.findall(
        r"^## ([^\n]+)\n(?:(?!^## ).)*?```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE
    )
}


@pytest.mark.parametrize("line", COMMANDS)
def test_command_of_the_page_parses(line):
    command, arguments = main, shlex.split(line)[1:]
    context = click.Context(main, help_option_names=["-h", "--help"])
    while isinstance(command, click.Group):
        command = command.get_command(context, arguments.pop(0))
    # Without a parent, click would cache a help option without -h in the command.
    command.make_context("ganforge", arguments, parent=context)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    component = get_registry().find(Architecture, "stylegan2")
    spec = ImageSpec(32, 32, 1, class_names=("bag", "coat", "dress"))
    architecture = component(component.Config(**component.example_options), spec)
    torch.manual_seed(0)
    folder = export_model(
        tmp_path_factory.mktemp("model"),
        architecture=architecture,
        networks=architecture.networks(),
        nimg=0,
        card=CardInfo(name="small"),
    )
    return ganforge.from_pretrained(folder, device="cpu")


@pytest.mark.parametrize(
    ("heading", "files"),
    [
        ("Interpolation", {"walk.mp4", "walk.png"}),
        ("Style mixing", {"mix.png"}),
        ("Latent arithmetic", {"sum.png"}),
        ("Classes", {"classes.png", "two.png"}),
        ("Requests", {f"{seed}.png" for seed in range(50)}),
    ],
)
def test_python_of_the_page_runs(model, heading, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(SNIPPETS[heading], {"model": model})
    assert {path.name for path in tmp_path.iterdir()} == files


def test_page_shows_every_command_and_method():
    shown = {shlex.split(line)[2] for line in COMMANDS if line.startswith("ganforge sample")}
    assert shown == set(main.get_command(click.Context(main), "sample").commands)
    for method in ("interpolate", "mix_styles", "arithmetic", "class_grid", "nearest"):
        assert f"model.{method}(" in PAGE
