"""Scores over seeds, each beside what chance alone would give.

The chance level of a label metric is its mean over permutations of the labels, at the n, the k and the cluster sizes at
hand; that of a space metric is what the same clusterer scores in a single Gaussian cloud with that space's mean and
covariance, where there is nothing to find. A score that is undefined for a seed is NaN, with the reason. Tracks that a
clusterer calls noise (label −1, as of DBSCAN) are never dropped and never silently taken for a cluster.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats

from vae_lib import checks
from vae_lib.checks import ParameterError
from vae_lib.metrics import agreement, base, shape
from vae_lib.metrics.base import Metric, UndefinedError

METRICS: Mapping[str, Metric] = agreement.METRICS | shape.METRICS
"""Every metric of a clustering by name, in the order in which tables show them."""
LABEL_METRICS, SPACE_METRICS = tuple(agreement.METRICS), tuple(shape.METRICS)


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
        From `subsample_interval`; NaN if it was not computed, or there are too few tracks for one.
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
    null: np.ndarray = np.array([])
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
        half = stats.t.ppf(0.975, len(self.values) - 1) * self.sd / np.sqrt(len(self.values))
        return self.mean - float(half), self.mean + float(half)

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
        sign = direction(self.metric)
        better = sign * self.null >= sign * self.mean - 1e-12
        return float((1 + better.sum()) / (1 + len(self.null)))


def direction(metric: str) -> int:
    """1 if higher is better, which is taken for granted of what is no metric of a clustering; else −1."""
    return 1 if metric not in METRICS or METRICS[metric].greater_is_better else -1


def external_scores(
    labels_true: np.ndarray,
    clusterings: np.ndarray,
    *,
    permutations: int = 1000,
    subsamples: int = 1000,
    noise: str | None = None,
    seed: int = 0,
) -> list[Score]:
    """Score every label metric over seeds, with its null distribution.

    A permutation of the classes is scored against the clusterings of all seeds and averaged, so that the null
    distribution is that of the mean over seeds, their dependence included.

    Parameters
    ----------
    labels_true : array-like, shape (n,)
        The known classes; they serve here and nowhere before.
    clusterings : array-like, shape (seeds, n) or (n,)
        One clustering per seed.
    permutations, subsamples : int
        Draws of the null distribution, and of the interval over tracks (see `subsample_interval`; 0 for none). Two
        tracks leave no subsample to score: their interval is NaN.
    noise : {"singletons", "cluster"}, optional
        What tracks with label −1 count as, as in `without_noise`; without it they are an error.
    seed : int
        Of the permutations and subsamples.

    Returns
    -------
    list of Score
        In the order of `LABEL_METRICS`, in the space "labels".

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
    ...     nmi = metrics.external_scores(genre, clusters, permutations=99)[2]
    ...     print(f"{nmi.metric} {nmi.mean:.1f}, by chance {nmi.chance:.1f}")
    nmi 1.0, by chance 0.2
    nmi 0.2, by chance 0.2
    """
    classes = checks.labels(labels_true, "labels_true")
    found = base.clusterings(clusterings, length=len(classes), noise=noise)
    checks.count(permutations, "permutations", high=checks.DRAWS)
    rng = np.random.default_rng(checks.count(seed, "seed", low=0))
    shuffled = rng.permuted(np.broadcast_to(classes, (permutations, len(classes))), axis=1)
    values = agreement.over_draws(classes, found)
    null = np.mean([agreement.over_draws(shuffled, clusters) for clusters in found], axis=0)
    tracks = {}
    if checks.count(subsamples, "subsamples", low=0, high=checks.DRAWS) and len(classes) > 2:
        tracks = subsample_interval(classes, found, draws=subsamples, seed=seed)
    return [
        Score(name, "labels", *of_metric, tracks.get(name, (np.nan, np.nan)))
        for name, *of_metric in zip(LABEL_METRICS, values, null, strict=True)
    ]


def subsamples_of(n: int, *, draws: int, share: float = 0.5, seed: int = 0) -> np.ndarray:
    """Draw tracks without replacement: rows of n, shape (draws, share · n)."""
    m = round(n * checks.in_range(share, "share", low=0, high=1))
    if not 2 <= m < n:
        raise ParameterError(f"share must leave from 2 to {n - 1} of {n} tracks in a subsample, got {share} ({m})")
    checks.count(draws, "draws", low=100, high=checks.DRAWS)
    rng = np.random.default_rng(checks.count(seed, "seed", low=0))
    return rng.permuted(np.broadcast_to(np.arange(n), (draws, n)), axis=1)[:, :m]


def subsample_interval(
    labels_true: np.ndarray,
    clusterings: np.ndarray,
    *,
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
    labels_true, clusterings, noise
        As in `external_scores`; the interval is that of the mean over seeds, all seeds losing the same tracks.
    draws : int
        Number of subsamples, at least 100.
    share : float
        m / n, between 0 and 1.

    Returns
    -------
    dict of metric to (low, high)
        Not beyond the metric's own bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> genre = np.arange(100) % 5
    >>> half = np.where(np.arange(100) < 50, genre, 0)
    >>> low, high = metrics.subsample_interval(genre, half)["ari"]
    >>> low < metrics.ari(genre, half) < high
    True
    """
    classes = checks.labels(labels_true, "labels_true")
    found = base.clusterings(clusterings, length=len(classes), noise=noise)
    chosen = subsamples_of(len(classes), draws=draws, share=share, seed=seed)
    whole = agreement.over_draws(classes, found).mean(1)
    parts = np.mean([agreement.over_draws(classes[chosen], clusters[chosen]) for clusters in found], axis=0)
    scatter = track_scatter(parts, n=len(classes), m=chosen.shape[1])
    high, low = (whole - np.quantile(scatter, q, axis=1) for q in (0.025, 0.975))
    bounds = np.array([(METRICS[name].low, METRICS[name].high) for name in LABEL_METRICS])
    return {
        name: (float(a), float(b)) for name, a, b in zip(LABEL_METRICS, *np.clip([low, high], *bounds.T), strict=True)
    }


