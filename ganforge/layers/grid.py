"""The image sizes that networks reach by doubling a small grid."""

from ganforge.errors import ConfigError

_MIN_SIDE, _MAX_SIDE = 4, 7


def base_grid(height: int, width: int, name: str) -> tuple[int, int, int]:
    """Split an image size in pixels: (base height, base width, doublings).

    The smaller side of the base grid is 4 to 7 pixels; height and width may differ.

    Raises:
        ConfigError: no such grid exists; names the architecture.
    """
    size, doublings = (height, width), 0
    while min(height, width) > _MAX_SIDE and height % 2 == 0 and width % 2 == 0:
        height, width, doublings = height // 2, width // 2, doublings + 1
    if doublings and _MIN_SIDE <= min(height, width) <= _MAX_SIDE:
        return height, width, doublings
    near = " and ".join(str(h) if h == w else f"[{h}, {w}]" for h, w in _nearest(*size))
    raise ConfigError(
        f"data.resolution: '{name}' doubles a grid of 4 to 7 pixels on the short side, so both "
        f"sides must be the same power of two times whole numbers; {size[0]}x{size[1]} is not. "
        f"The nearest are {near}. Set data.resolution to such a size, and data.resize to crop or "
        f"pad."
    )


def _nearest(height: int, width: int) -> list[tuple[int, int]]:
    """The two valid sizes that change the sides least."""
    sides = {height, width}
    reached = {
        (high << doublings, wide << doublings)
        for doublings in range(1, 12)
        for high in _around(height >> doublings)
        for wide in _around(width >> doublings)
        if _MIN_SIDE <= min(high, wide) <= _MAX_SIDE and (high == wide or len(sides) == 2)
    }
    by_change = sorted(reached, key=lambda s: (abs(s[0] - height) + abs(s[1] - width), s))
    return sorted(by_change[:2])


def _around(side: int) -> range:
    return range(max(side, _MIN_SIDE), max(side, _MIN_SIDE) + 2)
