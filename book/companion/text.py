"""How numbers and names are written on pages."""

import json
import re
from collections.abc import Iterable, Mapping

import numpy as np


def number(value: float, digits: int = 3, *, like: float | None = None) -> str:
    """Write a number as tables show it: a dash for NaN, and never a sign of zero.

    Parameters
    ----------
    value : float
    digits : int
        After the point; two fewer from ten on.
    like : float, optional
        What decides whether that is so, instead of `value`.

    Examples
    --------
    >>> from companion.text import number
    >>> number(-0.0004), number(-0.21), number(123.456), number(float("nan"))
    ('0.000', '−0.210', '123.5', '–')
    """
    if not np.isfinite(value):
        return "–"
    text = f"{value:.{digits if abs(value if like is None else like) < 10 else max(digits - 2, 0)}f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def plus_minus(row: Mapping[str, float], digits: int = 3) -> str:
    """Write the `mean` ± `sd` of a row; one seed has no sd."""
    mean = number(row["mean"], digits)
    return mean if np.isnan(row["sd"]) else f"{mean} ± {number(row['sd'], digits, like=row['mean'])}"


def between(low: Iterable[float], high: Iterable[float]) -> list[str]:
    """Write intervals."""
    return [f"{number(a)} to {number(b)}" if np.isfinite([a, b]).all() else "–" for a, b in zip(low, high, strict=True)]


def plain(text: object) -> str:
    r"""Text that Markdown shows as it is written, on one line.

    Examples
    --------
    >>> from companion.text import plain
    >>> print(plain("*[x]*"))
    \*\[x\]\*
    """
    return re.sub(r"([\\`*_{}\[\]()<>#+!|~$&:^@-])", r"\\\1", " ".join(str(text).split()))


def embedded(content: object) -> str:
    r"""JSON that can stand in a script element.

    Examples
    --------
    >>> from companion.text import embedded
    >>> embedded({"β": "</script>"})
    '{"β":"\\u003c/script>"}'
    """
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
