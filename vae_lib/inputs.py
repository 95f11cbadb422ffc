"""Arrays to tensors: what a model is given, scaled as its objective assumes, missing tracks marked.

A Gaussian reconstruction term of unit variance is right for standardised values, a cosine term for directions: so the
scaling follows from the term, and one who embeds other songs later gets the scaling of the training.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vae_lib import checks, store
from vae_lib.checks import ParameterError


class Scaling(NamedTuple):
    """Mean and scale of each column of a table, or of each band of an image."""

    mean: np.ndarray
    scale: np.ndarray


class Inputs(NamedTuple):
    """What a model is given.

    Attributes
    ----------
    tensors : dict of modality to Tensor, shape (n, ...)
        Missing tracks hold zeros.
    present : dict of modality to Tensor, shape (n,), or None
        1 where a track has the modality, 0 where it is missing; None if nothing is missing.
    context : Tensor, shape (n, categories), or None
        The label that a conditional model is told, as indicator columns.
    """

    tensors: dict[str, Tensor]
    present: dict[str, Tensor] | None
    context: Tensor | None

    def __len__(self) -> int:
        """Number of tracks."""
        return len(next(iter(self.tensors.values())))

    @property
    def hash(self) -> str:
        """SHA-256 of all that it holds."""
        tensors = {**self.tensors, **{f"{name} present": mask for name, mask in (self.present or {}).items()}}
        if self.context is not None:
            tensors["context"] = self.context
        return store.content_hash(*(part for name in sorted(tensors) for part in (name, tensors[name].numpy())))

    def rows(self, index: Tensor) -> "Inputs":
        """Take the tracks of `index`, shape (members, batch): every tensor becomes (members, batch, ...)."""
        take = {name: tensor[index] for name, tensor in self.tensors.items()}
        present = self.present and {name: tensor[index] for name, tensor in self.present.items()}
        return Inputs(take, present, None if self.context is None else self.context[index])

    def to(self, device: torch.device) -> "Inputs":
        """Move every tensor to a device."""
        move = lambda tensors: tensors and {name: tensor.to(device) for name, tensor in tensors.items()}  # noqa: E731
        return Inputs(move(self.tensors), move(self.present), None if self.context is None else self.context.to(device))


def check(
    arrays: Mapping[str, np.ndarray], *, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> dict[str, np.ndarray]:
    """Return every modality as an array of floats, in alphabetical order; a row of NaN throughout is a missing one.

    Parameters
    ----------
    arrays : mapping of modality to array-like, shape (n, d) or (n, height, width)
        Rows aligned.
    shapes : mapping of modality to tuple of int, optional
        Shape of one track in each modality that a trained model knows: others are left out, and one that is not
        given at all is missing throughout.

    Raises
    ------
    ParameterError
        If there is no modality, rows are not aligned, a shape is not the one of the training, a value is infinite or
        NaN in part of a row, or a track is missing in all modalities.

    Examples
    --------
    A track without lyrics has a row of NaN; modalities come out in alphabetical order.

    >>> import numpy as np
    >>> from vae_lib import inputs
    >>> sorted(inputs.check({"lyrics": [[1.0, 0.0], [np.nan, np.nan]], "audio": [[0.0], [1.0]]}))
    ['audio', 'lyrics']
    """
    if not isinstance(arrays, Mapping) or not arrays:
        raise ParameterError("arrays must hold at least one modality, got none")
    for name in arrays:
        # A modality names its networks too, and torch takes not every name for one.
        if not isinstance(name, str) or not name or "." in name or hasattr(torch.nn.ModuleDict(), name):
            raise ParameterError(f"arrays must name its modalities by words such as 'audio', got {name!r}")
    known = arrays if shapes is None else {name: values for name, values in arrays.items() if name in shapes}
    if not known:
        raise ParameterError(f"arrays must hold {' or '.join(shapes)} as in training, got {', '.join(arrays)}")
    tables = {name: _numbers(values, f"arrays[{name!r}]") for name, values in known.items()}
    rows = len(next(iter(tables.values())))
    for name, shape in (shapes or {}).items():
        tables.setdefault(name, np.full((rows, *shape), np.nan))
    missing = {name: np.isnan(array).reshape(len(array), -1).all(axis=1) for name, array in tables.items()}
    for name, array in tables.items():
        label = f"arrays[{name!r}]"
        if len(array) != rows:
            raise ParameterError(f"{label} must have {rows} rows, got {len(array)}")
        if shapes is not None and array.shape[1:] != tuple(shapes[name]):
            raise ParameterError(
                f"{label} must have shape {_shown(shapes[name])} as in training, got {_shown(array.shape[1:])}"
            )
        # With one modality alone a missing track is a plain error, in the words of `checks.matrix`.
        absent = missing[name] if len(tables) > 1 else np.zeros(rows, dtype=bool)
        if absent.all() and shapes is None:
            raise ParameterError(f"{label} is missing for every track: leave the modality out")
        there = np.where(absent[:, None], 0.0, array.reshape(rows, -1))
        checks.matrix(pd.DataFrame(there, columns=getattr(arrays.get(name), "columns", None)), label)
    nowhere = np.flatnonzero(np.all([*missing.values()], axis=0))
    if len(nowhere):
        raise ParameterError(f"arrays must hold each track in one modality at least; row {nowhere[0]} is in none")
    return {name: tables[name] for name in sorted(tables)}


def _numbers(values: object, label: str) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{label} must hold numbers only: {error}") from None
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ParameterError(f"{label} must have shape (n, d) or (n, height, width), got {array.shape}")
    return array


def _shown(shape: Sequence[int]) -> str:
    return f"(n, {', '.join(map(str, shape))})"


def scalings(arrays: Mapping[str, np.ndarray], errors: Mapping[str, str]) -> dict[str, Scaling]:
    """Mean and standard deviation of every column (of every band of an image), for modalities with a Gaussian term.

    A column that never changes gets a scale of 1. Missing rows do not count.

    Parameters
    ----------
    arrays : mapping of modality to array
        As from `check`.
    errors : mapping of modality to a name in `elbo.ERRORS`
    """
    found = {}
    for name, array in arrays.items():
        if errors[name] == "gaussian":
            axes = 0 if array.ndim == 2 else (0, 2)
            mean, scale = np.nanmean(array, axis=axes), np.nanstd(array, axis=axes)
            # A sum of n equal numbers is rounded: what varies less than that does not vary.
            constant = scale <= 1e-9 * np.maximum(np.abs(mean), 1e-30)
            found[name] = Scaling(mean, np.where(constant, 1.0, scale))
    return found


def prepare(
    arrays: Mapping[str, np.ndarray],
    scaling: Mapping[str, Scaling],
    *,
    condition: Sequence[object] | None = None,
    categories: Sequence[str] = (),
) -> Inputs:
    """Scale arrays and turn them into tensors.

    Parameters
    ----------
    arrays : mapping of modality to array
        As from `check`.
    scaling : mapping of modality to Scaling
        Modalities without one are directions: each row is divided by its length.
    condition : sequence, shape (n,), optional
        A label per track.
    categories : sequence of str
        The labels that there are, in the order of the indicator columns.

    Raises
    ------
    ParameterError
        If a direction has no length, or a label is missing, superfluous or unknown.
    """
    values, present = {}, {}
    for name, array in arrays.items():
        absent = np.isnan(array).reshape(len(array), -1).all(axis=1)
        if name in scaling:
            mean, scale = (part[:, None] if array.ndim == 3 else part for part in scaling[name])
            if mean.shape[0] != array.shape[1]:
                raise ParameterError(
                    f"arrays[{name!r}] must have {mean.shape[0]} columns or bands as in training, got {array.shape[1]}"
                )
            array = (array - mean) / scale
        else:
            length = np.linalg.norm(array, axis=1, keepdims=True)
            if (length == 0).any():
                row = int(np.flatnonzero(length == 0)[0])
                raise ParameterError(f"arrays[{name!r}] must have directions; row {row} is all zeros")
            array = array / length
        values[name] = torch.from_numpy(np.where(np.isnan(array), 0.0, array).astype(np.float32))
        present[name] = torch.from_numpy((~absent).astype(np.float32))
    complete = all(bool(mask.all()) for mask in present.values())
    n = len(next(iter(arrays.values())))
    return Inputs(values, None if complete else present, context(condition, categories, n=n))


def restore(values: np.ndarray, scaling: Scaling | None) -> np.ndarray:
    """Undo `prepare` for values of shape (..., d) or (..., height, width); directions get a length of 1.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import inputs
    >>> arrays = inputs.check({"audio": [[1.0], [3.0]]})
    >>> scaling = inputs.scalings(arrays, {"audio": "gaussian"})
    >>> scaled = inputs.prepare(arrays, scaling).tensors["audio"]
    >>> scaled.tolist(), inputs.restore(scaled.numpy(), scaling["audio"]).tolist()
    ([[-1.0], [1.0]], [[1.0], [3.0]])
    """
    if scaling is None:
        return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)
    image = values.ndim == 4
    mean, scale = (part[:, None] if image else part for part in scaling)
    return values * scale + mean


def known(condition: Sequence[object]) -> list[str]:
    """Return labels as strings.

    Raises
    ------
    ParameterError
        If it is no list, or a label is missing: a track of unknown language is not one of the language "nan".
    """
    labels = np.asarray(condition, dtype=object)
    if labels.ndim != 1:
        raise ParameterError(f"condition must be a list of labels, one per track, got {condition!r}")
    missing = pd.isna(labels)
    if missing.any():
        raise ParameterError(
            f"condition must have a label for every track: {missing.sum()} missing, the first in row {missing.argmax()}"
        )
    return [str(label) for label in labels]


def context(condition: Sequence[object] | None, categories: Sequence[str], *, n: int) -> Tensor | None:
    """Turn labels into indicator columns, shape (n, categories); None if there are neither labels nor categories.

    Raises
    ------
    ParameterError
        If labels are missing, superfluous or unknown.

    Examples
    --------
    >>> from vae_lib import inputs
    >>> inputs.context(["bangla", "english", "bangla"], ["bangla", "english"], n=3)
    tensor([[1., 0.],
            [0., 1.],
            [1., 0.]])
    """
    if condition is None and not categories:
        return None
    if condition is None:
        raise ParameterError(f"condition must give one of {', '.join(categories)} per track, got none")
    if not categories:
        raise ParameterError("condition must be left out: the recipe is not a conditional one")
    labels = known(condition)
    if len(labels) != n:
        raise ParameterError(f"condition must have {n} entries, one per track, got {len(labels)}")
    places = {name: place for place, name in enumerate(categories)}
    for row, label in enumerate(labels):
        if label not in places:
            raise ParameterError(f"condition must be one of {', '.join(categories)}, got {label!r} in row {row}")
    return torch.nn.functional.one_hot(torch.tensor([places[label] for label in labels]), len(categories)).float()
