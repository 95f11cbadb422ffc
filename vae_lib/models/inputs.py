"""Arrays to tensors: what a model is given, scaled as its objective assumes, missing tracks marked.

A Gaussian reconstruction term of unit variance is right for standardised values, a cosine term for directions: so the
scaling follows from the term, and one who embeds other songs later gets the scaling of the training.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vae_lib import checks
from vae_lib.checks import ParameterError

FARTHEST = 1e15
"""Largest scaled value, and latent, whose square is finite in 32 bits."""


class Scaling(NamedTuple):
    """Mean and scale of each column of a table, shape (d,), or of each band of an image, shape (height, 1)."""

    mean: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True, eq=False)
class Inputs:
    """Tracks as a model is given them."""

    tensors: dict[str, Tensor]
    """Of each modality, shape (n, ...); zeros where a track has none."""
    present: dict[str, Tensor] | None = None
    """1 where a track has the modality, 0 where it is missing, shape (n,) each. None if nothing is missing."""
    context: Tensor | None = None
    """The label that a conditional model is told, as indicator columns, shape (n, categories)."""

    def __len__(self) -> int:
        """Number of tracks."""
        return len(next(iter(self.tensors.values())))

    def each(self, change: Callable[[Tensor], Tensor]) -> "Inputs":
        """Change every tensor alike."""
        tensors, present = (
            part and {name: change(tensor) for name, tensor in part.items()} for part in (self.tensors, self.present)
        )
        return Inputs(tensors, present, None if self.context is None else change(self.context))

    def rows(self, index: Tensor | slice) -> "Inputs":
        """Take the tracks of `index`."""
        return self.each(lambda tensor: tensor[index])

    def batches(self, size: int) -> Iterator["Inputs"]:
        """Give the tracks in order, so many at a time; the last batch holds what is left."""
        return (self.rows(slice(first, first + size)) for first in range(0, len(self), size))

    def to(self, device: torch.device) -> "Inputs":
        """Move to a device."""
        return self.each(lambda tensor: tensor.to(device))


def check(arrays: object, *, shapes: Mapping[str, tuple[int, ...]] | None = None) -> dict[str, np.ndarray]:
    """Return every modality as an array of floats, in alphabetical order; a row of NaN throughout is a missing one.

    Parameters
    ----------
    arrays : array-like or mapping of modality to array-like, shape (n, d) or (n, height, width)
        Rows aligned. A single array is the modality "audio", or the one that a trained model knows.
    shapes : mapping of modality to tuple of int, optional
        Of a track, in each modality that a trained model knows: others are left out, one that is not given is missing.

    Raises
    ------
    ParameterError
        If rows are not aligned, a shape is not that of the training, a value is infinite or NaN in part of a row, or a
        track is missing in all modalities.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib.models import inputs
    >>> sorted(inputs.check({"lyrics": [[1.0, 0.0], [np.nan, np.nan]], "audio": [[0.0], [1.0]]}))
    ['audio', 'lyrics']
    """
    if not isinstance(arrays, Mapping):
        arrays = {next(iter(shapes)) if shapes and len(shapes) == 1 else "audio": arrays}
    known = sorted(name for name in arrays if shapes is None or name in shapes)
    if not known:
        wanted = f"{' or '.join(shapes)} as in training" if shapes else "at least one modality"
        raise ParameterError(f"arrays must hold {wanted}, got {', '.join(map(str, arrays)) or 'none'}")
    tables = {name: numbers(arrays[name], f"arrays[{name!r}]") for name in known}
    n = len(tables[known[0]])
    for name, shape in (shapes or {}).items():
        table = tables.setdefault(name, np.full((n, *shape), np.nan))
        if table.shape[1:] != tuple(shape):
            wanted, found = (f"(n, {', '.join(map(str, sides))})" for sides in (shape, table.shape[1:]))
            raise ParameterError(f"arrays[{name!r}] must have shape {wanted} as in training, got {found}")
    for name in known:
        if len(tables[name]) != n:
            raise ParameterError(f"arrays[{name!r}] must have {n} rows, got {len(tables[name])}")
        absent = _missing(tables[name])
        if absent.all() and shapes is None and len(tables) > 1:
            raise ParameterError(f"arrays[{name!r}] is missing for every track: leave the modality out")
        # With one modality alone a missing track is a plain error.
        there = np.where(absent[:, None] & (len(tables) > 1), 0.0, tables[name].reshape(n, -1))
        checks.matrix(pd.DataFrame(there, columns=getattr(arrays[name], "columns", None)), f"arrays[{name!r}]")
    nowhere = np.all([_missing(table) for table in tables.values()], axis=0)
    if nowhere.any():
        raise ParameterError(f"arrays must hold each track in one modality at least; row {nowhere.argmax()} is in none")
    return dict(sorted(tables.items()))


def numbers(values: object, label: str) -> np.ndarray:
    """Return an array of floats of shape (n, d) or (n, height, width); `label` is what messages call it."""
    try:
        table = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{label} must hold numbers only: {error}") from None
    if table.ndim not in (2, 3) or 0 in table.shape:
        raise ParameterError(f"{label} must have shape (n, d) or (n, height, width), got {table.shape}")
    return table


def _missing(table: np.ndarray) -> np.ndarray:
    return np.isnan(table).reshape(len(table), -1).all(axis=1)


def scalings(tables: Mapping[str, np.ndarray], errors: Mapping[str, str]) -> dict[str, Scaling]:
    """Mean and standard deviation of every column (of every band of an image), for modalities with a Gaussian term.

    A column that never changes gets a scale of 1. Missing rows do not count.
    """
    found = {}
    for name, table in tables.items():
        if errors[name] == "gaussian":
            axes = 0 if table.ndim == 2 else (0, 2)
            mean, scale = (measure(table, axis=axes, keepdims=True)[0] for measure in (np.nanmean, np.nanstd))
            # A sum of n equal numbers is rounded: what varies less than that does not vary.
            constant = scale <= 1e-9 * np.maximum(np.abs(mean), 1e-30)
            found[name] = Scaling(mean, np.where(constant, 1.0, scale))
    return found


def prepare(tables: Mapping[str, np.ndarray], scaling: Mapping[str, Scaling], context: Tensor | None = None) -> Inputs:
    """Scale arrays, as from `check`, and turn them into tensors.

    Modalities without a scaling are directions: each row is divided by its length, or an error if it has none.
    """
    values, present = {}, {}
    for name, table in tables.items():
        there = ~_missing(table)
        present[name] = torch.from_numpy(there).float()
        if name in scaling:
            table = (table - scaling[name].mean) / scaling[name].scale
        else:
            length = np.linalg.norm(table, axis=1, keepdims=True)
            if (length == 0).any():
                raise ParameterError(
                    f"arrays[{name!r}] must have directions; row {(length == 0).argmax()} is all zeros"
                )
            table = table / length
        far = there & ~(np.abs(table).reshape(len(table), -1).max(axis=1) <= FARTHEST)
        if far.any():
            raise ParameterError(f"arrays[{name!r}] must not hold values that large: see row {far.argmax()}")
        values[name] = torch.from_numpy(np.nan_to_num(table).astype(np.float32))
    complete = all(bool(mask.all()) for mask in present.values())
    return Inputs(values, None if complete else present, context)


def restore(values: np.ndarray, scaling: Scaling | None) -> np.ndarray:
    """Undo `prepare` for values of shape (n, d) or (n, height, width); directions get a length of 1.

    Examples
    --------
    >>> from vae_lib.models import inputs
    >>> tables = inputs.check([[1.0], [3.0]])
    >>> scaling = inputs.scalings(tables, {"audio": "gaussian"})
    >>> scaled = inputs.prepare(tables, scaling).tensors["audio"]
    >>> scaled.tolist(), inputs.restore(scaled.numpy(), scaling["audio"]).tolist()
    ([[-1.0], [1.0]], [[1.0], [3.0]])
    """
    if scaling is None:
        return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)
    return values * scaling.scale + scaling.mean


def labels(condition: Sequence[object] | None) -> list[str]:
    """Return labels as strings, none for None.

    A missing label is an error: a track of unknown language is not one of the language "nan".
    """
    found = np.asarray([] if condition is None else condition, dtype=object)
    if found.ndim != 1:
        raise ParameterError(f"condition must be a list of labels, one per track, got {condition!r}")
    missing = pd.isna(found)
    if missing.any():
        raise ParameterError(
            f"condition must have a label for every track: {missing.sum()} missing, the first in row {missing.argmax()}"
        )
    return [str(label) for label in found]


def indicators(labels: Sequence[str], categories: Sequence[str], *, n: int) -> Tensor | None:
    """Turn labels into indicator columns, shape (n, categories); None if there are neither labels nor categories.

    Raises
    ------
    ParameterError
        If labels are missing, superfluous or unknown.
    """
    if not labels and not categories:
        return None
    if not labels:
        raise ParameterError(f"condition must give one of {', '.join(categories)} per track, got none")
    if not categories:
        raise ParameterError("condition must be left out: the recipe is not a conditional one")
    if len(labels) != n:
        raise ParameterError(f"condition must have {n} entries, one per track, got {len(labels)}")
    for row, label in enumerate(labels):
        if label not in categories:
            raise ParameterError(f"condition must be one of {', '.join(categories)}, got {label!r} in row {row}")
    return torch.eye(len(categories))[[list(categories).index(label) for label in labels]]
