"""A picture of the same 16 seeds in the tracker, every 50 thousand images."""

from ganforge.api import GenerateRequest, RunView, hookimpl

EVERY_KIMG = 50


@hookimpl
def ganforge_step_end(run: RunView) -> None:
    """Log the picture at its interval."""
    if run.is_main and run.is_due(EVERY_KIMG):
        run.log_image("fixed seeds", run.sample(GenerateRequest(range(16))))