def track_scatter(parts: np.ndarray, *, n: int, m: int) -> np.ndarray:
    """Scatter over tracks of a score of n tracks, from its values on subsamples of m; shape (..., draws)."""
    return np.sqrt(m / (n - m)) * (parts - parts.mean(-1, keepdims=True))


def internal_scores(
    x: np.ndarray,
    clusterings: np.ndarray,
    *,
    space: str = "native",
    null: Mapping[str, np.ndarray] | None = None,
    noise: str | None = None,
) -> list[Score]:
    """Score every space metric over seeds.

    Parameters
    ----------
    x : array-like, shape (seeds, n, d) or (n, d)
        The space to measure in: one per seed, or one for all.
    clusterings : array-like, shape (seeds, n) or (n,)
        One clustering per seed. A seed for which a score is undefined (a single cluster) gets NaN.
    space : str
        Its name in the results: "native", the space that was clustered, or "common", the input space of all methods,
        in which alone they compare.
    null : mapping of metric to array, optional
        From `gaussian_null`.
    noise : {"singletons", "cluster"}, optional
        As in `external_scores`. A seed with noise as singletons gets NaN: singletons have no spread, so that the scores
        would improve with every track that is given up, and leaving these out would do the same.

    Returns
    -------
    list of Score
        In the order of `SPACE_METRICS`; `reason` says why values are NaN.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> scores = metrics.internal_scores([[0.0], [1.0], [10.0], [11.0]], [0, 0, 1, 1])
    >>> [(score.metric, round(score.mean, 2)) for score in scores]
    [('silhouette', 0.9), ('calinski_harabasz', 200.0), ('davies_bouldin', 0.1)]
    """
    spaces = checks.spaces(x, "x")
    found = base.clusterings(clusterings, length=len(spaces[0]), noise=noise)
    if np.ndim(x) == 3 and len(spaces) != len(found):
        raise ParameterError(f"x must hold one space per seed ({len(found)}) or one for all, got {len(spaces)}")
    given_up = base.coverage(clusterings) < 1 if noise == "singletons" else np.zeros(len(found), dtype=bool)
    defined, reasons = [], []
    for row, clusters in enumerate(found):
        try:
            if given_up[row]:
                raise UndefinedError("noise as singletons has no shape")
            shape.several(clusters)
            defined.append(row)
        except UndefinedError as error:
            reasons.append(str(error))
    reason = f"undefined for {len(reasons)} of {len(found)} seeds: {reasons[0]}" if reasons else ""
    scores = []
    for name, metric in shape.METRICS.items():
        values = np.full(len(found), np.nan)
        if len(spaces) > 1:
            values[defined] = [metric.batch(spaces[row], found[row][None])[0] for row in defined]
        elif defined:
            values[defined] = metric.batch(spaces[0], found[defined])
        chance = np.array([]) if given_up.any() or null is None else np.asarray(null[name])
        scores.append(Score(name, space, values, chance, reason=reason))
    return scores


def gaussian_null(
    x: np.ndarray, clusterer: Callable[[np.ndarray, int], np.ndarray], *, draws: int = 500, seed: int = 0
) -> dict[str, np.ndarray]:
    """Space metrics of a clusterer on Gaussian clouds with the mean and covariance of `x`: its chance level.

    Every clusterer finds clusters, and every space metric rewards them, whether there is anything to find or not;
    here there is not.

    Parameters
    ----------
    x : array-like, shape (seeds, n, d) or (n, d)
        The space to imitate; with several, draw by draw in turn.
    clusterer : callable
        ``clusterer(cloud, draw) -> labels``, without noise: see `without_noise`.
    draws, seed : int
        Number of clouds, and their seed.

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
    >>> null = metrics.gaussian_null(cloud, lambda x, draw: cluster.fit_predict("kmeans", x, 3, seed=draw), draws=20)
    >>> bool(null["silhouette"].mean() > 0.2)
    True
    """
    spaces = checks.spaces(x, "x")
    rng = np.random.default_rng(checks.count(seed, "seed", low=0))
    null = {name: np.full(checks.count(draws, "draws", high=checks.DRAWS), np.nan) for name in SPACE_METRICS}
    axes = [np.linalg.svd(points - points.mean(0), full_matrices=False)[1:] for points in spaces]
    for draw in range(draws):
        points, (spread, directions) = spaces[draw % len(spaces)], axes[draw % len(spaces)]
        rank = max(1, int((spread > spread[0] * 1e-9).sum()))
        normal = rng.standard_normal((len(points), rank))
        # Orthonormal centred columns: the cloud has the covariance of x exactly, not one estimated anew from n draws,
        # whose more uneven spectrum would make the chance level too good.
        columns = np.linalg.qr(normal - normal.mean(0))[0]
        cloud = points.mean(0) + columns * spread[:rank] @ directions[:rank]
        for score in internal_scores(cloud, clusterer(cloud, draw)):
            null[score.metric][draw] = score.values[0]
    return null
