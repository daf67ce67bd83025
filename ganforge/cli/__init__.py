"""The `ganforge` command line.

Command modules import only click at the top, and everything else in function bodies, so that help
is fast, and a command imports only what it needs. Only commands that use networks import torch, as
tests/cli/test_imports.py checks.
"""

import click

from ganforge import __version__
from ganforge.cli._group import RootGroup

_COMMANDS = {
    "new": "ganforge.cli.new:new",
    "plan": "ganforge.cli.plan:plan",
    "run": "ganforge.cli.run:run",
    "status": "ganforge.cli.status:status",
    "report": "ganforge.cli.report:report",
    "generate": "ganforge.cli.models:generate",
    "sample": "ganforge.cli.sample:sample",
    "translate": "ganforge.cli.models:translate",
    "evaluate": "ganforge.cli.models:evaluate",
    "publish": "ganforge.cli.hub:publish",
    "pull": "ganforge.cli.hub:pull",
    "data": "ganforge.cli.data:data",
    "plugins": "ganforge.cli.plugins:plugins",
    "slurm": "ganforge.cli.slurm:slurm",
    "schema": "ganforge.cli.tools:schema",
    "doctor": "ganforge.cli.tools:doctor",
}


@click.group(
    cls=RootGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: ganforge run quickstart",
)
@click.version_option(__version__, prog_name="ganforge")
def main() -> None:
    """Train, measure and publish image GANs."""
