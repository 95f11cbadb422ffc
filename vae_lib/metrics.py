"""Scores of a clustering, each beside what chance alone would give.

Two families. *Label* metrics compare clusters with known labels and are functions of their contingency table alone;
their chance level is the mean over permutations of the labels, at the n, the k and the cluster sizes at hand.
*Space* metrics look at the shape of the clusters in a space and need no labels; their chance level is what the same
clusterer scores in a single Gaussian cloud with that space's mean and covariance, where there is nothing to find.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats
from sklearn import metrics as sklearn_metrics
from sklearn.metrics.cluster import expected_mutual_information

from vae_lib import checks
from vae_lib.checks import ParameterError


def contingency(labels_true: np.ndarray, labels_pred: np.ndarray) -> np.ndarray:
    """Count the tracks of each class in each cluster.

    Parameters
    ----------
    labels_true, labels_pred : array-like, shape (n,)
        Classes and clusters; any labels without missing ones.

    Returns
    -------
    array of int, shape (classes, clusters)
        Rows and columns in sorted order of the labels.

    Raises
    ------
    ParameterError
        If the two differ in length, are empty or have missing labels.
    """
    classes = checks.labels(labels_true, "labels_true")
    clusters = checks.labels(labels_pred, "labels_pred", length=len(classes))
    return _contingency(classes, clusters[None])[0]


def _contingency(classes: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Contingency tables of one labelling (n,) with many clusterings (m, n): shape (m, classes, clusters)."""
    m, rows, columns = len(clusters), classes.max() + 1, clusters.max() + 1
    cell = (np.arange(m)[:, None] * rows + classes) * columns + clusters
    return np.bincount(cell.ravel(), minlength=m * rows * columns).reshape(m, rows, columns)


# Each function below maps contingency tables of shape (..., classes, clusters) to scores of shape (...).


def _pairs(counts: np.ndarray) -> np.ndarray:
    return counts * (counts - 1) / 2


def _ari(tables: np.ndarray) -> np.ndarray:
    together = _pairs(tables).sum((-2, -1))
    same_class, same_cluster = _pairs(tables.sum(-1)).sum(-1), _pairs(tables.sum(-2)).sum(-1)
    expected = same_class * same_cluster / np.maximum(_pairs(tables.sum((-2, -1))), 1)
    most = (same_class + same_cluster) / 2
    trivial = np.isclose(most, expected)  # one block, or only singletons, on both sides: the partitions are equal
    return np.where(trivial, 1.0, (together - expected) / np.where(trivial, 1.0, most - expected))


def _entropy(counts: np.ndarray) -> np.ndarray:
    share = counts / counts.sum(-1, keepdims=True)
    return -np.where(share > 0, share * np.log(np.where(share > 0, share, 1.0)), 0.0).sum(-1)


