"""Agreement of clusters with known labels: functions of their contingency table alone.

Each score is one function of two labellings, and underneath it one of many contingency tables at once, of shape
(..., classes, clusters), all of one number of tracks; null distributions are made of those.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from vae_lib import checks
from vae_lib.checks import ParameterError
from vae_lib.metrics import base
from vae_lib.metrics.base import Metric

BLOCK = 2**22  # cells of contingency tables held at a time; 32 MiB as floats


def contingency(classes: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Count the tracks of each class in each cluster, for m pairs of labellings at once: shape (m, classes, clusters).

    Both are codes from 0, of shape (m, n) or (n,), and unchecked.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> metrics.contingency(np.array([0, 0, 1]), np.array([1, 1, 0])).tolist()
    [[[0, 2], [1, 0]]]
    """
    classes, clusters = np.broadcast_arrays(np.atleast_2d(classes), np.atleast_2d(clusters))
    m, rows, columns = len(clusters), classes.max() + 1, clusters.max() + 1
    cell = (np.arange(m)[:, None] * rows + classes) * columns + clusters
    return np.bincount(cell.ravel(), minlength=m * rows * columns).reshape(m, rows, columns)


def entropy(counts: np.ndarray) -> np.ndarray:
    """Entropy in nats of the shares that counts (..., k) are of their sum: shape (...).

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> round(float(metrics.entropy(np.array([8, 8])) / np.log(2)), 6)  # a fair coin, in bits
    1.0
    """
    total = counts.sum(-1)
    values = np.arange(total.max() + 1)  # counts repeat: looking c · log c up is several times faster than logarithms
    return np.log(total) - special.xlogy(values, values)[counts].sum(-1) / total


