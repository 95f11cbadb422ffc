"""scikit-learn's clusterers by name, consensus, label-free choice of k, and projections; all repeatable from a seed.

Clusters are numbered from 0; −1 marks a track that belongs to none, which only DBSCAN uses.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, aslinearoperator, eigsh, lobpcg
from sklearn import decomposition, manifold
from sklearn.base import BaseEstimator
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors, kneighbors_graph
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from vae_lib import checks, metrics
from vae_lib.checks import ParameterError

PROJECTIONS = ("tsne", "umap")
EXACT = 5000  # tracks up to which nearest neighbours and eigenvectors are exact


def _kmeans(x: np.ndarray, k: int, seed: int, *, n_init: int = 10) -> KMeans:
    return KMeans(k, n_init=n_init, random_state=seed)


def _agglomerative(x: np.ndarray, k: int, seed: int, *, linkage: str = "ward") -> AgglomerativeClustering:
    return AgglomerativeClustering(k, linkage=linkage)


def _gmm(
    x: np.ndarray, k: int, seed: int, *, covariance: str = "full", n_init: int = 5, regularisation: float = 1e-3
) -> GaussianMixture:
    # The ridge on the variances is a share of the columns' mean variance, so that a component with fewer rows than
    # columns stays proper at any scale.
    ridge = regularisation * (np.var(x, axis=0).mean() or 1.0)
    return GaussianMixture(
        k, covariance_type=covariance, reg_covar=ridge, n_init=n_init, max_iter=1000, random_state=seed
    )


def _spectral(x: np.ndarray, k: int, seed: int, *, neighbours: int = 10) -> BaseEstimator:
    checks.count(neighbours, "neighbours", high=len(x) - 1)
    embedding = FunctionTransformer(
        lambda x: _spectral_embedding(aslinearoperator(_neighbour_graph(x, neighbours, seed)), k, seed)
    )
    return make_pipeline(embedding, _kmeans(x, k, seed))


def _neighbour_graph(x: np.ndarray, neighbours: int, seed: int) -> csr_array:
    """Join two tracks if one is among the nearest of the other, at half weight unless both are."""
    if len(x) <= EXACT:
        graph = csr_array(kneighbors_graph(x, neighbours))
    else:
        from pynndescent import NNDescent  # here, because it takes seconds to import

        nearest = NNDescent(x, n_neighbors=neighbours + 1, random_state=seed, n_jobs=1).neighbor_graph[0][:, 1:]
        ends = np.arange(0, nearest.size + 1, neighbours)
        graph = csr_array((np.ones(nearest.size), nearest.ravel(), ends), shape=(len(x), len(x)))
    return (graph + graph.T) / 2


def _spectral_embedding(affinity: LinearOperator, k: int, seed: int) -> np.ndarray:
    """Rows as the normalised cut sees them: the k leading eigenvectors of an affinity, which is only ever multiplied.

    The mean affinity between all pairs ties loose parts to the rest: without it each of them, however small, claims an
    eigenvector and so a cluster (Zhang & Rohe 2018).
    """
    n = affinity.shape[0]
    degrees = affinity @ np.ones(n)
    tie = degrees.sum() / n**2
    scale = 1 / np.sqrt(degrees + n * tie)

    def multiply(v: np.ndarray) -> np.ndarray:
        v = scale[:, None] * v.reshape(n, -1)
        return scale[:, None] * (affinity @ v + tie * v.sum(axis=0))

    operator = LinearOperator((n, n), matvec=multiply, matmat=multiply, dtype=float)
    start = np.random.default_rng(seed).normal(size=(n, k))
    if n <= 200:  # the table itself, which any k may be asked of
        vectors = np.linalg.eigh(operator @ np.eye(n))[1][:, -k:]
    elif n <= EXACT:
        vectors = eigsh(operator, k, which="LA", v0=start[:, 0], ncv=min(n, 4 * k + 20), tol=1e-4)[1]
    else:
        start[:, 0] = 1 / scale  # the first eigenvector
        vectors = lobpcg(operator, start, largest=True, tol=1e-2, maxiter=30)[1]
    return vectors * scale[:, None]


def _dbscan(x: np.ndarray, k: int | None, seed: int, *, neighbours: int = 4, eps: float | None = None) -> DBSCAN:
    checks.count(neighbours, "neighbours")
    if eps is None:
        curve = k_distances(x, neighbours)
        eps = max(curve[knee(curve)], np.finfo(float).tiny)  # 0 where most tracks have that many exact copies
    checks.in_range(eps, "eps", low=0, open_low=True)
    return DBSCAN(eps=eps, min_samples=neighbours + 1)  # scikit-learn counts the row itself


class Clusterer(NamedTuple):
    """A clusterer by its title in tables, and how to make it.

    Attributes
    ----------
    title : str
    estimator : callable
        ``estimator(x, k, seed, **options)`` gives the unfitted scikit-learn estimator for the table `x`, whose scale
        the settings of some depend on.
    takes_k, takes_seed : bool
        Whether it is told the number of clusters, and whether it draws.
    """

    title: str
    estimator: Callable[..., BaseEstimator]
    takes_k: bool = True
    takes_seed: bool = True


CLUSTERERS: Mapping[str, Clusterer] = {
    "kmeans": Clusterer("k-means", _kmeans),
    "agglomerative": Clusterer("Ward", _agglomerative, takes_seed=False),
    "gmm": Clusterer("Gaussian mixture", _gmm),
    "spectral": Clusterer("spectral", _spectral),
    "dbscan": Clusterer("DBSCAN", _dbscan, takes_k=False, takes_seed=False),
}
"""Every clusterer by name, with the options that `fit_predict` takes for it.

