"""Clusterings and projections repeat from a seed and refuse what they cannot do."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from vae_lib import cluster, metrics
from vae_lib.checks import ParameterError


@pytest.fixture
def groups():
    rng = np.random.default_rng(0)
    return np.repeat(10.0 * np.eye(3, 6), 15, axis=0) + rng.normal(size=(45, 6)), np.repeat(np.arange(3), 15)


def test_kmeans_finds_groups_that_are_apart_and_repeats(groups):
    x, true = groups
    found = cluster.kmeans(x, 3, seed=0)
    assert metrics.ari(true, found) == 1.0
    assert np.array_equal(found, cluster.kmeans(x, 3, seed=0))


def test_kmeans_per_seed_uses_each_seeds_own_space(groups):
    x, true = groups
    spaces = np.stack([x, np.zeros_like(x) + np.arange(45)[:, None]])
    found = cluster.kmeans_per_seed(spaces, 3, seeds=[4, 5])
    assert metrics.ari(true, found[0]) == 1.0
    assert np.array_equal(found[1], cluster.kmeans(spaces[1], 3, seed=5))
    assert cluster.kmeans_per_seed(x, 3, seeds=[1, 2, 3]).shape == (3, 45)


def test_pca_keeps_all_distances_with_all_components_and_orders_them_by_variance(groups):
    x, _ = groups
    np.testing.assert_allclose(pdist(cluster.pca(x, 6)), pdist(x))
    assert (np.diff(cluster.pca(x, 4).var(0)) <= 0).all()


@pytest.mark.parametrize("method", cluster.PROJECTIONS)
def test_projections_repeat_and_keep_groups_together(method, groups):
    x, true = groups
    points = cluster.project(x, method=method, seed=0)
    assert points.shape == (45, 2)
    assert np.array_equal(points, cluster.project(x, method=method, seed=0))
    assert metrics.silhouette(points, true) > 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: cluster.kmeans(x, 46, seed=0), "k must be a whole number from 2 to 45, got 46"),
        (lambda x: cluster.kmeans(x, 1, seed=0), "k must be a whole number from 2 to 45, got 1"),
        (lambda x: cluster.kmeans(np.where(x == x.max(), np.nan, x), 3, seed=0), "x must be finite: 1 value"),
        (
            lambda x: cluster.kmeans_per_seed(np.stack([x, x]), 3, seeds=[0]),
            "x must hold one space per seed .1., got 2",
        ),
        (lambda x: cluster.pca(x, 7), "components must be a whole number from 1 to 6, got 7"),
        (lambda x: cluster.project(x, method="mds", seed=0), "method must be one of tsne, umap, got 'mds'"),
        (lambda x: cluster.project(x[:10], method="tsne", seed=0), "neighbours must be a whole number from 2 to 9"),
    ],
)
def test_bad_input_is_one_clear_error(groups, call, message):
    with pytest.raises(ParameterError, match=message):
        call(groups[0])
