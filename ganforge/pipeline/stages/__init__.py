"""The stages of a pipeline, registered through the same hook as a plugin's."""

from typing import Any

from ganforge.interfaces.component import hookimpl
from ganforge.interfaces.stage import Stage
from ganforge.pipeline.stages.evaluate import Evaluate
from ganforge.pipeline.stages.prepare import Prepare
from ganforge.pipeline.stages.publish import Publish
from ganforge.pipeline.stages.train import Train


@hookimpl
def ganforge_stages() -> list[type[Stage[Any]]]:
    """The four built-in stages."""
    return [Prepare, Train, Evaluate, Publish]
