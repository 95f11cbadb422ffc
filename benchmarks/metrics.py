"""Scores: one pass over all permutations against the usual way, a loop over scikit-learn's functions.

Both score the same permutations, and the figures are checked to be equal before they are timed in turn.
"""

from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn import metrics as sklearn_metrics
from sklearn.cluster import KMeans
from sklearn.metrics.cluster import contingency_matrix

from benchmarks.features import in_turn, peak_mib
from vae_lib import cluster, metrics

TRACKS, K, SEEDS, PERMUTATIONS = 1000, 10, 10, 1000


def ours(pair: tuple, *, permutations: int = PERMUTATIONS) -> np.ndarray:
    """Null distribution of every label metric, shape (metrics, permutations)."""
    return np.array([score.null for score in metrics.external_scores(*pair, permutations=permutations, subsamples=0)])


def usual(pair: tuple, *, permutations: int = PERMUTATIONS) -> np.ndarray:
    """The same by scikit-learn, one function call per metric and permutation."""
    true, pred = pair
    shuffled = np.random.default_rng(0).permuted(np.broadcast_to(true, (permutations, len(true))), axis=1)
    return np.array(
        [
            (
                sklearn_metrics.adjusted_rand_score(classes, pred),
                sklearn_metrics.adjusted_mutual_info_score(classes, pred),
                sklearn_metrics.normalized_mutual_info_score(classes, pred),
                contingency_matrix(classes, pred).max(0).sum() / len(classes),
                _accuracy(contingency_matrix(classes, pred)),
            )
            for classes in shuffled
        ]
    ).T


def _accuracy(table: np.ndarray) -> float:
    return table[linear_sum_assignment(table, maximize=True)].sum() / table.sum()


def ours_in_space(item: tuple) -> np.ndarray:
    """Every space metric of several clusterings, shape (metrics, seeds)."""
    return np.array([score.values for score in metrics.internal_scores(*item)])


def usual_in_space(item: tuple) -> np.ndarray:
    """The same by scikit-learn, one function call per metric and clustering."""
    x, clusterings = item
    names = ("silhouette_score", "calinski_harabasz_score", "davies_bouldin_score")
    return np.array([[getattr(sklearn_metrics, name)(x, labels) for labels in clusterings] for name in names])


def ours_of_cloud(x: np.ndarray) -> np.ndarray:
    """Space metrics of a Gaussian cloud like `x`, shape (metrics, 1)."""
    null = metrics.gaussian_null(x, lambda cloud, draw: cluster.fit_predict("kmeans", cloud, K, seed=draw), draws=1)
    return np.array(list(null.values()))


def usual_of_cloud(x: np.ndarray) -> np.ndarray:
    """The same by scikit-learn, of a cloud that is drawn by NumPy from an estimated covariance."""
    cloud = np.random.default_rng(0).multivariate_normal(x.mean(0), np.cov(x.T), len(x), method="cholesky")
    return usual_in_space((cloud, KMeans(K, n_init=10, random_state=0).fit_predict(cloud)[None]))


def rows(data_home: Path | None = None) -> list[dict]:
    """Measure; `data_home` is not needed, since the time does not depend on what is scored."""
    rng = np.random.default_rng(0)
    pairs = [(rng.integers(0, K, TRACKS), rng.integers(0, K, TRACKS)) for _ in range(3)]
    clouds = [(rng.normal(size=(100, 57)), rng.integers(0, K, (1, 100))) for _ in range(60)]
    spaces = [(rng.normal(size=(TRACKS, 57)), rng.integers(0, K, (SEEDS, TRACKS))) for _ in range(3)]
    few = {"permutations": 3}
    np.testing.assert_allclose(ours(pairs[0], **few), usual(pairs[0], **few), atol=1e-9)
    np.testing.assert_allclose(ours_in_space(spaces[0]), usual_in_space(spaces[0]), rtol=1e-9)
    measured = {
        f"{PERMUTATIONS} permutations of {TRACKS} tracks, one seed": (pairs, ours, usual),
        "shape of a cloud of 100 tracks": (clouds, ours_in_space, usual_in_space),
        "cloud of 100 tracks, drawn, clustered, scored": ([x for x, _ in clouds], ours_of_cloud, usual_of_cloud),
        f"shape of {TRACKS} tracks in one space, {SEEDS} seeds": (spaces, ours_in_space, usual_in_space),
    }
    return [
        {"name": name, "peak_mib": peak_mib(function, items[0])} | in_turn(items, function, other)
        for name, (items, function, other) in measured.items()
    ]
