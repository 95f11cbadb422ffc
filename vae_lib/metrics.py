"""Scores of a clustering, each beside what chance alone would give.

Two families. *Label* metrics compare clusters with known labels and are functions of their contingency table alone;
their chance level is the mean over permutations of the labels, at the n, the k and the cluster sizes at hand.
*Space* metrics look at the shape of the clusters in a space and need no labels; their chance level is what the same
clusterer scores in a single Gaussian cloud with that space's mean and covariance, where there is nothing to find.

A score that is undefined raises `UndefinedError`; `shape` and `evaluate`, which score many clusterings, give NaN
instead and keep the reason. Tracks that a clusterer calls noise (label −1, as of DBSCAN) are never dropped and never
silently taken for a cluster: the caller says what they are, as in `without_noise`.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats
from scipy.spatial import distance

from vae_lib import checks
from vae_lib.checks import ParameterError

NOISE = ("singletons", "cluster")
"""What noise tracks may count as, each a cluster of its own or all of them one cluster."""

BLOCK = 2**22  # cells of contingency tables, or distances, held at a time; 32 MiB as floats


class UndefinedError(ParameterError):
    """The score has no value for this clustering, however correct the input is."""


def coverage(labels_pred: np.ndarray) -> np.ndarray:
    """Share of the tracks that are in a cluster, not noise (label −1).

    Parameters
    ----------
    labels_pred : array-like of int, shape (seeds, n) or (n,)

    Returns
    -------
    array of float, shape (seeds,)
        From 0 to 1.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> metrics.coverage([0, 0, 1, -1])
    array([0.75])
    """
    return (_whole_numbers(labels_pred) != -1).mean(axis=1)


def without_noise(labels_pred: np.ndarray, *, noise: str) -> np.ndarray:
    """Give noise tracks (label −1) clusters, so that every track counts when the clustering is scored.

    Neither choice flatters a clusterer that gives up on most tracks in every metric, so give both, and the `coverage`.

    Parameters
    ----------
    labels_pred : array-like of int, shape (seeds, n) or (n,)
    noise : {"singletons", "cluster"}
        Each noise track a cluster of its own, or all of a seed's noise tracks one cluster.

    Returns
    -------
    array of int, same shape
        Without −1; all other labels as they were.

    Raises
    ------
    ParameterError
        If `noise` is neither, or the labels are not whole numbers.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> metrics.without_noise([0, 0, -1, -1], noise="singletons")
    array([0, 0, 1, 2])
    >>> metrics.without_noise([0, 0, -1, -1], noise="cluster")
    array([0, 0, 1, 1])
    """
    checks.one_of(noise, "noise", NOISE)
    clusterings = _whole_numbers(labels_pred).copy()
    for labels in clusterings:
        lost = labels == -1
        labels[lost] = labels.max() + 1 + (np.arange(lost.sum()) if noise == "singletons" else 0)
    return clusterings.reshape(np.shape(labels_pred))


def _whole_numbers(labels_pred: np.ndarray) -> np.ndarray:
    clusterings = np.atleast_2d(labels_pred)
    if clusterings.ndim != 2 or clusterings.dtype.kind not in "iu" or not clusterings.size:
        raise ParameterError(
            "labels_pred must hold whole numbers, shape (seeds, n) or (n,), to tell noise (-1) from clusters, "
            f"got {clusterings.dtype} of shape {np.shape(labels_pred)}"
        )
    return clusterings


def _clusters(labels_pred: np.ndarray, length: int | None) -> np.ndarray:
    """Codes of one clustering (n,); noise is an error, because it is no cluster."""
    labels = np.asarray(labels_pred)
    codes = checks.labels(labels, "labels_pred", length=length)
    if labels.dtype.kind in "if" and (lost := int((labels == -1).sum())):
        raise ParameterError(
            f"labels_pred has {lost} noise track(s), label -1, which are no cluster: say what they count as, "
            'noise="singletons" or noise="cluster" (see without_noise)'
        )
    return codes


def _clusterings(labels_pred: np.ndarray, *, length: int, noise: str | None) -> list[np.ndarray]:
    """Codes of each seed's clustering."""
    clusterings = np.atleast_2d(labels_pred if noise is None else without_noise(labels_pred, noise=noise))
    return [_clusters(row, length) for row in clusterings]


def contingency(labels_true: np.ndarray, labels_pred: np.ndarray) -> np.ndarray:
    """Count the tracks of each class in each cluster.

    Parameters
    ----------
    labels_true, labels_pred : array-like, shape (n,)
        Classes and clusters; any labels without missing ones, clusters without noise (−1).

    Returns
    -------
    array of int, shape (classes, clusters)
        Rows and columns in sorted order of the labels.

    Raises
    ------
    ParameterError
        If the two differ in length, are empty, have missing labels, or tracks are noise.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> metrics.contingency(["jazz", "jazz", "pop"], [1, 1, 0])
    array([[0, 2],
           [1, 0]])
    """
    classes = checks.labels(labels_true, "labels_true")
    return contingency_tables(classes, _clusters(labels_pred, len(classes)))[0]


