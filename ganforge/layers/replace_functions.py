"""Replaces torch functions within a context, also in calls by other libraries."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.overrides import TorchFunctionMode

Function = Callable[..., Any]


class ReplaceFunctions(TorchFunctionMode):
    """Within this context torch functions are replaced.

    Attributes:
        replacements: what is called, by torch function; with the same arguments.
    """

    def __init__(self, replacements: Mapping[Function, Function]) -> None:
        super().__init__()
        self.replacements = replacements

    def __torch_function__(
        self,
        func: Function,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the replacement where there is one, else the function itself."""
        return self.replacements.get(func, func)(*args, **(kwargs or {}))
