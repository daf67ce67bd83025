"""A stage that writes a one-line summary of the run."""

from typing import Any

from ganforge.api import ComponentOptions, RunContext, Stage, hookimpl


class Summary(Stage[ComponentOptions]):
    """Write summary.txt."""

    name = "summary"

    def is_done(self, context: RunContext) -> bool:
        """Whether the file is there."""
        return (context.run_dir / "summary.txt").exists()

    def run(self, context: RunContext) -> None:
        """Say what was trained with which objective."""
        architecture, objective = context.components.architecture, context.components.objective
        terms = ", ".join(term.name for term in objective.terms) or "no terms"
        (context.run_dir / "summary.txt").write_text(
            f"{architecture.component.name}: {objective.loss.name}, {terms}\n"
        )


@hookimpl
def ganforge_stages() -> list[type[Stage[Any]]]:
    """Register the summary."""
    return [Summary]
