"""The stages of a pipeline, registered through the same hook as a plugin's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.interfaces.component import hookimpl

if TYPE_CHECKING:
    from ganforge.interfaces.stage import Stage


@hookimpl
def ganforge_stages() -> list[type[Stage[Any]]]:
    """The four built-in stages."""
    from ganforge.pipeline.stages.evaluate import Evaluate
    from ganforge.pipeline.stages.prepare import Prepare
    from ganforge.pipeline.stages.publish import Publish
    from ganforge.pipeline.stages.train import Train

    return [Prepare, Train, Evaluate, Publish]
