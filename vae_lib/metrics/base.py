"""What every score needs: its entry in a registry, and what tracks without a cluster count as."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vae_lib import checks
from vae_lib.checks import ParameterError

NOISE = ("singletons", "cluster")
"""What noise tracks may count as, each a cluster of its own or all of them one cluster."""


class UndefinedError(ParameterError):
    """The score has no value for this clustering, however correct the input is."""


class Metric(NamedTuple):
    """What a reader needs to know of a metric, and how to compute it.

    `function` is ``(labels_true, labels_pred) -> float`` or ``(x, labels_pred) -> float``, `batch` the same for many
    clusterings at once, unchecked: of contingency tables, or of a space and clusterings.
    """

    title: str
    function: Callable[[np.ndarray, np.ndarray], float]
    low: float
    high: float
    greater_is_better: bool
    batch: Callable[..., np.ndarray]


class Measure(NamedTuple):
    """What a reader needs to know of a measured value that is no score of a clustering."""

    title: str
    low: float
    high: float
    greater_is_better: bool = True


def coverage(labels_pred: np.ndarray) -> np.ndarray:
    """Share of the tracks that are in a cluster, not noise (label −1): one value per seed, from 0 to 1.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> metrics.coverage([0, 0, 1, -1])
    array([0.75])
    """
    return (_whole_numbers(labels_pred) != -1).mean(axis=1)


def without_noise(labels_pred: np.ndarray, *, noise: str) -> np.ndarray:
    """Give noise tracks (label −1) clusters, so that every track counts when the clustering is scored.

    Either choice flatters, by some metric, a clusterer that gives up on most tracks: show both, and the `coverage`.

    Parameters
    ----------
    labels_pred : array-like of int, shape (seeds, n) or (n,)
    noise : {"singletons", "cluster"}
        Each noise track a cluster of its own, or all of a seed's noise tracks one cluster.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> for noise in metrics.NOISE:
    ...     print(metrics.without_noise([0, 0, -1, -1], noise=noise))
    [0 0 1 2]
    [0 0 1 1]
    """
    checks.one_of(noise, "noise", NOISE)
    found = _whole_numbers(labels_pred).copy()
    for labels in found:
        lost = labels == -1
        labels[lost] = labels.max() + 1 + (np.arange(lost.sum()) if noise == "singletons" else 0)
    return found.reshape(np.shape(labels_pred))


def clusters(labels_pred: np.ndarray, *, length: int | None = None) -> np.ndarray:
    """Codes from 0 of one clustering, shape (n,); noise is an error, because it is no cluster."""
    labels = checks.array(labels_pred, "labels_pred")
    codes = checks.labels(labels, "labels_pred", length=length)
    if labels.dtype.kind in "if" and (lost := int((labels == -1).sum())):
        raise ParameterError(
            f"labels_pred has {lost} noise track(s), label -1, which are no cluster: say what they count as, "
            'noise="singletons" or noise="cluster" (see without_noise)'
        )
    return codes


def clusterings(labels_pred: np.ndarray, *, length: int, noise: str | None = None) -> np.ndarray:
    """Codes from 0 of each seed's clustering, shape (seeds, n)."""
    rows = np.atleast_2d(without_noise(labels_pred, noise=noise) if noise else checks.array(labels_pred, "labels_pred"))
    if rows.ndim != 2 or not len(rows):
        raise ParameterError(f"labels_pred must have shape (seeds, n) or (n,), got {np.shape(labels_pred)}")
    return np.stack([clusters(row, length=length) for row in rows])


def _whole_numbers(labels_pred: np.ndarray) -> np.ndarray:
    rows = np.atleast_2d(checks.array(labels_pred, "labels_pred"))
    if rows.ndim != 2 or rows.dtype.kind not in "iu" or not rows.size:
        raise ParameterError(
            "labels_pred must hold whole numbers, shape (seeds, n) or (n,), to tell noise (-1) from clusters, "
            f"got {rows.dtype} of shape {np.shape(labels_pred)}"
        )
    return rows