- "kmeans", Lloyd's (1982) with k-means++ starts (Arthur & Vassilvitskii 2007): `n_init` starts, 10.
- "agglomerative": `linkage`, "ward" (1963), "average" or "complete".
- "gmm", a mixture of Gaussians by EM (Dempster et al. 1977): `covariance`, "full" or "diag"; `n_init`, 5;
  `regularisation` of the variances as a share of the columns' mean variance, 0.001.
- "spectral", the normalised cut (Shi & Malik 2000) of the graph of nearest `neighbours`, 10, with a weak tie between
  all tracks (Zhang & Rohe 2018).
- "dbscan" (Ester et al. 1996): a track with `neighbours` others, 4, within `eps` is the core of a cluster; by default
  the `knee` of the `k_distances`, so that no label has a part in it.
"""


def fit_predict(name: str, x: np.ndarray, k: int | None, *, seed: int = 0, **options: object) -> np.ndarray:
    """Cluster the rows of a table.

    Parameters
    ----------
    name : str
        One of `CLUSTERERS`, which lists the `options` of each.
    x : array-like, shape (n, d)
    k : int
        Number of clusters, from 2 to n; unused where the clusterer finds it.
    seed : int
        Of the starts; unused where there are none.

    Returns
    -------
    array of int, shape (n,)
        Clusters from 0; −1 for noise.

    Raises
    ------
    ParameterError
        If the name is unknown, `x` is not finite or `k` is out of range. scikit-learn checks the options.

    Examples
    --------
    Two crossed lines, which k-means can only cut across:

    >>> import numpy as np
    >>> from vae_lib import cluster, metrics
    >>> t, line = np.linspace(-1, 1, 40), np.repeat([0, 1], 40)
    >>> x = np.vstack([np.c_[t, 0.02 * np.sin(9 * t)], np.c_[0.02 * np.sin(9 * t), t]])
    >>> [metrics.ari(line, cluster.fit_predict(name, x, 2)) > 0.5 for name in ("kmeans", "gmm")]
    [False, True]
    >>> cluster.fit_predict("dbscan", [[0.0], [0.1], [0.2], [5.0], [5.1], [5.2], [99.0]], None, neighbours=2, eps=0.5)
    array([ 0,  0,  0,  1,  1,  1, -1])
    """
    x = checks.matrix(x, "x")
    return _estimator(name, x, k, seed, options).fit_predict(x)


def _estimator(name: str, x: np.ndarray, k: int | None, seed: int, options: Mapping[str, object]) -> BaseEstimator:
    chosen = CLUSTERERS[checks.one_of(name, "name", CLUSTERERS)]
    if chosen.takes_k:
        checks.count(k, "k", low=2, high=len(x))
    return chosen.estimator(x, k, checks.count(seed, "seed", low=0), **options)


def per_seed(name: str, x: np.ndarray, k: int | None, *, seeds: int | Sequence[int], **options: object) -> np.ndarray:
    """Run a clusterer once per seed; arguments as in `fit_predict`, unless said here.

    Parameters
    ----------
    x : array-like, shape (seeds, n, d) or (n, d)
        One space per seed, such as latents, or one for all, where seeds differ in their starts; a clusterer without
        starts then runs once.
    seeds : int or sequence of int
        How many, from 0, or which.

    Returns
    -------
    array of int, shape (seeds, n)

    Examples
    --------
    >>> from vae_lib import cluster
    >>> cluster.per_seed("agglomerative", [[0.0], [0.1], [5.0], [5.1]], 2, seeds=2)  # no starts: both are one run
    array([[0, 0, 1, 1],
           [0, 0, 1, 1]])
    """
    seeds = checks.seeds(seeds)
    if checks.array(x, "x").ndim == 3:
        if len(x) != len(seeds):
            raise ParameterError(f"x must hold one space per seed ({len(seeds)}), got {len(x)}")
        return np.stack([fit_predict(name, of, k, seed=seed, **options) for of, seed in zip(x, seeds, strict=True)])
    if not CLUSTERERS[checks.one_of(name, "name", CLUSTERERS)].takes_seed:
        return np.tile(fit_predict(name, x, k, **options), (len(seeds), 1))
    return np.stack([fit_predict(name, x, k, seed=seed, **options) for seed in seeds])


def k_distances(x: np.ndarray, neighbours: int) -> np.ndarray:
    """Distance of each row to its `neighbours`-th nearest other row, shape (n,), sorted upwards (Ester et al. 1996).

    The share of rows up to a distance is the share that DBSCAN with this `eps` takes for cores of clusters.

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

    Both axes scaled to unit length, this is the first knee of Satopää et al. (2011), without smoothing; the last index
    if the curve, at least two values sorted upwards, nowhere lies below that line.

    Examples
    --------
    >>> from vae_lib import cluster
    >>> cluster.knee([1.0, 1.1, 1.2, 1.3, 9.0])
    3
    """
    curve = checks.finite(checks.numbers(curve, "curve", "values"), "curve")
    if len(curve) < 2 or (np.diff(curve) < 0).any():
        raise ParameterError(f"curve must be at least two values sorted upwards, got {len(curve)} values")
    below = np.linspace(curve[0], curve[-1], len(curve)) - curve
    return int(below.argmax()) if below.max() > 1e-12 * curve[-1] else len(curve) - 1


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

    Examples
    --------
    >>> from vae_lib import cluster
    >>> cluster.co_association([[0, 0, 1], [0, 1, 1]])[0]
    array([1. , 0.5, 0. ])
    """
    clusterings = _clusterings(clusterings)
    members = np.hstack([labels[:, None] == np.unique(labels[labels >= 0]) for labels in clusterings])
    members = members.astype(np.float32)  # counts are exact in it, and the product takes half the time
    together = (members @ members.T).astype(float)
    np.fill_diagonal(together, len(clusterings))
    return together / len(clusterings)


