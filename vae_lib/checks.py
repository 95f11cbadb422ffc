"""Checks at public boundaries: each message names the argument, the bad value and what is allowed.

Each returns the value that it was given, or raises `ParameterError`.
"""

import math
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

LARGEST = 2**31 - 1
"""Largest whole number that every library below takes as a seed or a count."""


DRAWS = 10**6
"""Draws that may be asked for, of a null distribution or an interval."""

FARTHEST = 1e150
"""Largest float whose square is finite, with room to spare."""


class ParameterError(ValueError):
    """An argument, a parameter or an input file is not what it must be."""


def in_range(value: float, name: str, *, low: float = -np.inf, high: float = np.inf, open_low: bool = False) -> float:
    """A finite number in ``[low, high]``, or in ``(low, high]`` if `open_low`.

    Examples
    --------
    >>> from vae_lib import checks
    >>> checks.in_range(0.2, "dropout", low=0, high=0.95)
    0.2
    >>> checks.in_range(1.5, "dropout", low=0, high=0.95)
    Traceback (most recent call last):
        ...
    vae_lib.checks.ParameterError: dropout must be a number in [0, 0.95], got 1.5
    """
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    try:
        finite = number and math.isfinite(value)
    except OverflowError:  # of whole numbers
        finite = False
    if not (finite and low <= value <= high and not (open_low and value == low)):
        bracket = "(" if open_low or low == -np.inf else "["
        closing = ")" if high == np.inf else "]"
        raise ParameterError(f"{name} must be a number in {bracket}{low:g}, {high:g}{closing}, got {value!r}")
    return value


def count(value: int, name: str, *, low: int = 1, high: int | None = None) -> int:
    """A whole number from `low` to `high`, or to `LARGEST`, as a plain ``int``.

    Examples
    --------
    >>> from vae_lib import checks
    >>> checks.count(True, "k", low=2, high=100)
    Traceback (most recent call last):
        ...
    vae_lib.checks.ParameterError: k must be a whole number from 2 to 100, got True
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if high is None and whole and value > LARGEST:
        high = LARGEST
    if not whole or value < low or (high is not None and value > high):
        allowed = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ParameterError(f"{name} must be a whole number {allowed}, got {value!r}")
    return int(value)


def counts(values: Iterable[int], name: str, *, low: int = 1, high: int | None = None) -> list[int]:
    """A list of whole numbers from `low` to `high`.

    Examples
    --------
    >>> from vae_lib import checks
    >>> checks.counts([256, 128, 64], "hidden")
    [256, 128, 64]
    """
    values = listed(values, name, of=f"whole numbers of at least {low}")
    return [count(value, name, low=low, high=high) for value in values]


def listed(values: Iterable, name: str, *, of: str) -> list:
    """A list of anything but the letters of a text."""
    if isinstance(values, str) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) == 0:
        raise ParameterError(f"{name} must be a list of {of}, got {values!r}")
    return list(values)


def seeds(values: int | Sequence[int], name: str = "seeds", *, low: int = 1) -> list[int]:
    """Seeds, at least `low` and at most ten thousand: a number n stands for 0 … n − 1.

    Examples
    --------
    >>> from vae_lib import checks
    >>> checks.seeds(3), checks.seeds([7, 1])
    ([0, 1, 2], [7, 1])
    """
    number = isinstance(values, int | float | np.number)
    found = list(range(count(values, name, low=low, high=10_000))) if number else counts(values, name, low=0)
    if len(found) < low:
        raise ParameterError(f"{name} must be a list of at least {low}, got {found}")
    return found


def one_of(value: str, name: str, allowed: Iterable[str]) -> str:
    """A value that is among `allowed`.

    Examples
    --------
    >>> from vae_lib import checks
    >>> checks.one_of("wards", "linkage", ("ward", "average", "complete"))
    Traceback (most recent call last):
        ...
    vae_lib.checks.ParameterError: linkage must be one of ward, average, complete, got 'wards'
    """
    allowed = list(allowed)
    if not isinstance(value, Hashable) or value not in allowed:
        raise ParameterError(f"{name} must be one of {', '.join(map(str, allowed))}, got {value!r}")
    return value


def matrix(values: np.ndarray, name: str, *, rows: int | None = None) -> np.ndarray:
    """A two-dimensional array of finite floats, with as many `rows` if that is given.

    Examples
    --------
    >>> import pandas as pd
    >>> from vae_lib import checks
    >>> checks.matrix(pd.DataFrame({"tempo": [90.0, None]}), "x")
    Traceback (most recent call last):
        ...
    vae_lib.checks.ParameterError: x must be finite: 1 value(s) are NaN or infinite, the first in row 1, column 'tempo'
    """
    table = numbers(values, name, "rows", "columns")
    if rows is not None and len(table) != rows:
        raise ParameterError(f"{name} must have {rows} rows, got {len(table)}")
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = bad[0]
        named = repr(values.columns[column]) if hasattr(values, "columns") else column
        raise ParameterError(
            f"{name} must be finite: {len(bad)} value(s) are NaN or infinite, the first in row {row}, column {named}"
        )
    return finite(table, name)


def numbers(values: np.ndarray, name: str, *axes: str) -> np.ndarray:
    """A non-empty array of floats with these axes, which may be NaN or infinite.

    Examples
    --------
    >>> from vae_lib import checks
    >>> checks.numbers([1.0, 2.0], "x", "rows", "columns")
    Traceback (most recent call last):
        ...
    vae_lib.checks.ParameterError: x must be a non-empty table (rows, columns), got shape (2,)
    """
    try:
        found = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} must hold numbers only: {error}") from None
    if found.ndim != len(axes) or 0 in found.shape:
        kind = {1: "list", 2: "table"}.get(len(axes), "array")
        raise ParameterError(f"{name} must be a non-empty {kind} ({', '.join(axes)}), got shape {found.shape}")
    return found


def array(values: np.ndarray, name: str) -> np.ndarray:
    """An array of anything: lists of different lengths are none."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ParameterError(f"{name} must be an array: {error}") from None


