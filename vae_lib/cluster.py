"""Clustering, linear baselines and two-dimensional projections; all repeatable from a seed."""

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn import decomposition, manifold
from sklearn.cluster import KMeans

from vae_lib import checks

PROJECTIONS = ("tsne", "umap")


def kmeans(x: np.ndarray, k: int, *, seed: int, n_init: int = 10) -> np.ndarray:
    """Assign each row to one of `k` means (Lloyd's algorithm, k-means++ starts).

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
    """
    x = checks.matrix(x, "x")
    checks.count(k, "k", low=2, high=len(x))
    checks.count(n_init, "n_init")
    checks.count(seed, "seed", low=0)
    return KMeans(k, n_init=n_init, random_state=seed).fit_predict(x)


def kmeans_per_seed(x: np.ndarray, k: int, *, seeds: Sequence[int], n_init: int = 10) -> np.ndarray:
    """Run `kmeans` once per seed.

    Parameters
    ----------
    x : array-like, shape (seeds, n, d) or (n, d)
        One space per seed, such as the latents of an ensemble, or one for all, where seeds differ in their starts.
    k : int
    seeds : sequence of int
    n_init : int

    Returns
    -------
    array of int, shape (seeds, n)
    """
    x = np.asarray(x)
    if x.ndim == 3 and len(x) != len(seeds):
        raise checks.ParameterError(f"x must hold one space per seed ({len(seeds)}), got {len(x)}")
    spaces = x if x.ndim == 3 else [x] * len(seeds)
    return np.stack([kmeans(points, k, seed=seed, n_init=n_init) for points, seed in zip(spaces, seeds, strict=True)])


def pca(x: np.ndarray, components: int) -> np.ndarray:
    """Project on the leading principal components, shape (n, components).

    Raises
    ------
    ParameterError
        If `components` is not from 1 to the smaller side of `x`.
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
    """
    checks.one_of(method, "method", PROJECTIONS)
    x = checks.matrix(x, "x")
    checks.count(neighbours, "neighbours", low=2, high=len(x) - 1)
    if method == "tsne":
        return manifold.TSNE(perplexity=neighbours / 2, init="pca", random_state=seed).fit_transform(x)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")  # of a progress bar that is not used
        from umap import UMAP  # here, because it takes seconds to import
    return UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1).fit_transform(x)
