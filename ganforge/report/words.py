"""Numbers as people read them."""

import math

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def duration(sec: float) -> str:
    """A time in its two largest units: "2 h 5 min"."""
    if not math.isfinite(sec):
        return "unknown"
    left = round(sec)
    for number, (size, name) in enumerate(_UNITS):
        if left >= size:
            text = f"{left // size} {name}"
            smaller = _UNITS[number + 1 : number + 2]
            rest = [f"{left % size // s} {n}" for s, n in smaller if left % size // s]
            return " ".join([text, *rest])
    return "0 s"


def number(value: float | None) -> str:
    """A number with four significant digits, without an exponent where it stays short."""
    if value is None or not math.isfinite(value):
        return "not finite"
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        digits = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
        text = f"{value:,.{min(digits, 6)}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.3g}"


def of_total(kimg: float, total: float | None) -> str:
    """Progress: "54 of 120 kimg (45 %)"."""
    if not total:
        return f"{number(kimg)} kimg"
    return f"{number(kimg)} of {number(total)} kimg ({min(1.0, kimg / total):.0%})"
