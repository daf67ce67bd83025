"""Loads the model of a command, and reads the conditions that the command gives."""

from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from typing import Any

from ganforge.inference.pretrained import PretrainedGan

Arguments = Mapping[str, Any]


def load_model(model: str, arguments: Arguments) -> PretrainedGan:
    """The model that a command names."""
    return PretrainedGan.from_pretrained(
        model,
        revision=arguments["revision"],
        device=arguments.get("device"),
        local_files_only=arguments["offline"],
    )


def conditions(
    model: PretrainedGan, arguments: Arguments, count: int | None = None
) -> dict[str, Any]:
    """The conditions of `PretrainedGan.generate` that the options of a command give.

    Labels, attributes and texts are repeated in turn to `count`. Options of the architecture are
    checked here: none may have the name of a parameter of a method.
    """
    model.architecture.check_request(None, arguments["options"])
    given = {
        "labels": _repeated(arguments["labels"], count),
        "attributes": _repeated(arguments["attributes"], count),
        "text": _repeated(arguments["texts"], count),
        "text_encoder": arguments["text_encoder"] or None,
        "truncation": arguments["truncation"],
    }
    return {**given, **arguments["options"]}


def _repeated(values: Sequence[str], count: int | None) -> list[str] | None:
    if not values:
        return None
    return list(values if count is None else islice(cycle(values), count))
