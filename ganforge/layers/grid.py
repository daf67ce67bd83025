"""The sizes that networks reach by doubling a small grid."""

from ganforge.errors import ConfigError

_MIN_SIDE, _MAX_SIDE = 4, 7


def base_grid(height: int, width: int, name: str) -> tuple[int, int, int]:
    """Split an image size into a base grid and doublings: (base height, base width, doublings).

    The smaller side of the base grid is 4 to 7 pixels; height and width may differ.

    Args:
        height: of the images, in pixels.
        width: of the images, in pixels.
        name: the architecture, for the message.

    Raises:
        ConfigError: no such grid exists.
    """
    doublings = 0
    while min(height, width) > _MAX_SIDE and height % 2 == 0 and width % 2 == 0:
        height, width, doublings = height // 2, width // 2, doublings + 1
    if doublings and _MIN_SIDE <= min(height, width) <= _MAX_SIDE:
        return height, width, doublings
    side = min(height, width) << doublings
    reached = [base << n for n in range(1, 9) for base in range(_MIN_SIDE, _MAX_SIDE + 1)]
    near = sorted(sorted(reached, key=lambda size: abs(size - side))[:2])
    raise ConfigError(
        f"data.resolution: '{name}' doubles a grid of 4 to 7 pixels on the short side, so both "
        f"sides must be the same power of two times whole numbers; "
        f"{height << doublings}x{width << doublings} is not. The nearest for its short side are "
        f"{near[0]} and {near[1]}. Set data.resolution to such a size, and data.resize to crop "
        f"or pad."
    )