def contingency_tables(classes: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Contingency tables of m pairs of labellings, given as codes from 0, each of shape (m, n) or (n,) for all.

    Returns
    -------
    array of int, shape (m, classes, clusters)
        Not checked, for use in loops; see `contingency`.
    """
    classes, clusters = np.broadcast_arrays(np.atleast_2d(classes), np.atleast_2d(clusters))
    m, rows, columns = len(clusters), classes.max() + 1, clusters.max() + 1
    cell = (np.arange(m)[:, None] * rows + classes) * columns + clusters
    return np.bincount(cell.ravel(), minlength=m * rows * columns).reshape(m, rows, columns)


# Each function below maps contingency tables of shape (..., classes, clusters), all of one number of tracks, to scores
# of shape (...). Classes and clusters may be empty.


def _pairs(counts: np.ndarray) -> np.ndarray:
    return counts * (counts - 1) / 2


def _ari(tables: np.ndarray) -> np.ndarray:
    together = _pairs(tables).sum((-2, -1))
    same_class, same_cluster = _pairs(tables.sum(-1)).sum(-1), _pairs(tables.sum(-2)).sum(-1)
    expected = same_class * same_cluster / np.maximum(_pairs(tables.sum((-2, -1))), 1)
    most = (same_class + same_cluster) / 2
    trivial = np.isclose(most, expected)  # one block, or only singletons, on both sides: the partitions are equal
    return np.where(trivial, 1.0, (together - expected) / np.where(trivial, 1.0, most - expected))


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


def _mutual_information(tables: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mutual information and the mean of the two entropies, in nats."""
    class_entropy, cluster_entropy = entropy(tables.sum(-1)), entropy(tables.sum(-2))
    joint = entropy(tables.reshape(*tables.shape[:-2], -1))
    return class_entropy + cluster_entropy - joint, (class_entropy + cluster_entropy) / 2


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
    return np.clip(_share(*_mutual_information(tables)), 0.0, 1.0)


def _ami(tables: np.ndarray) -> np.ndarray:
    information, entropy = _mutual_information(tables)
    expected = _expected_information(tables)
    return _share(information - expected, entropy - expected)


def _purity(tables: np.ndarray) -> np.ndarray:
    return tables.max(-2).sum(-1) / tables.sum((-2, -1))


def _accuracy(tables: np.ndarray) -> np.ndarray:
    long = tables if tables.shape[-2] <= tables.shape[-1] else tables.swapaxes(-1, -2)
    flat = long.reshape(-1, *long.shape[-2:])
    columns = np.array([optimize.linear_sum_assignment(table, maximize=True)[1] for table in flat])
    matched = np.take_along_axis(flat, columns[..., None], axis=-1).sum((-2, -1))
    return matched.reshape(tables.shape[:-2]) / tables.sum((-2, -1))


# Each function below maps a space of shape (n, d) and clusterings of shape (m, n) to scores of shape (m,). They equal
# scikit-learn's, whose checks take longer than the work where n is a hundred.


def _silhouette(x: np.ndarray, clusterings: np.ndarray) -> np.ndarray:
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
        alone = (size[clusters] == 1) | (greater == 0)  # singletons score 0 by definition
        scores[at] = np.where(alone, 0.0, (nearest - within) / np.where(alone, 1.0, greater)).mean()
    return scores


def _centres(x: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre (k, d) and size (k,) of each cluster."""
    size = np.bincount(clusters)
    return np.eye(len(size))[clusters].T @ x / size[:, None], size


def _calinski_harabasz(x: np.ndarray, clusterings: np.ndarray) -> np.ndarray:
    scores = np.ones(len(clusterings))  # scikit-learn's value where no track is off its centre
    for at, clusters in enumerate(clusterings):
        centres, size = _centres(x, clusters)
        between = size @ np.square(centres - x.mean(0)).sum(1)
        within = np.square(x - centres[clusters]).sum()
        if within > 0:
            scores[at] = between / within * (len(x) - len(size)) / (len(size) - 1)
    return scores


def _davies_bouldin(x: np.ndarray, clusterings: np.ndarray) -> np.ndarray:
    scores = np.zeros(len(clusterings))
    for at, clusters in enumerate(clusterings):
        centres, size = _centres(x, clusters)
        spread = np.bincount(clusters, np.linalg.norm(x - centres[clusters], axis=1)) / size
        apart = distance.squareform(distance.pdist(centres))
        if not (np.allclose(spread, 0) or np.allclose(apart, 0)):
            apart[apart == 0] = np.inf
            scores[at] = ((spread[:, None] + spread) / apart).max(1).mean()
    return scores


def ari(labels_true: np.ndarray, labels_pred: np.ndarray) -> float:
    """Adjusted Rand index: agreement over pairs of tracks, corrected for chance (Hubert & Arabie 1985).

    From −0.5 to 1, higher is better; 0 is chance, 1 identical partitions. Symmetric.

    Examples
    --------
    Names of clusters do not matter; a single cluster is worth nothing, and what crosses the classes less than that.

    >>> from vae_lib import metrics
    >>> metrics.ari(["jazz", "jazz", "pop", "pop"], [1, 1, 0, 0])
    1.0
    >>> metrics.ari(["jazz", "jazz", "pop", "pop"], [0, 0, 0, 0])
    0.0
    >>> round(metrics.ari(["jazz", "jazz", "pop", "pop"], [0, 1, 0, 1]), 6)
    -0.5
    """
    return float(_ari(contingency(labels_true, labels_pred)))


def ami(labels_true: np.ndarray, labels_pred: np.ndarray) -> float:
    """Adjusted mutual information: mutual information corrected for chance (Vinh et al. 2010).

    At most 1, higher is better; 0 is chance, 1 identical partitions. Symmetric; arithmetic mean of the entropies.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> round(metrics.ami(["jazz", "jazz", "pop", "pop"], [1, 1, 0, 0]), 6)
    1.0
    >>> round(metrics.ami(["jazz", "jazz", "pop", "pop"], [0, 1, 0, 1]), 6)
    -0.5
    """
    return float(_ami(contingency(labels_true, labels_pred)))


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
    return float(_nmi(contingency(labels_true, labels_pred)))


def purity(labels_true: np.ndarray, labels_pred: np.ndarray) -> float:
    """Share of tracks that belong to the commonest class of their cluster, not corrected for chance.

    From the share of the largest class to 1, higher is better; grows with the number of clusters, 1 for singletons.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> genre = ["jazz", "jazz", "pop", "pop"]
    >>> metrics.purity(genre, [0, 0, 0, 1])
    0.75
    >>> metrics.purity(genre, [0, 1, 2, 3])  # a cluster per track is always pure
    1.0
    """
    return float(_purity(contingency(labels_true, labels_pred)))


def accuracy(labels_true: np.ndarray, labels_pred: np.ndarray) -> float:
    """Share of tracks on the best one-to-one matching of clusters to classes, not corrected for chance.

    Above 0 and at most 1, higher is better. Symmetric.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> genre = ["jazz", "jazz", "pop", "pop"]
    >>> metrics.accuracy(genre, [0, 0, 0, 1])
    0.75
    >>> metrics.accuracy(genre, [0, 1, 2, 3])  # unlike purity: a class has one cluster
    0.5
    """
    return float(_accuracy(contingency(labels_true, labels_pred)))


def silhouette(x: np.ndarray, labels_pred: np.ndarray) -> float:
    """Mean silhouette: how much nearer a track is to its own cluster than to the next (Rousseeuw 1987).

    From −1 to 1, higher is better. Euclidean distance; a track alone in its cluster scores 0.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> x = [[0.0], [1.0], [10.0], [11.0]]
    >>> round(metrics.silhouette(x, [0, 0, 1, 1]), 2)
    0.9
    >>> round(metrics.silhouette(x, [0, 1, 0, 1]), 2)
    -0.45
    """
    return _in_space(_silhouette, x, labels_pred)


def calinski_harabasz(x: np.ndarray, labels_pred: np.ndarray) -> float:
    """Ratio of the variance between clusters to that within, per degree of freedom (Caliński & Harabasz 1974).

    At least 0, higher is better, no upper bound; it depends on the space and grows with n.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> metrics.calinski_harabasz([[0.0], [1.0], [10.0], [11.0]], [0, 0, 1, 1])  # (100 / 1) / (1 / 2)
    200.0
    """
    return _in_space(_calinski_harabasz, x, labels_pred)


def davies_bouldin(x: np.ndarray, labels_pred: np.ndarray) -> float:
    """Mean over clusters of the worst ratio of spreads to the distance of centres (Davies & Bouldin 1979).

    At least 0, lower is better.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> metrics.davies_bouldin([[0.0], [1.0], [10.0], [11.0]], [0, 0, 1, 1])  # spreads 0.5 + 0.5, centres 10 apart
    0.1
    """
    return _in_space(_davies_bouldin, x, labels_pred)


def _in_space(function: Callable, x: np.ndarray, labels_pred: np.ndarray) -> float:
    x = checks.matrix(x, "x")
    return float(function(x, _several(_clusters(labels_pred, len(x)))[None])[0])


def _several(clusters: np.ndarray) -> np.ndarray:
    """Return the codes of a clustering whose shape can be measured."""
    n, k = len(clusters), clusters.max() + 1
    if not 1 < k < n:
        raise UndefinedError(f"labels_pred must have from 2 to {n - 1} clusters for {n} tracks, got {k}")
    return clusters


class Metric(NamedTuple):
    """What a reader needs to know of a metric, and how to compute it."""

    title: str
    function: Callable[[np.ndarray, np.ndarray], float]
    low: float
    high: float
    greater_is_better: bool
    from_tables: Callable[[np.ndarray], np.ndarray] | None = None
    from_space: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None


METRICS: Mapping[str, Metric] = {
    "ari": Metric("ARI", ari, -0.5, 1.0, True, _ari),
    "ami": Metric("AMI", ami, -1.0, 1.0, True, _ami),
    "nmi": Metric("NMI", nmi, 0.0, 1.0, True, _nmi),
    "purity": Metric("Purity", purity, 0.0, 1.0, True, _purity),
    "accuracy": Metric("Accuracy", accuracy, 0.0, 1.0, True, _accuracy),
    "silhouette": Metric("Silhouette", silhouette, -1.0, 1.0, True, from_space=_silhouette),
    "calinski_harabasz": Metric(
        "Calinski-Harabasz", calinski_harabasz, 0.0, np.inf, True, from_space=_calinski_harabasz
    ),
    "davies_bouldin": Metric("Davies-Bouldin", davies_bouldin, 0.0, np.inf, False, from_space=_davies_bouldin),
}
"""Every metric by name, in the order in which tables show them; those with `from_tables` compare with labels."""

LABEL_METRICS = tuple(name for name, metric in METRICS.items() if metric.from_tables)
SPACE_METRICS = tuple(name for name, metric in METRICS.items() if metric.from_space)


class Score(NamedTuple):
    """One metric of one method over its seeds, beside chance.

    Attributes
    ----------
    metric : str
        A name in `METRICS`, or another measure, of which higher is better.
    space : str
        Where it was measured: "labels", "native" (the space that was clustered) or "common" (the input space).
    values : array of float, shape (seeds,)
        NaN where the score is undefined.
    null : array of float, shape (draws,)
        What chance gives for the mean over seeds, draw by draw; NaN where a draw has no score. Empty if it was not
        computed; a single value is a chance level that is known without drawing, and gives no p-value.
    tracks : tuple of float
        From `subsample_interval`; NaN if it was not computed.
    reason : str
        Why values are undefined; empty if none is.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> score = metrics.Score("ari", "labels", values=np.array([0.2, 0.3, 0.4]), null=np.linspace(-0.1, 0.1, 99))
    >>> round(score.mean, 6), round(score.sd, 6), abs(round(score.chance, 6)), score.p_value
    (0.3, 0.1, 0.0, 0.01)
    """

    metric: str
    space: str
    values: np.ndarray
    null: np.ndarray
    tracks: tuple[float, float] = (np.nan, np.nan)
    reason: str = ""

    @property
    def mean(self) -> float:
        """Mean over seeds; NaN where it is undefined for any, since leaving that seed out would flatter the method."""
        return float(np.mean(self.values))

    @property
    def sd(self) -> float:
        """Standard deviation over seeds; NaN for a single one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else np.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % t interval of the mean over seeds, which tells training luck only, the tracks being as they are."""
        return _t_interval(self.mean, self.sd / np.sqrt(len(self.values)), len(self.values) - 1)

    @property
    def chance(self) -> float:
        """Mean of the null distribution, over the draws that have a score."""
        known = self.null[~np.isnan(self.null)]
        return float(np.mean(known)) if len(known) else np.nan

    @property
    def p_value(self) -> float:
        """Share of null draws that do at least as well, the observed one counted among them; one-sided.

        A draw without a score does worse than any.
        """
        if len(self.null) < 2 or np.isnan(self.mean):
            return np.nan
        sign = 1 if self.metric not in METRICS or METRICS[self.metric].greater_is_better else -1
        better = sign * self.null >= sign * self.mean - 1e-12
        return float((1 + better.sum()) / (1 + len(self.null)))


def _t_interval(mean: float, error: float, degrees: float) -> tuple[float, float]:
    half = stats.t.ppf(0.975, degrees) * error
    return float(mean - half), float(mean + half)


def _over_draws(classes: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Label metrics of many labellings (draws, n), either of which may be one for all: shape (metrics, draws)."""
    classes, clusters = np.broadcast_arrays(np.atleast_2d(classes), np.atleast_2d(clusters))
    rows = max(1, BLOCK // ((classes.max() + 1) * (clusters.max() + 1)))
    blocks = (slice(at, at + rows) for at in range(0, len(classes), rows))
    return np.concatenate(
        [_from_tables(contingency_tables(classes[block], clusters[block])) for block in blocks], axis=1
    )


def _from_tables(tables: np.ndarray) -> np.ndarray:
    return np.array([METRICS[name].from_tables(tables) for name in LABEL_METRICS])


def agreement(
    labels_true: np.ndarray,
    labels_pred: np.ndarray,
    *,
    permutations: int = 1000,
    subsamples: int = 0,
    noise: str | None = None,
    seed: int = 0,
) -> list[Score]:
    """Score every label metric over seeds, with its null distribution.

    A permutation of the classes is scored against the clusterings of all seeds and averaged, so that the null
    distribution is that of the mean over seeds, their dependence included.

    Parameters
    ----------
    labels_true : array-like, shape (n,)
        The known classes.
    labels_pred : array-like, shape (seeds, n) or (n,)
        One clustering per seed.
    permutations : int
        Draws of the null distribution.
    subsamples : int
        Draws of the interval over tracks, as in `subsample_interval`; 0 for none.
    noise : {"singletons", "cluster"}, optional
        What tracks with label −1 count as, as in `without_noise`; without it they are an error.
    seed : int
        Of the permutations and subsamples.

    Returns
    -------
    list of Score
        In the order of `METRICS`.

    Raises
    ------
    ParameterError
        If the lengths differ, labels are missing, tracks are noise or a count is too small.

    Examples
    --------
    Perfect clusters, and clusters at random, of a hundred tracks; chance is the same for both:

    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> genre = np.arange(100) % 10
    >>> for clusters in (genre, np.random.default_rng(0).permutation(genre)):
    ...     scores = {score.metric: score for score in metrics.agreement(genre, clusters, permutations=99)}
    ...     print([f"{name} {scores[name].mean:.1f} (chance {scores[name].chance + 0:.1f})" for name in ("ami", "nmi")])
    ['ami 1.0 (chance 0.0)', 'nmi 1.0 (chance 0.2)']
    ['ami 0.0 (chance 0.0)', 'nmi 0.2 (chance 0.2)']
    """
    classes = checks.labels(labels_true, "labels_true")
    clusterings = _clusterings(labels_pred, length=len(classes), noise=noise)
    checks.count(permutations, "permutations")
    rng = np.random.default_rng(checks.count(seed, "seed", low=0))
    shuffled = rng.permuted(np.broadcast_to(classes, (permutations, len(classes))), axis=1)
    values = np.concatenate([_over_draws(classes, clusters) for clusters in clusterings], axis=1)
    null = np.mean([_over_draws(shuffled, clusters) for clusters in clusterings], axis=0)
    tracks = {}
    if checks.count(subsamples, "subsamples", low=0):
        tracks = subsample_interval(classes, clusterings, draws=subsamples, seed=seed)
    return [
        Score(name, "labels", *of_metric, tracks.get(name, (np.nan, np.nan)))
        for name, *of_metric in zip(LABEL_METRICS, values, null, strict=True)
    ]


def subsample_interval(
    labels_true: np.ndarray,
    labels_pred: np.ndarray,
    *,
    minus: np.ndarray | None = None,
    draws: int = 1000,
    share: float = 0.5,
    noise: str | None = None,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    r"""95 % interval of each label metric over draws of tracks: how far as many other tracks would move the score.

    Subsamples of m of the n tracks are drawn without replacement (Politis & Romano 1994); an ordinary bootstrap
    repeats tracks, and every repeated pair agrees with itself, which inflates NMI and its kin. The subsamples' scores
    scatter around *their* mean, because an uncorrected score of m tracks is another quantity than one of n; this
    scatter, times :math:`\sqrt{m / (n - m)}` for their size and for sharing tracks, is laid around the score of all.
    The clusters are taken as they are: that a clusterer would have drawn other borders on other tracks is not in it.

    Parameters
    ----------
    labels_true : array-like, shape (n,)
    labels_pred : array-like, shape (seeds, n) or (n,)
        One clustering per seed; the interval is that of the mean over seeds, all seeds losing the same tracks.
    minus : array-like, shape (seeds, n) or (n,), optional
        Clusterings by another method: the interval is then that of the difference of the two methods' means.
    draws : int
        Number of subsamples, at least 100.
    share : float
        m / n, between 0 and 1.
    noise : {"singletons", "cluster"}, optional
        As in `agreement`.
    seed : int
        Of the subsamples.

    Returns
    -------
    dict of metric to (low, high)
        Not beyond the metric's own bounds, unless it is of a difference.

    Raises
    ------
    ParameterError
        As in `agreement`, or if a subsample would have fewer than 2 tracks or all of them.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> genre = np.arange(100) % 5
    >>> metrics.subsample_interval(genre, genre)["ari"]  # what is perfect on all tracks is so on any
    (1.0, 1.0)
    >>> half = np.where(np.arange(100) < 50, genre, 0)
    >>> low, high = metrics.subsample_interval(genre, half)["ari"]
    >>> low < metrics.ari(genre, half) < high
    True
    """
    classes = checks.labels(labels_true, "labels_true")
    n = len(classes)
    methods = [_clusterings(labels, length=n, noise=noise) for labels in (labels_pred, minus) if labels is not None]
    checks.count(draws, "draws", low=100)
    m = round(n * checks.in_range(share, "share", low=0, high=1))
    if not 2 <= m < n:
        raise ParameterError(f"share must leave from 2 to {n - 1} of {n} tracks in a subsample, got {share} ({m})")
    rng = np.random.default_rng(checks.count(seed, "seed", low=0))
    chosen = rng.permuted(np.broadcast_to(np.arange(n), (draws, n)), axis=1)[:, :m]

    def score(tracks: np.ndarray) -> np.ndarray:
        means = [np.mean([_over_draws(classes[tracks], of[tracks]) for of in method], axis=0) for method in methods]
        return means[0] - (means[1] if len(means) > 1 else 0)

    whole, parts = score(np.arange(n)), score(chosen)
    scatter = np.sqrt(m / (n - m)) * (parts - parts.mean(1, keepdims=True))
    high, low = (whole[:, 0] - np.quantile(scatter, q, axis=1) for q in (0.025, 0.975))
    if minus is None:
        bounds = np.array([(METRICS[name].low, METRICS[name].high) for name in LABEL_METRICS])
        low, high = np.clip([low, high], *bounds.T)
    return {name: (float(a), float(b)) for name, a, b in zip(LABEL_METRICS, low, high, strict=True)}


class Comparison(NamedTuple):
    """How one method's scores differ from another's over seeds; a positive difference speaks for the first.

    Attributes
    ----------
    metric, space : str
        As in `Score`.
    difference : float
        Mean of the first minus mean of the second, with the sign turned for a metric of which lower is better.
    low, high : float
        95 % t interval of the difference over seeds.
    p_value : float
        Two-sided; NaN where neither method varies over seeds, so that there is nothing to test.
    superiority : float
        Effect size from 0 to 1, 0.5 being none: how often a seed of the first does better, ties counting half, over
        pairs of equal seeds, or over all pairs of seeds if they are not paired (Vargha & Delaney 2000).
    seeds : tuple of int
        Of the first and the second method.
    """

    metric: str
    space: str
    difference: float
    low: float
    high: float
    p_value: float
    superiority: float
    seeds: tuple[int, int]


def compare(first: Score, second: Score, *, paired: bool = True, draws: int = 9999, seed: int = 0) -> Comparison:
    """Compare two methods over seeds by a permutation test of their mean difference.

    Paired, the signs of the seeds' differences are flipped; unpaired, as for ensembles whose members are drawn anew,
    seeds are dealt anew to the two methods. Every way is tried where there are at most `draws` (13 paired seeds),
    else as many random ones. This tests the mean that the tables print, sizes of differences included and without
    assuming a shape; Wilcoxon's test knows ranks only. The seeds are what varies: the test says whether training luck
    explains the difference, not whether other tracks would give it too; for that see `subsample_interval`.

    Parameters
    ----------
    first, second : Score
        Of one metric in one space, on the same tracks. Not "native", which is another space for every method.
    paired : bool
        Whether equal positions in `values` belong together.
    draws : int
        Most permutations to try.
    seed : int
        Of random permutations.

    Returns
    -------
    Comparison

    Raises
    ------
    ParameterError
        If metric or space differ, the space is "native", a value is undefined, there are fewer than two seeds, or
        paired scores differ in their number of seeds.

    Examples
    --------
    A method that is ahead on each of ten seeds, by as little as it may be:

    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> values = np.linspace(0.1, 0.3, 10)
    >>> ahead, behind = (metrics.Score("ari", "labels", v, null=np.array([])) for v in (values + 0.01, values))
    >>> found = metrics.compare(ahead, behind)
    >>> round(found.difference, 6), found.superiority, found.p_value == 2 / 2**10
    (0.01, 1.0, True)
    """
    for name in ("metric", "space"):
        one, other = getattr(first, name), getattr(second, name)
        if one != other:
            raise ParameterError(f"first and second must have the same {name}, got {one!r} and {other!r}")
    if first.space == "native":
        raise ParameterError("first and second must be of one space for all methods, got 'native': compare in 'common'")
    better = 1 if first.metric not in METRICS or METRICS[first.metric].greater_is_better else -1
    a, b = (better * np.asarray(score.values, dtype=float) for score in (first, second))
    for name, values, score in (("first", a, first), ("second", b, second)):
        if len(values) < 2:
            raise ParameterError(f"{name} must have at least 2 seeds, got {len(values)}")
        if np.isnan(values).any():
            raise ParameterError(f"{name} must have a value for every seed: {score.reason or 'some are NaN'}")
    if paired and len(a) != len(b):
        raise ParameterError(f"first and second must have as many seeds to be paired, got {len(a)} and {len(b)}")
    checks.count(draws, "draws", low=99)
    rng = np.random.default_rng(checks.count(seed, "seed", low=0))

    difference = float(a.mean() - b.mean())
    signs = np.sign(np.round(a - b if paired else a[:, None] - b, 12))  # rounding errors are ties
    if paired:
        error, degrees = np.std(a - b, ddof=1) / np.sqrt(len(a)), len(a) - 1
    else:
        parts = np.array([np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)])
        error = np.sqrt(parts.sum())
        degrees = parts.sum() ** 2 / max((parts**2 / [len(a) - 1, len(b) - 1]).sum(), np.finfo(float).tiny)  # Welch's
    if np.allclose([np.ptp(a), np.ptp(b)], 0) and signs.any():
        low = high = p_value = np.nan
    else:
        low, high = _t_interval(difference, error, degrees) if error > 0 else (difference, difference)
        p_value = stats.permutation_test(
            (a, b),
            lambda u, v, axis: u.mean(axis) - v.mean(axis),
            permutation_type="samples" if paired else "independent",
            vectorized=True,
            n_resamples=draws,
            rng=rng,
        ).pvalue
    superiority = float(((1 + signs) / 2).mean())
    return Comparison(first.metric, first.space, difference, low, high, float(p_value), superiority, (len(a), len(b)))


def shape(
    x: np.ndarray,
    labels_pred: np.ndarray,
    *,
    space: str,
    null: Mapping[str, np.ndarray] | None = None,
    noise: str | None = None,
) -> list[Score]:
    """Score every space metric over seeds.

    Parameters
    ----------
    x : array-like, shape (seeds, n, d) or (n, d)
        The space to measure in: one per seed, or one for all.
    labels_pred : array-like, shape (seeds, n)
        One clustering per seed. A seed for which a score is undefined (a single cluster) gets NaN.
    space : str
        Its name in the results: "native" or "common".
    null : mapping of metric to array, optional
        From `structureless`.
    noise : {"singletons", "cluster"}, optional
        As in `agreement`. A seed with noise as singletons gets NaN: singletons have no spread, so that the scores
        would improve with every track that is given up, and leaving these out would do the same.

    Returns
    -------
    list of Score
        In the order of `METRICS`; `reason` says why values are NaN.

    Raises
    ------
    ParameterError
        If the number of spaces or tracks does not match, `x` is not finite or tracks are noise.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> x = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> [(score.metric, round(score.mean, 2)) for score in metrics.shape(x, np.array([[0, 0, 1, 1]]), space="native")]
    [('silhouette', 0.9), ('calinski_harabasz', 200.0), ('davies_bouldin', 0.1)]
    """
    x = np.asarray(x)
    spaces = [checks.matrix(points, "x") for points in (x if x.ndim == 3 else x[None])]
    clusterings = _clusterings(labels_pred, length=len(spaces[0]), noise=noise)
    if x.ndim == 3 and len(spaces) != len(clusterings):
        raise ParameterError(f"x must hold one space per seed ({len(clusterings)}) or one for all, got {len(spaces)}")
    given_up = coverage(labels_pred) < 1 if noise == "singletons" else np.zeros(len(clusterings), dtype=bool)
    defined, reasons = [], []
    for row, clusters in enumerate(clusterings):
        try:
            if given_up[row]:
                raise UndefinedError("noise as singletons has no shape")
            _several(clusters)
            defined.append(row)
        except UndefinedError as error:
            reasons.append(str(error))
    reason = f"undefined for {len(reasons)} of {len(clusterings)} seeds: {reasons[0]}" if reasons else ""
    scores = []
    for name in SPACE_METRICS:
        function, values = METRICS[name].from_space, np.full(len(clusterings), np.nan)
        if len(spaces) > 1:
            values[defined] = [function(spaces[row], clusterings[row][None])[0] for row in defined]
        elif defined:
            values[defined] = function(spaces[0], np.stack([clusterings[row] for row in defined]))
        chance = np.array([]) if given_up.any() or null is None else np.asarray(null.get(name, []))
        scores.append(Score(name, space, values, chance, reason=reason))
    return scores


def structureless(
    x: np.ndarray, cluster: Callable[[np.ndarray, int], np.ndarray], *, draws: int = 100, seed: int = 0
) -> dict[str, np.ndarray]:
    """Space metrics of `cluster` on Gaussian clouds with the mean and covariance of `x`: its chance level.

    Every clusterer finds clusters, and every space metric rewards them, whether there is anything to find or not;
    here there is not.

    Parameters
    ----------
    x : array-like, shape (seeds, n, d) or (n, d)
        The space to imitate; with several, draw by draw in turn.
    cluster : callable
        ``cluster(points, draw) -> labels``, without noise: see `without_noise`.
    draws : int
        Number of clouds.
    seed : int
        Of the clouds.

    Returns
    -------
    dict of metric to array, shape (draws,)
        NaN for a cloud in which the clusterer finds a single cluster.

    Examples
    --------
    k-means in a round cloud: nothing is there, and the silhouette is above 0 all the same.

    >>> import numpy as np
    >>> from vae_lib import cluster, metrics
    >>> cloud = np.random.default_rng(0).normal(size=(60, 2))
    >>> null = metrics.structureless(cloud, lambda points, draw: cluster.kmeans(points, 3, seed=draw), draws=20)
    >>> bool(null["silhouette"].mean() > 0.2)
    True
    """
    x = np.asarray(x, dtype=float)
    spaces = [checks.matrix(points, "x") for points in (x if x.ndim == 3 else x[None])]
    rng = np.random.default_rng(checks.count(seed, "seed", low=0))
    null = {name: np.full(checks.count(draws, "draws"), np.nan) for name in SPACE_METRICS}
    centres = [points.mean(0) for points in spaces]
    axes = [
        np.linalg.svd(points - centre, full_matrices=False)[1:] for points, centre in zip(spaces, centres, strict=True)
    ]
    for draw in range(draws):
        which = draw % len(spaces)
        spread, directions = axes[which]
        rank = max(1, int((spread > spread[0] * 1e-9).sum()))
        normal = rng.standard_normal((len(spaces[which]), rank))
        # Orthonormal centred columns: the cloud has the covariance of x exactly, not one estimated anew from n draws,
        # whose more uneven spectrum would make the chance level too good.
        columns = np.linalg.qr(normal - normal.mean(0))[0]
        cloud = centres[which] + columns * spread[:rank] @ directions[:rank]
        for score in shape(cloud, cluster(cloud, draw), space="native"):
            null[score.metric][draw] = score.values[0]
    return null


def evaluate(
    labels_pred: np.ndarray,
    *,
    labels_true: np.ndarray,
    spaces: Mapping[str, np.ndarray],
    nulls: Mapping[str, Mapping[str, np.ndarray]],
    permutations: int = 1000,
    subsamples: int = 1000,
    noise: str | None = None,
    seed: int = 0,
) -> list[Score]:
    """Score a method by every metric: agreement with the labels, and its shape in each space.

    Parameters
    ----------
    labels_pred : array-like, shape (seeds, n)
        One clustering per seed.
    labels_true : array-like, shape (n,)
        The known classes; they serve here and nowhere before.
    spaces : mapping of space to array, shape (seeds, n, d) or (n, d)
        Usually "native", the space that was clustered, and "common", the input space of all methods: shapes compare
        between methods in the latter only.
    nulls : mapping of space to what `structureless` gives for it
    permutations, subsamples, seed : int
        As in `agreement`.
    noise : {"singletons", "cluster"}, optional
        As in `agreement` and `shape`.

    Returns
    -------
    list of Score
        Label metrics first, then those of each space; undefined values are NaN and `reason` says why.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> x, genre = np.array([[0.0], [1.0], [2.0], [10.0], [11.0]]), ["jazz", "jazz", "jazz", "pop", "pop"]
    >>> scores = metrics.evaluate(
    ...     np.array([[0, 0, 0, 1, 1]]), labels_true=genre, spaces={"common": x}, nulls={}, permutations=9, subsamples=0
    ... )
    >>> [(score.metric, score.space, round(score.mean, 2)) for score in scores][4:6]
    [('accuracy', 'labels', 1.0), ('silhouette', 'common', 0.87)]
    """
    scores = agreement(
        labels_true, labels_pred, permutations=permutations, subsamples=subsamples, noise=noise, seed=seed
    )
    for space, x in spaces.items():
        scores += shape(x, labels_pred, space=space, null=nulls.get(space), noise=noise)
    return scores


def pairs_by_artist(genre: np.ndarray, artist: np.ndarray) -> dict[str, np.ndarray]:
    """Sort the pairs of tracks by what they share, for `rates_together`.

    A genre by a single artist cannot tell the two apart. One that holds pairs of one artist and pairs of two can, and
    only such genres enter the second and third kind: elsewhere these two would differ in genre as well.

    Parameters
    ----------
    genre : array-like, shape (n,)
    artist : array-like, shape (n,)
        None or NaN where unknown; pairs of one genre with an unknown artist are left out.

    Returns
    -------
    dict of str to array of bool, shape (n, n)
        "genre of one artist", "same genre, same artist", "same genre, another artist" and "another genre".

    Examples
    --------
    >>> from vae_lib import metrics
    >>> pairs = metrics.pairs_by_artist(["jazz", "jazz", "jazz", "pop"], ["Ella", "Ella", "Nina", None])
    >>> {kind: int(chosen.sum()) // 2 for kind, chosen in pairs.items()}
    {'genre of one artist': 0, 'same genre, same artist': 1, 'same genre, another artist': 2, 'another genre': 3}
    """
    genres = checks.labels(genre, "genre")
    artist = np.asarray(artist, dtype=object)
    if artist.shape != genres.shape:
        raise ParameterError(f"artist must have {len(genres)} entries, one per track, got shape {artist.shape}")
    known = np.array([name is not None and name == name for name in artist])
    same_genre, same_artist = genres[:, None] == genres, artist[:, None] == artist
    within = ~np.eye(len(genres), dtype=bool) & same_genre & known[:, None] & known
    kinds = {code: set(same_artist[within & (genres[:, None] == code)]) for code in np.unique(genres)}
    alone, mixed = (
        within & np.isin(genres, [code for code in kinds if kinds[code] == kind])[:, None]
        for kind in ({True}, {True, False})
    )
    return {
        "genre of one artist": alone,
        "same genre, same artist": mixed & same_artist,
        "same genre, another artist": mixed & ~same_artist,
        "another genre": ~same_genre,
    }


def rates_together(labels_pred: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Share of the given pairs of tracks that a clustering puts into one cluster.

    Parameters
    ----------
    labels_pred : array-like, shape (seeds, n)
        One clustering per seed.
    pairs : array of bool, shape (n, n)
        Which pairs to count, as from `pairs_by_artist`; each is counted once, a track with itself never.

    Returns
    -------
    array of float, shape (seeds,)
        From 0 to 1; NaN if there are no such pairs.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> metrics.rates_together([[0, 0, 1], [0, 0, 0]], pairs=np.ones((3, 3)))
    array([0.33333333, 1.        ])
    """
    labels_pred = np.atleast_2d(labels_pred)
    n = labels_pred.shape[1]
    if np.shape(pairs) != (n, n):
        raise ParameterError(f"pairs must have shape {(n, n)}, a row and a column per track, got {np.shape(pairs)}")
    first, second = np.nonzero(np.triu(np.asarray(pairs, dtype=bool), k=1))
    if not len(first):
        return np.full(len(labels_pred), np.nan)
    return (labels_pred[:, first] == labels_pred[:, second]).mean(axis=1)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Correct p-values for their number, step by step from the smallest (Holm 1979).

    Parameters
    ----------
    p_values : array-like, shape (m,)
        From 0 to 1; NaN is passed over and stays NaN.

    Returns
    -------
    array of float, shape (m,)
        Below a level α, the chance of even one false finding among them all is at most α.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> metrics.holm([0.01, 0.04, 0.03]).round(6).tolist()
    [0.03, 0.06, 0.06]
    """
    corrected = np.array(p_values, dtype=float)
    known = np.flatnonzero(~np.isnan(corrected))
    for value in corrected[known]:
        checks.in_range(value, "p_values", low=0, high=1)
    order = known[np.argsort(corrected[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(corrected[order] * factors), 1.0)
    return corrected
