"""Values on the command line: seeds, ranges of layers, sizes, and KEY=VALUE options."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from ganforge.errors import ConfigError


class SeedsType(click.ParamType):  # type: ignore[type-arg]  # click 8.1 has none
    """Seeds and ranges of seeds: 3,10-19."""

    name = "seeds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[int]:
        """Read the seeds; errors name the option."""
        from ganforge.inference.seeds import parse_seeds

        return parse_seeds(value, param.opts[0] if param else "seeds")


class LayersType(click.ParamType):  # type: ignore[type-arg]
    """A layer, or the first and the last of several: 8-13."""

    name = "layers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Read the first and the last layer."""
        first, dash, last = value.partition("-")
        ends = (first, last if dash else first)
        if not all(end.isdecimal() and len(end) < 10 for end in ends):
            raise ConfigError(f"--layers {value!r} is no range of layers. Write e.g. 8-13.")
        return int(ends[0]), int(ends[1])


class SizeType(click.ParamType):  # type: ignore[type-arg]
    """keep, model, a side, or a height and a width: 256x128."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | int | tuple[int, int]:
        """Read the size."""
        if value in ("keep", "model"):
            return str(value)
        sides = value.lower().split("x")
        if len(sides) > 2 or not all(side.isdecimal() and len(side) < 10 for side in sides):
            raise ConfigError(
                f"--size {value!r} is not a size. Use keep, model, a side, e.g. 256, or "
                f"HEIGHTxWIDTH, e.g. 256x128."
            )
        return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


class FieldType(click.ParamType):  # type: ignore[type-arg]
    """A field and the folder of its files: instances=maps."""

    name = "field"
    exists = True
    """Whether the folder must exist, as for `click.Path`."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        """Read the name and the folder."""
        name, separator, folder = value.partition("=")
        if not (separator and name and folder):
            raise ConfigError(f"--field {value!r} is not NAME=FOLDER, e.g. instances=maps.")
        if self.exists and not Path(folder).is_dir():
            raise ConfigError(f"--field {value}: there is no folder {folder}. Check the path.")
        return name, Path(folder)


class FiniteRange(click.FloatRange):
    """A number; unlike click's ranges, not `inf` or `nan`, which lie in all of them."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


SEEDS, LAYERS, SIZE, FIELD = SeedsType(), LayersType(), SizeType(), FieldType()


def read_options(ctx: click.Context, param: click.Parameter, pairs: tuple[str, ...]) -> Any:
    """Read repeated KEY=VALUE into a dict: a callback of click."""
    return parse_options(pairs, max(param.opts, key=len))


def read_own_options(ctx: click.Context, param: click.Parameter, pairs: tuple[str, ...]) -> Any:
    """Read the options of an architecture; refuse those that another option sets."""
    options = read_options(ctx, param, pairs)
    flags = {opt.lstrip("-").replace("-", "_"): opt for p in ctx.command.params for opt in p.opts}
    for name in options:
        # `labels` and `num_images` in Python are --label and --num here.
        for flag in (name, name.removesuffix("s"), name.removesuffix("_images")):
            if flag in flags:
                raise ConfigError(f"-o {name}: the command has this option; use {flags[flag]}.")
    return options


def parse_options(pairs: Iterable[str], option: str = "--option") -> dict[str, Any]:
    """Read KEY=VALUE pairs, whose values are YAML; `option` is named in messages."""
    from ganforge.config.overrides import parse_value

    options: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key:
            raise ConfigError(f"{option} {pair!r} is not KEY=VALUE.")
        try:
            options[key] = parse_value(text)
        except ConfigError as err:
            raise ConfigError(f"{option} {pair!r}: the value is not YAML; quote it.") from err
    return options