def spaces(values: np.ndarray, name: str) -> list[np.ndarray]:
    """Tables as from `matrix`, out of an array of shape (seeds, n, d), or a single one out of (n, d)."""
    stacked = array(values, name)
    return [matrix(table, name) for table in (stacked if stacked.ndim == 3 else [values])]


def finite(values: np.ndarray, name: str) -> np.ndarray:
    """Floats that are finite, and their squares as well."""
    bad = ~(np.abs(values) <= FARTHEST)
    if bad.any():
        raise ParameterError(
            f"{name} must be finite and at most {FARTHEST:g}: {bad.sum()} value(s) are not, the first {values[bad][0]}"
        )
    return values


def labels(values: np.ndarray, name: str, *, length: int | None = None) -> np.ndarray:
    """One label per track (strings, integers or categories), as integer codes ``0 … classes − 1``.

    Examples
    --------
    >>> from vae_lib import checks
    >>> checks.labels(["pop", "jazz", "pop"], "genre")
    array([1, 0, 1])
    >>> checks.labels(["pop", None], "genre")
    Traceback (most recent call last):
        ...
    vae_lib.checks.ParameterError: genre must have a label for every track: 1 missing, the first in row 1
    """
    found = array(values, name)
    if found.ndim != 1 or len(found) == 0:
        raise ParameterError(f"{name} must be a non-empty list of labels, got shape {found.shape}")
    if length is not None and len(found) != length:
        raise ParameterError(f"{name} must have {length} labels, one per track, got {len(found)}")
    missing = np.array([label is None or label != label for label in found.tolist()])
    if missing.any():
        raise ParameterError(
            f"{name} must have a label for every track: {missing.sum()} missing, the first in row {missing.argmax()}"
        )
    try:
        return np.unique(found, return_inverse=True)[1]
    except TypeError:
        raise ParameterError(f"{name} must be labels of one kind, got {sorted({*map(type, found)}, key=str)}") from None
