"""Clustering, consensus, label-free choice of k, linear baselines and projections; all repeatable from a seed.

Clusterers are functions of a table of tracks, each with the options that are its own; `CLUSTERERS` makes one call of
them all. Clusters are numbered from 0; −1 marks a track that belongs to none, which only DBSCAN uses.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from sklearn import decomposition, manifold
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors, kneighbors_graph

from vae_lib import checks, metrics
from vae_lib.checks import ParameterError

CONSENSUS = ("spectral", "average")
COVARIANCES = ("full", "diag")
LINKAGES = ("ward", "average", "complete")
PROJECTIONS = ("tsne", "umap")

_BATCHED_ROWS = 256  # up to here the calls into scikit-learn, one per start and step, take longer than the arithmetic


def kmeans(x: np.ndarray, k: int, *, seed: int, n_init: int = 10) -> np.ndarray:
    """Assign each row to one of `k` means (Lloyd 1982; k-means++ starts, Arthur & Vassilvitskii 2007).

    Parameters
    ----------
    x : array-like, shape (n, d)
    k : int
        Number of clusters, from 2 to n.
    seed : int
        Of the starts.
    n_init : int
        Starts; the one with the least inertia wins.

    Returns
    -------
    array of int, shape (n,)
        From 0 to k − 1.

    Raises
    ------
    ParameterError
        If `x` is not finite, or `k` is not from 2 to n.

    Examples
    --------
    >>> from vae_lib import cluster, metrics
    >>> x = [[0.0], [0.1], [5.0], [5.1], [9.0]]
    >>> metrics.ari(cluster.kmeans(x, 3, seed=0), [0, 0, 1, 1, 2])
    1.0
    """
    x = checks.matrix(x, "x")
    checks.count(k, "k", low=2, high=len(x))
    checks.count(n_init, "n_init")
    checks.count(seed, "seed", low=0)
    labels = _batched_kmeans(x, k, seed, n_init) if len(x) <= _BATCHED_ROWS else None
    return KMeans(k, n_init=n_init, random_state=seed).fit_predict(x) if labels is None else labels


def _batched_kmeans(
    x: np.ndarray, k: int, seed: int, n_init: int, *, max_iter: int = 300, tolerance: float = 1e-4
) -> np.ndarray | None:
    """Labels of scikit-learn's `KMeans`, from all starts at once: the same draws, steps and stopping rules.

    Only a draw between two equally good starting points, which rounding decides, may fall otherwise. None where a
    cluster ran empty or a start did not converge, which are for scikit-learn to resolve.
    """
    n, d = x.shape
    trials = 2 + int(np.log(k))
    uniform = np.random.RandomState(seed).random_sample((n_init, 1 + (k - 1) * trials))
    x = x - x.mean(axis=0)
    norms = np.einsum("ij,ij->i", x, x)
    tolerance = tolerance * x.var(axis=0).mean()

    pairs = np.maximum(norms[:, None] - 2 * x @ x.T + norms, 0)  # squared distances
    np.fill_diagonal(pairs, 0)
    starts = np.arange(n_init)
    chosen = np.empty((n_init, k), dtype=int)
    chosen[:, 0] = np.searchsorted(np.arange(1, n + 1) / n, uniform[:, 0], side="right")
    nearest = pairs[chosen[:, 0]]
    for place, draws in enumerate(np.split(uniform[:, 1:], k - 1, axis=1), start=1):
        drawn = draws * nearest.sum(axis=1, keepdims=True)
        candidates = np.minimum((nearest.cumsum(axis=1)[:, None] < drawn[:, :, None]).sum(axis=2), n - 1)
        nearer = np.minimum(nearest[:, None], pairs[candidates])
        best = nearer.sum(axis=2).argmin(axis=1)
        chosen[:, place], nearest = candidates[starts, best], nearer[starts, best]

    def distances(centres: np.ndarray) -> np.ndarray:
        """Squared distances (starts, n, k) to centres (starts, k, d), less the squared norm of each row."""
        products = (x @ centres.reshape(-1, d).T).reshape(n, -1, k)
        return np.einsum("skd,skd->sk", centres, centres)[:, None] - 2 * products.swapaxes(0, 1)

    centres, previous = x[chosen], np.full((n_init, n), -1)
    labels, inertia = np.empty((n_init, n), dtype=np.int32), np.empty(n_init)
    for _ in range(max_iter):
        current = distances(centres).argmin(axis=2)
        members = (current[:, None] == np.arange(k)[:, None]).astype(float)
        sizes = np.bincount((current + k * np.arange(len(starts))[:, None]).ravel(), minlength=len(starts) * k)
        if not sizes.all():
            return None
        means = (members.reshape(-1, n) @ x / sizes[:, None]).reshape(centres.shape)
        moved = ((means - centres) ** 2).sum(axis=(1, 2))
        stopped = (moved <= tolerance) | (current == previous).all(axis=1)
        if stopped.any():
            last = distances(means[stopped])
            labels[starts[stopped]] = last.argmin(axis=2)
            inertia[starts[stopped]] = last.min(axis=2).sum(axis=1)
        starts, previous, centres = starts[~stopped], current[~stopped], means[~stopped]
        if not len(starts):
            # Starts that end in one clustering differ by rounding only: the first of them wins.
            return labels[np.argmax(inertia <= inertia.min() + 1e-9 * norms.sum())]
    return None


def agglomerative(x: np.ndarray, k: int, *, linkage: str = "ward") -> np.ndarray:
    """Merge the two nearest clusters until `k` are left; deterministic.

    Parameters
    ----------
    x : array-like, shape (n, d)
    k : int
        Number of clusters, from 2 to n.
    linkage : {"ward", "average", "complete"}
        What near means: the least growth of the squared deviations (Ward 1963), the least mean or the least greatest
        distance between members.

    Returns
    -------
    array of int, shape (n,)
        From 0 to k − 1.

    Raises
    ------
    ParameterError
        If `x` is not finite, `k` is not from 2 to n or `linkage` is unknown.

    Examples
    --------
    >>> from vae_lib import cluster, metrics
    >>> metrics.ari(cluster.agglomerative([[0.0], [0.1], [5.0], [5.1], [9.0]], 3), [0, 0, 1, 1, 2])
    1.0
    """
    x = checks.matrix(x, "x")
    checks.count(k, "k", low=2, high=len(x))
    checks.one_of(linkage, "linkage", LINKAGES)
    return AgglomerativeClustering(k, linkage=linkage).fit_predict(x)


def gmm(
    x: np.ndarray,
    k: int,
    *,
    seed: int,
    covariance: str = "full",
    n_init: int = 5,
    regularisation: float = 1e-3,
) -> np.ndarray:
    """Assign each row to its likeliest component in a mixture of `k` Gaussians (EM, Dempster et al. 1977).

    Parameters
    ----------
    x : array-like, shape (n, d)
    k : int
        Number of components, from 2 to n.
    seed : int
        Of the starts.
    covariance : {"full", "diag"}
        Of each component. A full one has d (d + 1) / 2 numbers to learn from the rows of one cluster; where these are
        few, it cannot move far from its start, k-means.
    n_init : int
        Starts; the one with the highest likelihood wins.
    regularisation : float
        Added to the variances of each component, as a share of the mean variance of the columns of `x`, so that a
        component with fewer rows than columns stays proper.

    Returns
    -------
    array of int, shape (n,)
        From 0 to k − 1; a component that is nobody's likeliest has no row.

    Raises
    ------
    ParameterError
        If `x` is not finite, `k` is not from 2 to n or an option is out of range.

    Examples
    --------
    Two crossed lines, which k-means can only cut across:

    >>> import numpy as np
    >>> from vae_lib import cluster, metrics
    >>> t = np.linspace(-1, 1, 40)
    >>> x = np.vstack([np.c_[t, 0.02 * np.sin(9 * t)], np.c_[0.02 * np.sin(9 * t), t]])
    >>> line = np.repeat([0, 1], 40)
    >>> metrics.ari(line, cluster.gmm(x, 2, seed=0)) > 0.8 > metrics.ari(line, cluster.kmeans(x, 2, seed=0))
    True
    """
    x = checks.matrix(x, "x")
    return _mixture(x, k, seed, covariance=covariance, n_init=n_init, regularisation=regularisation).predict(x)


def _mixture(
    x: np.ndarray, k: int, seed: int, *, covariance: str = "full", n_init: int = 5, regularisation: float = 1e-3
) -> GaussianMixture:
    checks.count(k, "k", low=2, high=len(x))
    checks.count(seed, "seed", low=0)
    checks.one_of(covariance, "covariance", COVARIANCES)
    checks.count(n_init, "n_init")
    checks.in_range(regularisation, "regularisation", low=0, open_low=True)
    ridge = regularisation * (x.var(axis=0).mean() or 1.0)
    mixture = GaussianMixture(
        k, covariance_type=covariance, reg_covar=ridge, n_init=n_init, max_iter=1000, random_state=seed
    )
    return mixture.fit(x)


def spectral(x: np.ndarray, k: int, *, seed: int, neighbours: int = 10) -> np.ndarray:
    """Cut the graph of nearest neighbours into `k` parts by its normalised cut (Shi & Malik 2000).

    Two tracks are joined if one is among the nearest of the other, at half weight unless both are. Parts of the graph
    that nothing joins are no obstacle: see `consensus` for the weak tie that is put between all tracks.

    Parameters
    ----------
    x : array-like, shape (n, d)
    k : int
        Number of clusters, from 2 to n − 1.
    seed : int
        Of the starts of the k-means among the eigenvectors.
    neighbours : int
        Neighbours of each track, itself not counted; from 1 to n − 1.

    Returns
    -------
    array of int, shape (n,)
        From 0 to k − 1.

    Raises
    ------
    ParameterError
        If `x` is not finite, or `k` or `neighbours` is out of range.

    Examples
    --------
    Two rings, one within the other: neighbours tell them apart, distances to a centre do not.

    >>> import numpy as np
    >>> from vae_lib import cluster, metrics
    >>> angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    >>> ring = np.c_[np.cos(angle), np.sin(angle)]
    >>> x, true = np.vstack([ring, 4 * ring]), np.repeat([0, 1], 40)
    >>> metrics.ari(true, cluster.spectral(x, 2, seed=0, neighbours=4))
    1.0
    >>> metrics.ari(true, cluster.kmeans(x, 2, seed=0)) < 0.5
    True
    """
    x = checks.matrix(x, "x")
    checks.count(k, "k", low=2, high=len(x) - 1)
    checks.count(seed, "seed", low=0)
    checks.count(neighbours, "neighbours", high=len(x) - 1)
    graph = kneighbors_graph(x, neighbours).toarray()
    return _cut((graph + graph.T) / 2, k, seed)


def _cut(affinity: np.ndarray, k: int, seed: int) -> np.ndarray:
    # The mean affinity between all pairs ties loose parts to the rest: without it each of them, however small, claims
    # an eigenvector and so a cluster (Zhang & Rohe 2018).
    tied = affinity + affinity.mean()
    return SpectralClustering(k, affinity="precomputed", random_state=seed).fit_predict(tied)


def k_distances(x: np.ndarray, neighbours: int) -> np.ndarray:
    """Distance of each row to its `neighbours`-th nearest other row, sorted upwards (Ester et al. 1996).

    Parameters
    ----------
    x : array-like, shape (n, d)
    neighbours : int
        From 1 to n − 1.

    Returns
    -------
    array of float, shape (n,)
        The share of rows up to a distance is the share that `dbscan` with this `eps` takes for cores of clusters.

    Raises
    ------
    ParameterError
        If `x` is not finite, or `neighbours` is out of range.

    Examples
    --------
    >>> from vae_lib import cluster
    >>> cluster.k_distances([[0.0], [1.0], [3.0], [9.0]], 1)
    array([1., 1., 2., 6.])
    """
    x = checks.matrix(x, "x")
    checks.count(neighbours, "neighbours", high=len(x) - 1)
    distances, _ = NearestNeighbors(n_neighbors=neighbours).fit(x).kneighbors()
    return np.sort(distances[:, -1])


def knee(curve: np.ndarray) -> int:
    """Place where a rising curve turns steep: the farthest below the line from its first point to its last.

    Both axes scaled to unit length, this is the first knee of Satopää et al. (2011), without smoothing.

    Parameters
    ----------
    curve : array-like, shape (n,)
        Sorted upwards, such as `k_distances`; at least two values.

    Returns
    -------
    int
        An index of `curve`; the last one if it nowhere lies below that line.

    Raises
    ------
    ParameterError
        If it is not finite, not sorted upwards or shorter than two.

    Examples
    --------
    >>> from vae_lib import cluster
    >>> cluster.knee([1.0, 1.1, 1.2, 1.3, 9.0])
    3
    """
    curve = checks.matrix(np.atleast_2d(curve), "curve", rows=1)[0]
    if len(curve) < 2 or (np.diff(curve) < 0).any():
        raise ParameterError(f"curve must be at least two values sorted upwards, got {len(curve)} values")
    below = np.linspace(curve[0], curve[-1], len(curve)) - curve
    return int(below.argmax()) if below.max() > 1e-12 * curve[-1] else len(curve) - 1


def dbscan(x: np.ndarray, *, neighbours: int = 4, eps: float | None = None) -> np.ndarray:
    """Join the rows that lie densely, however many clusters that makes (Ester et al. 1996); deterministic.

    Parameters
    ----------
    x : array-like, shape (n, d)
    neighbours : int
        A row is the core of a cluster if this many others lie within `eps`; from 1 to n − 1.
    eps : float, optional
        Reach of a core, above 0. By default the `knee` of the `k_distances`, so that no label has a part in it.

    Returns
    -------
    array of int, shape (n,)
        From 0 up, and −1 for noise: rows that no core reaches.

    Raises
    ------
    ParameterError
        If `x` is not finite, or an option is out of range.

    Examples
    --------
    >>> from vae_lib import cluster
    >>> cluster.dbscan([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2], [99.0]], neighbours=2, eps=0.5)
    array([ 0,  0,  0,  1,  1,  1, -1])
    """
    x = checks.matrix(x, "x")
    checks.count(neighbours, "neighbours", high=len(x) - 1)
    if eps is None:
        curve = k_distances(x, neighbours)
        eps = max(curve[knee(curve)], np.finfo(float).tiny)  # 0 where most tracks have that many exact copies
    checks.in_range(eps, "eps", low=0, open_low=True)
    return DBSCAN(eps=eps, min_samples=neighbours + 1).fit_predict(x)  # scikit-learn counts the row itself


class Clusterer(NamedTuple):
    """A clusterer by its name in tables, and one call for all of them.

    Attributes
    ----------
    title : str
    function : callable
        The clusterer with the options that are its own.
    takes_k, takes_seed : bool
        Whether it is told the number of clusters, and whether it draws.

    Examples
    --------
    >>> from vae_lib import cluster
    >>> [name for name, clusterer in cluster.CLUSTERERS.items() if not clusterer.takes_k]
    ['dbscan']
    >>> cluster.CLUSTERERS["agglomerative"]([[0.0], [1.0], [8.0], [9.0]], 2, seed=0).tolist()
    [1, 1, 0, 0]
    """

    title: str
    function: Callable[..., np.ndarray]
    takes_k: bool = True
    takes_seed: bool = True

    def __call__(self, x: np.ndarray, k: int, *, seed: int, **options: object) -> np.ndarray:
        """Cluster the rows of `x`, shape (n, d); `k` and `seed` go unused where the clusterer has no use for them."""
        wanted = {"k": k} if self.takes_k else {}
        wanted |= {"seed": seed} if self.takes_seed else {}
        return self.function(x, **wanted, **options)


CLUSTERERS: Mapping[str, Clusterer] = {
    "kmeans": Clusterer("k-means", kmeans),
    "agglomerative": Clusterer("Ward", agglomerative, takes_seed=False),
    "gmm": Clusterer("Gaussian mixture", gmm),
    "spectral": Clusterer("spectral", spectral),
    "dbscan": Clusterer("DBSCAN", dbscan, takes_k=False, takes_seed=False),
}
"""Every clusterer by name; ``CLUSTERERS[name](x, k, seed=seed, **options)`` calls any of them."""


def _clusterer(clusterer: str | Callable[..., np.ndarray]) -> Clusterer:
    if isinstance(clusterer, Clusterer):
        return clusterer
    if callable(clusterer):
        return Clusterer("own", clusterer)
    return CLUSTERERS[checks.one_of(clusterer, "clusterer", CLUSTERERS)]


def per_seed(
    clusterer: str | Callable[..., np.ndarray], x: np.ndarray, k: int, *, seeds: Sequence[int], **options: object
) -> np.ndarray:
    """Run a clusterer once per seed.

    Parameters
    ----------
    clusterer : str or callable
        A name in `CLUSTERERS`, or ``clusterer(x, k, seed=seed, **options) -> labels``.
    x : array-like, shape (seeds, n, d) or (n, d)
        One space per seed, such as the latents of an ensemble, or one for all, where seeds differ in their starts; a
        clusterer without starts then runs once.
    k : int
        Number of clusters.
    seeds : sequence of int
    **options
        For the clusterer.

    Returns
    -------
    array of int, shape (seeds, n)

    Raises
    ------
    ParameterError
        If the name is unknown, there is no seed, or `x` does not hold one space per seed.

    Examples
    --------
    >>> from vae_lib import cluster
    >>> x = [[0.0], [0.1], [5.0], [5.1]]
    >>> cluster.per_seed("kmeans", x, 2, seeds=range(3)).shape
    (3, 4)
    >>> cluster.per_seed("agglomerative", x, 2, seeds=range(3))  # no starts, so all seeds are one run
    array([[0, 0, 1, 1],
           [0, 0, 1, 1],
           [0, 0, 1, 1]])
    """
    clusterer = _clusterer(clusterer)
    seeds = list(seeds)
    if not seeds:
        raise ParameterError("seeds must hold at least one seed, got none")
    if np.ndim(x) == 3:
        if len(x) != len(seeds):
            raise ParameterError(f"x must hold one space per seed ({len(seeds)}), got {len(x)}")
        return np.stack([clusterer(points, k, seed=seed, **options) for points, seed in zip(x, seeds, strict=True)])
    if not clusterer.takes_seed:
        return np.tile(clusterer(x, k, seed=seeds[0], **options), (len(seeds), 1))
    return np.stack([clusterer(x, k, seed=seed, **options) for seed in seeds])


def kmeans_per_seed(x: np.ndarray, k: int, *, seeds: Sequence[int], n_init: int = 10) -> np.ndarray:
    """Run `kmeans` once per seed, shape (seeds, n): `per_seed` for the clusterer that is used most."""
    return per_seed("kmeans", x, k, seeds=seeds, n_init=n_init)


def co_association(clusterings: np.ndarray) -> np.ndarray:
    """Share of the clusterings that put two tracks into one cluster: the evidence of Fred & Jain (2005).

    Parameters
    ----------
    clusterings : array-like of int, shape (m, n)
        Their clusters need not correspond, nor be equally many. A track of noise, label −1, is together with no other.

    Returns
    -------
    array of float, shape (n, n)
        From 0 to 1; symmetric, 1 on the diagonal.

    Raises
    ------
    ParameterError
        If `clusterings` is not a table of whole numbers from −1 up.

    Examples
    --------
    >>> from vae_lib import cluster
    >>> cluster.co_association([[0, 0, 1], [0, 1, 1]])
    array([[1. , 0.5, 0. ],
           [0.5, 1. , 0.5],
           [0. , 0.5, 1. ]])
    """
    clusterings = _clusterings(clusterings)
    members = np.hstack([labels[:, None] == np.unique(labels[labels >= 0]) for labels in clusterings])
    members = members.astype(np.float32)  # counts are exact in it, and the product takes half the time
    together = (members @ members.T).astype(float)
    np.fill_diagonal(together, len(clusterings))
    return together / len(clusterings)


def consensus(clusterings: np.ndarray, k: int, *, seed: int, method: str = "spectral") -> np.ndarray:
    """Clustering that an ensemble of clusterings agrees on best (Strehl & Ghosh 2002; Fred & Jain 2005).

    Parameters
    ----------
    clusterings : array-like of int, shape (m, n)
        The ensemble, such as one clustering per training seed; see `co_association`.
    k : int
        Number of clusters, from 2 to n − 1; the ensemble may have been clustered with others.
    seed : int
        Of the k-means among the eigenvectors; average linkage has no use for it.
    method : {"spectral", "average"}
        How the co-association is cut: as a graph by its normalised cut, its mean weight added between all tracks so
        that one which never found company is no cluster of its own, or as a tree by average linkage, where it may be.

    Returns
    -------
    array of int, shape (n,)
        From 0 to k − 1.

    Raises
    ------
    ParameterError
        If `clusterings` is not a table of whole numbers from −1 up, `k` is out of range or `method` is unknown.

    Examples
    --------
    Three clusterings, each with a mistake of its own:

    >>> from vae_lib import cluster, metrics
    >>> ensemble = [[0, 0, 0, 1, 1, 0], [1, 1, 0, 0, 0, 0], [0, 1, 0, 1, 1, 1]]
    >>> metrics.ari(cluster.consensus(ensemble, 2, seed=0), [0, 0, 0, 1, 1, 1])
    1.0
    """
    checks.one_of(method, "method", CONSENSUS)
    checks.count(seed, "seed", low=0)
    affinity = co_association(clusterings)
    checks.count(k, "k", low=2, high=len(affinity) - 1)
    if method == "spectral":
        return _cut(affinity, k, seed)
    return AgglomerativeClustering(k, metric="precomputed", linkage="average").fit_predict(1 - affinity)


def stability(clusterings: np.ndarray) -> float:
    """Mean adjusted Rand index between all pairs of clusterings of the same tracks.

    Clusterings from several seeds, starts or trainings that agree have found something that does not hang on chance;
    whether it is what a listener would call a genre, no label-free criterion can tell.

    Parameters
    ----------
    clusterings : array-like of int, shape (m, n)
        At least two. A track of noise, label −1, counts as a cluster of its own.

    Returns
    -------
    float
        1 if all are the same partition, about 0 if they have no more in common than chance.

    Raises
    ------
    ParameterError
        If `clusterings` is not a table of whole numbers from −1 up with at least two rows.

    Examples
    --------
    >>> from vae_lib import cluster
    >>> cluster.stability([[0, 0, 1, 1], [1, 1, 0, 0]])
    1.0
    """
    clusterings = metrics.without_noise(_clusterings(clusterings), noise="singletons")
    if len(clusterings) < 2:
        raise ParameterError("clusterings must hold at least two clusterings to compare, got 1")
    return float(np.mean([metrics.ari(first, second) for first, second in combinations(clusterings, 2)]))


def _clusterings(values: np.ndarray) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 2 or 0 in array.shape or not np.issubdtype(array.dtype, np.integer):
        raise ParameterError(
            "clusterings must be a non-empty table of whole numbers (clusterings, tracks), "
            f"got {array.dtype} of shape {array.shape}"
        )
    if array.min() < -1:
        raise ParameterError(f"clusterings must be -1 (noise) or clusters from 0 up, got {array.min()}")
    return array


def k_scores(
    x: np.ndarray,
    candidates: Sequence[int],
    *,
    clusterer: str | Callable[..., np.ndarray] = "kmeans",
    seeds: Sequence[int] = range(10),
    share: float = 0.8,
    **options: object,
) -> list[dict[str, float]]:
    """Score numbers of clusters without labels, for a choice of k within one space.

    One random share of the tracks per seed, the same for every k, is clustered. A k that fits the data gives the same
    clusters whichever tracks were left out (Ben-Hur et al. 2002, Lange et al. 2004): read the stability for its
    maximum, knowing that few clusters are stable more easily than many. The silhouette asks whether they are apart.

    Parameters
    ----------
    x : array-like, shape (n, d)
    candidates : sequence of int
        Values of k.
    clusterer : str or callable
        As in `per_seed`; one that takes k.
    seeds : sequence of int
        Of the subsamples and of the clusterer's starts; at least two.
    share : float
        Of the tracks in a subsample; above 0.5, so that any two have tracks in common.
    **options
        For the clusterer.

    Returns
    -------
    list of dict
        One row per candidate, in their order: `k`; `stability`, the mean adjusted Rand index between two subsamples
        on their common tracks; `silhouette`, the mean over subsamples, NaN if one of them became a single cluster; for
        the clusterer "gmm" also `bic` of the mixture of all tracks, for which lower is better (Schwarz 1978).

    Raises
    ------
    ParameterError
        If `x` is not finite, a candidate is no number of clusters, the clusterer takes no k, there are fewer than two
        seeds or `share` is out of range.

    Examples
    --------
    Three clouds far apart:

    >>> import numpy as np
    >>> from vae_lib import cluster
    >>> x = np.random.default_rng(0).normal(size=(60, 2)) + 20 * np.repeat(np.eye(3, 2), 20, axis=0)
    >>> rows = cluster.k_scores(x, [2, 3, 4], seeds=range(4))
    >>> max(rows, key=lambda row: row["stability"])["k"], max(rows, key=lambda row: row["silhouette"])["k"]
    (3, 3)
    """
    x = checks.matrix(x, "x")
    chosen = _clusterer(clusterer)
    if not chosen.takes_k:
        raise ParameterError(f"clusterer must be one that takes k, got {clusterer!r}")
    checks.in_range(share, "share", low=0.5, high=1, open_low=True)
    seeds = list(seeds)
    if len(seeds) < 2:
        raise ParameterError(f"seeds must hold at least two seeds to compare, got {len(seeds)}")
    size = round(share * len(x))
    samples = [np.random.default_rng(seed).permutation(len(x))[:size] for seed in seeds]
    rows = []
    for k in candidates:
        clusterings = np.full((len(seeds), len(x)), -1)  # −1: left out
        silhouettes = np.full(len(seeds), np.nan)
        for place, (sample, seed) in enumerate(zip(samples, seeds, strict=True)):
            labels = clusterings[place, sample] = chosen(x[sample], k, seed=seed, **options)
            if len(np.unique(labels)) > 1:
                silhouettes[place] = metrics.silhouette(x[sample], labels)
        agreements = [
            metrics.ari(*pair[:, (pair >= 0).all(axis=0)]) for pair in map(np.stack, combinations(clusterings, 2))
        ]
        row = {"k": k, "stability": float(np.mean(agreements)), "silhouette": float(np.mean(silhouettes))}
        if clusterer == "gmm":
            row["bic"] = float(_mixture(x, k, seeds[0], **options).bic(x))
        rows.append(row)
    return rows


def pca(x: np.ndarray, components: int) -> np.ndarray:
    """Project on the leading principal components, shape (n, components).

    Raises
    ------
    ParameterError
        If `components` is not from 1 to the smaller side of `x`.

    Examples
    --------
    >>> from vae_lib import cluster
    >>> cluster.pca([[0.0, 0.0], [3.0, 4.0]], 1).round(6).tolist()  # 5 apart in the plane, and on the line
    [[-2.5], [2.5]]
    """
    x = checks.matrix(x, "x")
    checks.count(components, "components", high=min(x.shape))
    return decomposition.PCA(components, svd_solver="full").fit_transform(x)


def project(x: np.ndarray, *, method: str, seed: int, neighbours: int = 15) -> np.ndarray:
    """Lay the rows out in the plane, for looking at; distances between far groups mean little.

    Parameters
    ----------
    x : array-like, shape (n, d)
    method : {"tsne", "umap"}
        van der Maaten & Hinton (2008), McInnes et al. (2018).
    seed : int
    neighbours : int
        Neighbourhood size: `n_neighbors` of UMAP, twice the perplexity of t-SNE.

    Returns
    -------
    array of float, shape (n, 2)

    Raises
    ------
    ParameterError
        If `method` is unknown or there are not more rows than `neighbours`.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import cluster
    >>> x = np.random.default_rng(0).normal(size=(20, 5))
    >>> cluster.project(x, method="tsne", seed=0, neighbours=6).shape
    (20, 2)
    """
    checks.one_of(method, "method", PROJECTIONS)
    x = checks.matrix(x, "x")
    checks.count(neighbours, "neighbours", low=2, high=len(x) - 1)
    if method == "tsne":
        return manifold.TSNE(perplexity=neighbours / 2, init="pca", random_state=seed).fit_transform(x)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")  # of a progress bar that is not used
        from umap import UMAP  # here, because it takes seconds to import

        # Groups without a neighbour in common are placed apart, which is what they are.
        warnings.filterwarnings("ignore", message="Graph is not fully connected")
        return UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1).fit_transform(x)