def consensus(clusterings: np.ndarray, k: int, *, seed: int) -> np.ndarray:
    """Clustering that an ensemble of clusterings agrees on best (Strehl & Ghosh 2002; Fred & Jain 2005).

    The co-association is cut as a graph by its normalised cut, its mean weight added between all tracks so that one
    which never found company is no cluster of its own. It is never written out: time and memory grow with n.

    Parameters
    ----------
    clusterings : array-like of int, shape (m, n)
        The ensemble, such as one clustering per training seed; see `co_association`.
    k : int
        Number of clusters, from 2 to n − 1; the ensemble may have been clustered with others.
    seed : int
        Of the k-means among the eigenvectors.

    Returns
    -------
    array of int, shape (n,)
        From 0 to k − 1.

    Examples
    --------
    Three clusterings, each with a mistake of its own:

    >>> from vae_lib import cluster, metrics
    >>> ensemble = [[0, 0, 0, 1, 1, 0], [1, 1, 0, 0, 0, 0], [0, 1, 0, 1, 1, 1]]
    >>> metrics.ari(cluster.consensus(ensemble, 2, seed=0), [0, 0, 0, 1, 1, 1])
    1.0
    """
    clusterings = metrics.without_noise(_clusterings(clusterings), noise="singletons")
    checks.count(seed, "seed", low=0)
    m, n = clusterings.shape
    checks.count(k, "k", low=2, high=n - 1)
    places = np.cumsum([0, *clusterings.max(axis=1) + 1])
    columns = (clusterings + places[:-1, None]).ravel()
    members = aslinearoperator(csr_array((np.ones(m * n), (np.tile(np.arange(n), m), columns)), (n, places[-1])))
    return _kmeans(members, k, seed).fit_predict(_spectral_embedding(members @ members.T * (1 / m), k, seed))


