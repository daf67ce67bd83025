"""The stages of a pipeline, registered through the same hook as a plugin's."""

from typing import Any

from ganforge.components import Stage, hookimpl
from ganforge.stages.evaluate import Evaluate
from ganforge.stages.prepare import Prepare
from ganforge.stages.publish import Publish
from ganforge.stages.train import Train


@hookimpl
def ganforge_stages() -> list[type[Stage[Any]]]:
    """The four built-in stages."""
    return [Prepare, Train, Evaluate, Publish]
