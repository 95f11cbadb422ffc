"""Shape of clusters in a space, without labels. The values are scikit-learn's, many clusterings at a time.

A score hangs neither on where a space lies nor on its scale, and rounding does not decide: coordinates that differ by
less than 1e-13 of the largest are equal. What is then without variance has these values, scikit-learn's where
it has one: the silhouette of tracks that are all equal is 0; Calinski-Harabasz without variance within the clusters
is 1; Davies-Bouldin without spread within clusters, or with all centres in one place, is 0. A single cluster, and a
cluster per track, have no shape: `UndefinedError`.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy.spatial import distance

from vae_lib import checks
from vae_lib.metrics import base
from vae_lib.metrics.base import Metric, UndefinedError

BLOCK = 2**22  # distances held at a time; 32 MiB
ROUNDING = 1e-13

# Each function below maps a space (n, d) and clusterings (m, n), codes from 0, to scores (m,). scikit-learn's take five
# to thirty times as long on a cloud of a hundred tracks, and a page draws thousands of clouds.


def _scaled(x: np.ndarray) -> np.ndarray:
    """Centred, with 1 as the largest coordinate; zeros where only rounding tells the tracks apart."""
    centred = x - x.mean(0)
    largest = np.abs(centred).max()
    return centred / largest if largest > ROUNDING * np.abs(x).max() else np.zeros_like(centred)


def _centres(x: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre (k, d) and size (k,) of each cluster."""
    size = np.bincount(clusters)
    return np.eye(len(size))[clusters].T @ x / size[:, None], size


def _silhouette(x: np.ndarray, clusterings: np.ndarray) -> np.ndarray:
    x = _scaled(x)
    members = [np.eye(clusters.max() + 1)[clusters] for clusters in clusterings]
    stacked = np.hstack(members)
    rows = max(1, BLOCK // len(x))
    # The distances of a space are worked out once, whatever the number of clusterings.
    sums = np.vstack([distance.cdist(x[at : at + rows], x) @ stacked for at in range(0, len(x), rows)])
    ends = np.cumsum([one_hot.shape[1] for one_hot in members])
    scores = np.empty(len(clusterings))
    for at, (clusters, to_cluster) in enumerate(zip(clusterings, np.split(sums, ends[:-1], axis=1), strict=True)):
        own, size = (np.arange(len(x)), clusters), np.bincount(clusters)
        within = to_cluster[own] / np.maximum(size[clusters] - 1, 1)
        to_cluster = to_cluster / size
        to_cluster[own] = np.inf
        nearest = to_cluster.min(1)
        greater = np.maximum(within, nearest)
        alone = (size[clusters] == 1) | (greater <= ROUNDING)  # singletons score 0 by definition
        scores[at] = np.where(alone, 0.0, (nearest - within) / np.where(alone, 1.0, greater)).mean()
    return scores


def _calinski_harabasz(x: np.ndarray, clusterings: np.ndarray) -> np.ndarray:
    x, scores = _scaled(x), np.ones(len(clusterings))
    for at, clusters in enumerate(clusterings):
        centres, size = _centres(x, clusters)
        within = np.square(x - centres[clusters]).sum()
        if within > x.size * ROUNDING**2:
            between = size @ np.square(centres).sum(1)
            scores[at] = between / within * (len(x) - len(size)) / (len(size) - 1)
    return scores


def _davies_bouldin(x: np.ndarray, clusterings: np.ndarray) -> np.ndarray:
    x, scores = _scaled(x), np.zeros(len(clusterings))
    for at, clusters in enumerate(clusterings):
        centres, size = _centres(x, clusters)
        spread = np.bincount(clusters, np.linalg.norm(x - centres[clusters], axis=1)) / size
        if spread.max() > ROUNDING:
            apart = distance.squareform(distance.pdist(centres))
            apart[apart <= ROUNDING] = np.inf
            scores[at] = ((spread[:, None] + spread) / apart).max(1).mean()
    return scores


def several(clusters: np.ndarray) -> np.ndarray:
    """Return the codes of a clustering whose shape can be measured; else say why it cannot."""
    n, k = len(clusters), clusters.max() + 1
    if not 1 < k < n:
        raise UndefinedError(f"labels_pred must have from 2 to {n - 1} clusters for {n} tracks, got {k}")
    return clusters


def _one(batch: Callable, x: np.ndarray, labels_pred: np.ndarray) -> float:
    x = checks.matrix(x, "x")
    return float(batch(x, several(base.clusters(labels_pred, length=len(x)))[None])[0])


def silhouette(x: np.ndarray, labels_pred: np.ndarray) -> float:
    """Mean silhouette: how much nearer a track is to its own cluster than to the next (Rousseeuw 1987).

    From −1 to 1, higher is better. Euclidean distance; a track alone in its cluster scores 0.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> [round(metrics.silhouette([[0.0], [1.0], [10.0], [11.0]], of), 2) for of in ([0, 0, 1, 1], [0, 1, 0, 1])]
    [0.9, -0.45]
    """
    return _one(_silhouette, x, labels_pred)


def calinski_harabasz(x: np.ndarray, labels_pred: np.ndarray) -> float:
    """Ratio of the variance between clusters to that within, per degree of freedom (Caliński & Harabasz 1974).

    At least 0, higher is better, no upper bound; it depends on the space and grows with n.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> round(metrics.calinski_harabasz([[0.0], [1.0], [10.0], [11.0]], [0, 0, 1, 1]), 6)  # (100 / 1) / (1 / 2)
    200.0
    """
    return _one(_calinski_harabasz, x, labels_pred)


def davies_bouldin(x: np.ndarray, labels_pred: np.ndarray) -> float:
    """Mean over clusters of the worst ratio of spreads to the distance of centres (Davies & Bouldin 1979).

    At least 0, lower is better. Two clusters with one centre make no ratio.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> round(metrics.davies_bouldin([[0.0], [1.0], [10.0], [11.0]], [0, 0, 1, 1]), 6)  # spreads 0.5, centres 10 apart
    0.1
    """
    return _one(_davies_bouldin, x, labels_pred)


METRICS: Mapping[str, Metric] = {
    "silhouette": Metric("Silhouette", silhouette, -1.0, 1.0, True, _silhouette),
    "calinski_harabasz": Metric("Calinski-Harabasz", calinski_harabasz, 0.0, np.inf, True, _calinski_harabasz),
    "davies_bouldin": Metric("Davies-Bouldin", davies_bouldin, 0.0, np.inf, False, _davies_bouldin),
}
"""The space metrics by name, in the order in which tables show them."""