def stability(clusterings: np.ndarray) -> float:
    """Mean adjusted Rand index between all pairs of clusterings of the same tracks, shape (m, n), m at least 2.

    1 if all are the same partition, about 0 if they have no more in common than chance. Clusterings from several seeds
    that agree have found something that does not hang on chance; whether it is what a listener would call a genre, no
    label-free criterion can tell. A track of noise, label −1, counts as a cluster of its own.

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
    array = checks.array(values, "clusterings")
    if array.ndim != 2 or 0 in array.shape or not np.issubdtype(array.dtype, np.integer) or array.min() < -1:
        raise ParameterError(
            "clusterings must be a non-empty table (clusterings, tracks) of whole numbers, -1 (noise) or clusters from "
            f"0 up, got {array.dtype} of shape {array.shape}"
        )
    return array


def k_scores(
    x: np.ndarray,
    candidates: Sequence[int],
    *,
    clusterer: str = "kmeans",
    seeds: int | Sequence[int] = 10,
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
    clusterer : str
        One of `CLUSTERERS` that takes k; `options` are its own.
    seeds : int or sequence of int
        Of the subsamples and of the clusterer's starts; at least two.
    share : float
        Of the tracks in a subsample; above 0.5, so that any two have tracks in common.

    Returns
    -------
    list of dict
        One row per candidate: `k`; `stability`, the mean adjusted Rand index between two subsamples on their common
        tracks; `silhouette`, the mean over subsamples, NaN if one of them became a single cluster; for "gmm" also `bic`
        of the mixture of all tracks, for which lower is better (Schwarz 1978).

    Examples
    --------
    Three clouds far apart:

    >>> import numpy as np
    >>> from vae_lib import cluster
    >>> x = np.random.default_rng(0).normal(size=(60, 2)) + 20 * np.repeat(np.eye(3, 2), 20, axis=0)
    >>> rows = cluster.k_scores(x, [2, 3, 4], seeds=4)
    >>> max(rows, key=lambda row: row["stability"])["k"], max(rows, key=lambda row: row["silhouette"])["k"]
    (3, 3)
    """
    x = checks.matrix(x, "x")
    checks.one_of(clusterer, "clusterer", [name for name, of in CLUSTERERS.items() if of.takes_k])
    checks.in_range(share, "share", low=0.5, high=1, open_low=True)
    seeds = checks.seeds(seeds, low=2)
    candidates = checks.counts(candidates, "candidates", low=2)
    samples = [np.random.default_rng(seed).permutation(len(x))[: round(share * len(x))] for seed in seeds]
    rows = []
    for k in candidates:
        clusterings = np.full((len(seeds), len(x)), -1)  # −1: left out
        silhouettes = np.full(len(seeds), np.nan)
        for place, (sample, seed) in enumerate(zip(samples, seeds, strict=True)):
            labels = clusterings[place, sample] = fit_predict(clusterer, x[sample], k, seed=seed, **options)
            if len(np.unique(labels)) > 1:
                silhouettes[place] = metrics.silhouette(x[sample], labels)
        agreements = [
            metrics.ari(*pair[:, (pair >= 0).all(axis=0)]) for pair in map(np.stack, combinations(clusterings, 2))
        ]
        row = {"k": k, "stability": float(np.mean(agreements)), "silhouette": float(np.mean(silhouettes))}
        if clusterer == "gmm":
            row["bic"] = float(_estimator("gmm", x, k, seeds[0], options).fit(x).bic(x))
        rows.append(row)
    return rows


