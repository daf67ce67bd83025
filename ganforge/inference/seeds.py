"""Seeds: one integer per image, given as numbers or written as "3,10-19".

Imports no torch, so that the command line can read seeds before it loads anything.
"""

import operator
import re
from collections.abc import Sequence
from typing import Any

from ganforge.errors import ConfigError

MAX_SEED = 2**55 - 1
"""Largest seed. Every seed up to it has its own images."""
MAX_IMAGES = 10_000_000
"""Images, and so seeds, of one request."""
Seeds = Sequence[int] | int
Term = tuple[float, Seeds]
"""A factor, and the seeds whose mean latent it multiplies."""


def resolve_seeds(num_images: int | None, seeds: Seeds | None) -> list[int]:
    """One seed per image: those given, or 0, 1, 2, ...

    Raises:
        ConfigError: the numbers disagree, or a seed is not an integer in range.
    """
    if num_images is not None:
        num_images = _integer(num_images, "num_images={} is not an integer; use 1 or more.")
        if num_images < 1:
            raise ConfigError(f"num_images={num_images}; use at least 1.")
        _check_count(num_images, "num_images")
    if seeds is None:
        return list(range(num_images or 1))
    found = [_seed(seed) for seed in listed(seeds)]
    if not found:
        raise ConfigError("seeds is empty; give one seed per image, or leave it out.")
    if num_images not in (None, len(found)):
        raise ConfigError(
            f"num_images={num_images}, but {len(found)} seeds were given. Give one seed per "
            f"image, or only one of the two."
        )
    return found


def parse_seeds(text: str, option: str = "seeds") -> list[int]:
    """Read seeds written as "3,10-19"; `option` is the name of the option, for messages.

    Raises:
        ConfigError: the text is not of that form, or lists too many.
    """
    seeds: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        ends = (low, high if dash else low)
        # Python itself reads no number of thousands of digits; a seed has at most 17.
        if not all(end.isdecimal() and len(end) < 100 for end in ends) or int(ends[1]) < int(low):
            raise ConfigError(
                f"{option} {_cut(text)!r}: {_cut(part)!r} is no seed and no range. Write e.g. "
                f"3,10-19."
            )
        found = range(int(low), int(ends[1]) + 1)
        _check_count(len(seeds) + found.stop - found.start, option)
        seeds += found
    return seeds


def parse_terms(terms: str | Sequence[Term]) -> list[tuple[float, list[int]]]:
    """Read "1,2,3 - 4-6 + 7", a sum of mean latents, as the factor and the seeds of each term.

    Raises:
        ConfigError: the text is not of that form, or a term has no seed.
    """
    if isinstance(terms, str):
        words = re.split(r"\s+([+-])\s+", f" + {terms.strip()}")[1:]
        signs, texts = words[::2], [re.sub(r"\s*,\s*", ",", text) for text in words[1::2]]
        if any(not text or re.search(r"\s", text) for text in texts):
            raise ConfigError(
                f"The terms {terms!r} cannot be read. Write seeds with + and - between spaces, "
                f"e.g. '1,2,3 - 4-6 + 7'."
            )
        terms = [
            (1.0 if sign == "+" else -1.0, parse_seeds(text, "terms"))
            for sign, text in zip(signs, texts, strict=True)
        ]
    found = [(float(factor), resolve_seeds(None, seeds)) for factor, seeds in terms]
    if not found:
        raise ConfigError("There are no terms. Give e.g. '1,2,3 - 4-6 + 7'.")
    return found


def listed(value: Any) -> list[Any]:
    """A list of several values, or of a single one: text, or a number of any library."""
    if isinstance(value, str):
        return [value]
    try:
        return list(value)
    except TypeError:
        return [value]


def _check_count(count: int, option: str) -> None:
    if count > MAX_IMAGES:
        raise ConfigError(
            f"{option}: {count} images are too many for one request, which makes at most "
            f"{MAX_IMAGES}. Split it."
        )


def _seed(value: Any) -> int:
    seed = _integer(value, "The seed {} is not an integer.")
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"The seed {seed} is out of range; use 0 to {MAX_SEED}.")
    return seed


def _integer(value: Any, message: str) -> int:
    try:
        return operator.index(value)
    except TypeError as err:
        raise ConfigError(message.format(repr(value))) from err


def _cut(text: str) -> str:
    return text if len(text) <= 100 else text[:100] + "..."