def mutual_information(tables: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mutual information of the two sides of tables, and the mean of their entropies, in nats."""
    of_classes, of_clusters = entropy(tables.sum(-1)), entropy(tables.sum(-2))
    joint = entropy(tables.reshape(*tables.shape[:-2], -1))
    return of_classes + of_clusters - joint, (of_classes + of_clusters) / 2


def _pairs(counts: np.ndarray) -> np.ndarray:
    return counts * (counts - 1) // 2


def _ari(tables: np.ndarray) -> np.ndarray:
    together = _pairs(tables).sum((-2, -1))
    same_class, same_cluster = _pairs(tables.sum(-1)).sum(-1), _pairs(tables.sum(-2)).sum(-1)
    pairs = _pairs(tables.sum((-2, -1)))
    # One block, or only singletons, on both sides: equal partitions for which the index is 0 / 0.
    trivial = (same_class == same_cluster) & ((same_class == 0) | (same_class == pairs))
    expected = same_class * (same_cluster / np.maximum(pairs, 1))
    most = (same_class + same_cluster) / 2
    return np.where(trivial, 1.0, (together - expected) / np.where(trivial, 1.0, most - expected))


def _expected_information(tables: np.ndarray) -> np.ndarray:
    """Mutual information in nats expected of permuted labels: equation 24 of Vinh et al. (2010).

    It is a sum over pairs of a class and a cluster, and each term depends on their two sizes alone, which repeat over
    tables: every pair of sizes is worked out once.
    """
    n = int(tables[(0,) * (tables.ndim - 2)].sum())
    rows, row_of = np.unique(tables.sum(-1), return_inverse=True)
    columns, column_of = np.unique(tables.sum(-2), return_inverse=True)
    log_factorial = special.gammaln(np.arange(n + 1) + 1.0)
    expected = np.zeros((len(rows), len(columns)))
    for place, row in enumerate(rows):
        column, both = np.meshgrid(columns, np.arange(1, min(row, columns[-1]) + 1))
        possible = (both <= column) & (both >= row + column - n)
        column, both, of = column[possible], both[possible], np.nonzero(possible)[1]
        log_probability = (
            log_factorial[[row, n - row]].sum() - log_factorial[n]
            + log_factorial[column] + log_factorial[n - column]
            - log_factorial[both] - log_factorial[row - both]
            - log_factorial[column - both] - log_factorial[n - row - column + both]
        )  # fmt: skip
        terms = both / n * np.log(n * both / (row * column)) * np.exp(log_probability)
        expected[place] = np.bincount(of, terms, minlength=len(columns))
    return expected[row_of[..., :, None], column_of[..., None, :]].sum((-2, -1))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    trivial = np.isclose(whole, 0.0)
    return np.where(trivial, 1.0, part / np.where(trivial, 1.0, whole))


def _nmi(tables: np.ndarray) -> np.ndarray:
    return np.clip(_share(*mutual_information(tables)), 0.0, 1.0)


def _ami(tables: np.ndarray) -> np.ndarray:
    information, most = mutual_information(tables)
    expected = _expected_information(tables)
    return _share(information - expected, most - expected)


def _purity(tables: np.ndarray) -> np.ndarray:
    return tables.max(-2).sum(-1) / tables.sum((-2, -1))


def _accuracy(tables: np.ndarray) -> np.ndarray:
    long = tables if tables.shape[-2] <= tables.shape[-1] else tables.swapaxes(-1, -2)
    flat = long.reshape(-1, *long.shape[-2:])
    columns = np.array([optimize.linear_sum_assignment(table, maximize=True)[1] for table in flat])
    matched = np.take_along_axis(flat, columns[..., None], axis=-1).sum((-2, -1))
    return matched.reshape(tables.shape[:-2]) / tables.sum((-2, -1))


def _table(labels_true: np.ndarray, labels_pred: np.ndarray) -> np.ndarray:
    classes = checks.labels(labels_true, "labels_true")
    return contingency(classes, base.clusters(labels_pred, length=len(classes)))[0]


def ari(labels_true: np.ndarray, labels_pred: np.ndarray) -> float:
    """Adjusted Rand index: agreement over pairs of tracks, corrected for chance (Hubert & Arabie 1985).

    From −0.5 to 1, higher is better; 0 is chance, 1 identical partitions, be they one block or singletons. Symmetric.

    Examples
    --------
    Names of clusters do not matter; a single cluster is worth nothing, and what crosses the classes less than that.

    >>> from vae_lib import metrics
    >>> genre = ["jazz", "jazz", "pop", "pop"]
    >>> [round(metrics.ari(genre, clusters), 6) for clusters in ([1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 1])]
    [1.0, 0.0, -0.5]
    """
    return float(_ari(_table(labels_true, labels_pred)))


def ami(labels_true: np.ndarray, labels_pred: np.ndarray) -> float:
    """Adjusted mutual information: mutual information corrected for chance (Vinh et al. 2010).

    At most 1, higher is better; 0 is chance, 1 identical partitions. Symmetric; arithmetic mean of the entropies.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> round(metrics.ami(["jazz", "jazz", "pop", "pop"], [0, 1, 0, 1]), 6)
    -0.5
    """
    return float(_ami(_table(labels_true, labels_pred)))


def nmi(labels_true: np.ndarray, labels_pred: np.ndarray) -> float:
    """Normalised mutual information, not corrected for chance: it grows with k and shrinks with n.

    From 0 to 1, higher is better. Symmetric; arithmetic mean of the entropies; two trivial partitions score 1.

    Examples
    --------
    A cluster per track says nothing about genres, and still scores high:

    >>> from vae_lib import metrics
    >>> genre = ["jazz", "jazz", "pop", "pop"]
    >>> round(metrics.nmi(genre, [0, 1, 2, 3]), 3), metrics.ari(genre, [0, 1, 2, 3])
    (0.667, 0.0)
    """
    return float(_nmi(_table(labels_true, labels_pred)))


def purity(labels_true: np.ndarray, labels_pred: np.ndarray) -> float:
    """Share of tracks that belong to the commonest class of their cluster, not corrected for chance.

    From the share of the largest class to 1, higher is better; grows with the number of clusters, 1 for singletons.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> metrics.purity(["jazz", "jazz", "pop", "pop"], [0, 0, 0, 1])
    0.75
    """
    return float(_purity(_table(labels_true, labels_pred)))


def accuracy(labels_true: np.ndarray, labels_pred: np.ndarray) -> float:
    """Share of tracks on the best one-to-one matching of clusters to classes, not corrected for chance.

    Above 0 and at most 1, higher is better. Symmetric.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> metrics.accuracy(["jazz", "jazz", "pop", "pop"], [0, 1, 2, 3])  # unlike purity: a class has one cluster
    0.5
    """
    return float(_accuracy(_table(labels_true, labels_pred)))


class ARISolution(NamedTuple):
    """An ARI as a fraction in its lowest terms, and the counts of pairs that give it."""

    numerator: int
    denominator: int
    together: int
    """Pairs of tracks of one class and one cluster."""
    same_cluster: int
    """Pairs of tracks of one cluster."""


def ari_solutions(value: float, purity: float, *, n: int, classes: int, clusters: int) -> list[ARISolution]:
    """Find the counts of pairs that give this very ARI, to the last digit, for n tracks in classes of equal size.

    Of N pairs of tracks, C belong to one class, S to one cluster and T to both, and

        ARI = 2 (N T − C S) / (N (C + S) − 2 C S).

    N and C are known, S and T are integers, so that only some of the numbers with sixteen digits are possible. Every S
    is tried with the nearest T. What no table can have is left out: T has a least value, for which clusters are spread
    evenly over the classes, and a purity of w / n needs w tracks in clusters that are no larger than a class. What
    remains may still be impossible; where nothing remains, the ARI cannot be one of n tracks.

    Parameters
    ----------
    value, purity : float
        ARI and purity of one clustering, all digits, as scikit-learn gives them: a quotient of integers, rounded once.
    n, classes, clusters : int
        Tracks, a multiple of the classes; and no cluster is empty.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.metrics import adjusted_rand_score
    >>> from vae_lib import metrics
    >>> genre, clusters = np.arange(100) // 10, np.random.default_rng(0).integers(10, size=100)
    >>> ari, purity = adjusted_rand_score(genre, clusters), metrics.purity(genre, clusters)
    >>> found = metrics.ari_solutions(ari, purity, n=100, classes=10, clusters=10)
    >>> found[0].numerator, found[0].denominator, found[0].numerator / found[0].denominator == ari
    (122, 9549, True)
    >>> len(metrics.ari_solutions(ari, purity, n=200, classes=10, clusters=10))  # no 200 tracks can have it
    0
    """
    checks.in_range(value, "value", low=-0.5, high=1)
    checks.in_range(purity, "purity", low=0, high=1)
    checks.count(n, "n", low=2, high=10_000)
    checks.count(clusters, "clusters", high=n)
    size, rest = divmod(checks.count(n, "n", low=2), checks.count(classes, "classes"))
    if rest:
        raise ParameterError(f"n must be a multiple of the {classes} classes, got {n}")
    strangers = n - round(purity * n)  # tracks that are not of the commonest class of their cluster
    if abs(purity * n - round(purity * n)) > 1e-9:
        return []
    least = sum(_pairs(len(part)) for part in np.array_split(np.arange(n), clusters))
    same_cluster = np.arange(least, _pairs(n - clusters + 1) + 1)
    pairs, same_class = _pairs(n), classes * _pairs(size)
    below = pairs * (same_class + same_cluster) - 2 * same_class * same_cluster
    together = np.rint((value * below / 2 + same_class * same_cluster) / pairs).astype(np.int64)
    above = 2 * (pairs * together - same_class * same_cluster)
    squares = 2 * same_cluster + n  # of the sizes of clusters, summed
    possible = (
        (np.abs(above / below - value) <= 4 * np.spacing(abs(value)))
        & (together <= np.minimum(same_class, same_cluster))
        & (2 * together + n >= squares / classes)
        & (squares <= size * n + strangers * (size + strangers))
    )
    shared = np.gcd(above, below)
    counts = (of[possible].tolist() for of in (above // shared, below // shared, together, same_cluster))
    return list(map(ARISolution, *counts))


METRICS: Mapping[str, Metric] = {
    "ari": Metric("ARI", ari, -0.5, 1.0, True, _ari),
    "ami": Metric("AMI", ami, -1.0, 1.0, True, _ami),
    "nmi": Metric("NMI", nmi, 0.0, 1.0, True, _nmi),
    "purity": Metric("Purity", purity, 0.0, 1.0, True, _purity),
    "accuracy": Metric("Accuracy", accuracy, 0.0, 1.0, True, _accuracy),
}
"""The label metrics by name, in the order in which tables show them."""


def over_draws(classes: np.ndarray, clusters: np.ndarray, *, names: Sequence[str] = tuple(METRICS)) -> np.ndarray:
    """Label metrics (names, draws) of many pairs of labellings (draws, n), either of which may be one for all.

    Unchecked codes from 0.
    """
    classes, clusters = np.broadcast_arrays(np.atleast_2d(classes), np.atleast_2d(clusters))
    rows = max(1, BLOCK // ((classes.max() + 1) * (clusters.max() + 1)))
    tables = (contingency(classes[at : at + rows], clusters[at : at + rows]) for at in range(0, len(classes), rows))
    return np.concatenate([[METRICS[name].batch(block) for name in names] for block in tables], axis=1)