def pca(x: np.ndarray, components: int, *, whiten: bool = False) -> np.ndarray:
    """Project on the leading principal components, shape (n, components).

    With `whiten` each component is scaled to unit variance, so that none counts for more than another.

    Examples
    --------
    >>> from vae_lib import cluster
    >>> cluster.pca([[0.0, 0.0], [3.0, 4.0]], 1).round(6).tolist()  # 5 apart in the plane, and on the line
    [[-2.5], [2.5]]
    """
    x = checks.matrix(x, "x")
    checks.count(components, "components", high=min(x.shape))
    return decomposition.PCA(components, whiten=whiten, svd_solver="full").fit_transform(x)


def project(x: np.ndarray, *, method: str, seed: int, neighbours: int = 15) -> np.ndarray:
    """Lay the rows out in the plane, shape (n, 2), for looking at; distances between far groups mean little.

    Rows that do not differ, but for rounding, all lie at 0.

    Parameters
    ----------
    x : array-like, shape (n, d)
    method : {"tsne", "umap"}
        van der Maaten & Hinton (2008), McInnes et al. (2018).
    neighbours : int
        Neighbourhood size: `n_neighbors` of UMAP, twice the perplexity of t-SNE.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import cluster
    >>> cluster.project(np.eye(20), method="tsne", seed=0, neighbours=6).shape
    (20, 2)
    """
    checks.one_of(method, "method", PROJECTIONS)
    x = checks.matrix(x, "x")
    checks.count(neighbours, "neighbours", low=2, high=len(x) - 1)
    checks.count(seed, "seed", low=0)
    if method == "umap" and len(x) < 4:
        raise ParameterError(f"x must have at least 4 rows for UMAP, got {len(x)}")
    spread = np.ptp(x, axis=0).max()
    if spread <= 1e-13 * np.abs(x).max():
        return np.zeros((len(x), 2), dtype=np.float32)
    if not 1e-6 < spread < 1e6:  # both compute in 32 bits, and neither asks for the scale
        x = (x - x.mean(axis=0)) / spread
    if method == "tsne":
        x = np.hstack([x, np.zeros_like(x)]) if x.shape[1] == 1 else x  # it begins from two principal components
        return manifold.TSNE(perplexity=neighbours / 2, init="pca", random_state=seed).fit_transform(x)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")  # of a progress bar that is not used
        from umap import UMAP  # here, because it takes seconds to import

        # Groups without a neighbour in common are placed apart, which is what they are.
        warnings.filterwarnings("ignore", message="Graph is not fully connected")
        return UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1).fit_transform(x)