def _mutual_information(tables: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mutual information and the mean of the two entropies, in nats."""
    class_entropy, cluster_entropy = _entropy(tables.sum(-1)), _entropy(tables.sum(-2))
    joint = _entropy(tables.reshape(*tables.shape[:-2], -1))
    return class_entropy + cluster_entropy - joint, (class_entropy + cluster_entropy) / 2


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    trivial = np.isclose(whole, 0.0)
    return np.where(trivial, 1.0, part / np.where(trivial, 1.0, whole))


def _nmi(tables: np.ndarray) -> np.ndarray:
    return np.clip(_share(*_mutual_information(tables)), 0.0, 1.0)


def _ami(tables: np.ndarray) -> np.ndarray:
    information, entropy = _mutual_information(tables)
    expected = np.empty_like(information)
    known: dict[tuple, float] = {}  # it depends on the margins alone, and a permutation leaves them as they are
    for place in np.ndindex(information.shape):
        margins = tuple(tables[place].sum(1)), tuple(tables[place].sum(0))
        if margins not in known:
            known[margins] = expected_mutual_information(tables[place], int(tables[place].sum()))
        expected[place] = known[margins]
    return _share(information - expected, entropy - expected)


def _purity(tables: np.ndarray) -> np.ndarray:
    return tables.max(-2).sum(-1) / tables.sum((-2, -1))


def _accuracy(tables: np.ndarray) -> np.ndarray:
    flat = tables.reshape(-1, *tables.shape[-2:])
    matched = [table[optimize.linear_sum_assignment(table, maximize=True)].sum() for table in flat]
    return np.reshape(matched, tables.shape[:-2]) / tables.sum((-2, -1))


def ari(labels_true: np.ndarray, labels_pred: np.ndarray) -> float:
    """Adjusted Rand index: agreement over pairs of tracks, corrected for chance (Hubert & Arabie 1985).

    From −0.5 to 1, higher is better; 0 is chance, 1 identical partitions. Symmetric.
    """
    return float(_ari(contingency(labels_true, labels_pred)))


def ami(labels_true: np.ndarray, labels_pred: np.ndarray) -> float:
    """Adjusted mutual information: mutual information corrected for chance (Vinh et al. 2010).

    At most 1, higher is better; 0 is chance, 1 identical partitions. Symmetric; arithmetic mean of the entropies.
    """
    return float(_ami(contingency(labels_true, labels_pred)))


def nmi(labels_true: np.ndarray, labels_pred: np.ndarray) -> float:
    """Normalised mutual information, not corrected for chance: it grows with k and shrinks with n.

    From 0 to 1, higher is better. Symmetric; arithmetic mean of the entropies; two trivial partitions score 1.
    """
    return float(_nmi(contingency(labels_true, labels_pred)))


def purity(labels_true: np.ndarray, labels_pred: np.ndarray) -> float:
    """Share of tracks that belong to the commonest class of their cluster, not corrected for chance.

    From the share of the largest class to 1, higher is better; grows with the number of clusters, 1 for singletons.
    """
    return float(_purity(contingency(labels_true, labels_pred)))


def accuracy(labels_true: np.ndarray, labels_pred: np.ndarray) -> float:
    """Share of tracks on the best one-to-one matching of clusters to classes, not corrected for chance.

    Above 0 and at most 1, higher is better. Symmetric.
    """
    return float(_accuracy(contingency(labels_true, labels_pred)))


def silhouette(x: np.ndarray, labels_pred: np.ndarray) -> float:
    """Mean silhouette: how much nearer a track is to its own cluster than to the next (Rousseeuw 1987).

    From −1 to 1, higher is better. Euclidean distance.
    """
    return float(sklearn_metrics.silhouette_score(*_clustered(x, labels_pred)))


def calinski_harabasz(x: np.ndarray, labels_pred: np.ndarray) -> float:
    """Ratio of the variance between clusters to that within, per degree of freedom (Caliński & Harabasz 1974).

    At least 0, higher is better, no upper bound; it depends on the space and grows with n.
    """
    return float(sklearn_metrics.calinski_harabasz_score(*_clustered(x, labels_pred)))


def davies_bouldin(x: np.ndarray, labels_pred: np.ndarray) -> float:
    """Mean over clusters of the worst ratio of spreads to the distance of centres (Davies & Bouldin 1979).

    At least 0, lower is better.
    """
    return float(sklearn_metrics.davies_bouldin_score(*_clustered(x, labels_pred)))


def _clustered(x: np.ndarray, labels_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = checks.matrix(x, "x")
    clusters = checks.labels(labels_pred, "labels_pred", length=len(x))
    if not 1 < (k := clusters.max() + 1) < len(x):
        raise ParameterError(f"labels_pred must have from 2 to {len(x) - 1} clusters for {len(x)} tracks, got {k}")
    return x, clusters


class Metric(NamedTuple):
    """What a reader needs to know of a metric, and how to compute it."""

    title: str
    function: Callable[[np.ndarray, np.ndarray], float]
    low: float
    high: float
    greater_is_better: bool
    from_tables: Callable[[np.ndarray], np.ndarray] | None = None


METRICS: Mapping[str, Metric] = {
    "ari": Metric("ARI", ari, -0.5, 1.0, True, _ari),
    "ami": Metric("AMI", ami, -1.0, 1.0, True, _ami),
    "nmi": Metric("NMI", nmi, 0.0, 1.0, True, _nmi),
    "purity": Metric("Purity", purity, 0.0, 1.0, True, _purity),
    "accuracy": Metric("Accuracy", accuracy, 0.0, 1.0, True, _accuracy),
    "silhouette": Metric("Silhouette", silhouette, -1.0, 1.0, True),
    "calinski_harabasz": Metric("Calinski-Harabasz", calinski_harabasz, 0.0, np.inf, True),
    "davies_bouldin": Metric("Davies-Bouldin", davies_bouldin, 0.0, np.inf, False),
}
"""Every metric by name, in the order in which tables show them; those with `from_tables` compare with labels."""

LABEL_METRICS = tuple(name for name, metric in METRICS.items() if metric.from_tables)
SPACE_METRICS = tuple(name for name, metric in METRICS.items() if not metric.from_tables)


class Score(NamedTuple):
    """One metric of one method over its seeds, beside chance.

    Attributes
    ----------
    metric : str
        A name in `METRICS`.
    space : str
        Where it was measured: "labels", "native" (the space that was clustered) or "common" (the input space).
    values : array of float, shape (seeds,)
        NaN where the score is undefined.
    null : array of float, shape (draws,)
        What chance gives for the mean over seeds, draw by draw; empty if it was not computed.
    """

    metric: str
    space: str
    values: np.ndarray
    null: np.ndarray

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(np.mean(self.values))

    @property
    def sd(self) -> float:
        """Standard deviation over seeds; NaN for a single one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else np.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % t interval of the mean over seeds: how far training luck moves it, the tracks being as they are."""
        half = stats.t.ppf(0.975, len(self.values) - 1) * self.sd / np.sqrt(len(self.values))
        return float(self.mean - half), float(self.mean + half)

    @property
    def chance(self) -> float:
        """Mean of the null distribution."""
        return float(np.mean(self.null)) if len(self.null) else np.nan

    @property
    def p_value(self) -> float:
        """Share of null draws that do at least as well, the observed one counted among them; one-sided."""
        if not len(self.null) or np.isnan(self.mean):
            return np.nan
        sign = 1 if METRICS[self.metric].greater_is_better else -1
        better = sign * self.null >= sign * self.mean - 1e-12
        return float((1 + better.sum()) / (1 + len(self.null)))


def agreement(
    labels_true: np.ndarray, labels_pred: np.ndarray, *, permutations: int = 1000, seed: int = 0
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
    seed : int
        Of the permutations.

    Returns
    -------
    list of Score
        In the order of `METRICS`.

    Raises
    ------
    ParameterError
        If the lengths differ, labels are missing or a count is below 1.
    """
    classes = checks.labels(labels_true, "labels_true")
    clusterings = [checks.labels(row, "labels_pred", length=len(classes)) for row in np.atleast_2d(labels_pred)]
    checks.count(permutations, "permutations")
    rng = np.random.default_rng(checks.count(seed, "seed", low=0))
    shuffled = rng.permuted(np.broadcast_to(classes, (permutations, len(classes))), axis=1)
    tables = [contingency(classes, clusters) for clusters in clusterings]
    null_tables = [_contingency(clusters, shuffled).swapaxes(1, 2) for clusters in clusterings]
    scores = []
    for name in LABEL_METRICS:
        function = METRICS[name].from_tables
        values = np.array([float(function(table)) for table in tables])
        null = np.mean([function(stack) for stack in null_tables], axis=0)
        scores.append(Score(name, "labels", values, null))
    return scores


def shape(
    x: np.ndarray,
    labels_pred: np.ndarray,
    *,
    space: str,
    null: Mapping[str, np.ndarray] | None = None,
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

    Returns
    -------
    list of Score
        In the order of `METRICS`.
    """
    labels_pred = np.atleast_2d(labels_pred)
    x = np.asarray(x)
    spaces = x if x.ndim == 3 else np.broadcast_to(x, (len(labels_pred), *x.shape))
    if len(spaces) != len(labels_pred):
        raise ParameterError(f"x must hold one space per seed ({len(labels_pred)}) or one for all, got {len(spaces)}")
    scores = []
    for name in SPACE_METRICS:
        values = np.full(len(labels_pred), np.nan)
        for row, (points, clusters) in enumerate(zip(spaces, labels_pred, strict=True)):
            if len(np.unique(clusters)) > 1:
                values[row] = METRICS[name].function(points, clusters)
        scores.append(Score(name, space, values, np.asarray((null or {}).get(name, []))))
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
        ``cluster(points, draw) -> labels``.
    draws : int
        Number of clouds.
    seed : int
        Of the clouds.

    Returns
    -------
    dict of metric to array, shape (draws,)
    """
    x = np.asarray(x, dtype=float)
    spaces = [checks.matrix(points, "x") for points in (x if x.ndim == 3 else x[None])]
    rng = np.random.default_rng(checks.count(seed, "seed", low=0))
    null = {name: np.empty(checks.count(draws, "draws")) for name in SPACE_METRICS}
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
        clusters = cluster(cloud, draw)
        for name in SPACE_METRICS:
            null[name][draw] = METRICS[name].function(cloud, clusters)
    return null


def evaluate(
    labels_pred: np.ndarray,
    *,
    labels_true: np.ndarray,
    spaces: Mapping[str, np.ndarray],
    nulls: Mapping[str, Mapping[str, np.ndarray]],
    permutations: int = 1000,
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
    permutations, seed : int
        As in `agreement`.

    Returns
    -------
    list of Score
        Label metrics first, then those of each space.
    """
    scores = agreement(labels_true, labels_pred, permutations=permutations, seed=seed)
    for space, x in spaces.items():
        scores += shape(x, labels_pred, space=space, null=nulls.get(space))
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
    """
    corrected = np.array(p_values, dtype=float)
    known = np.flatnonzero(~np.isnan(corrected))
    order = known[np.argsort(corrected[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(corrected[order] * factors), 1.0)
    return corrected
