"""Clusterings and projections repeat from a seed, find what is there and refuse what they cannot do."""

import warnings

import numpy as np
import pytest
from sklearn.base import is_clusterer

from vae_lib import cluster, metrics
from vae_lib.checks import ParameterError

# Every clusterer with each of its options that changes how it works.
METHODS = {
    "kmeans": ("kmeans", {}),
    "ward": ("agglomerative", {}),
    "average": ("agglomerative", {"linkage": "average"}),
    "gmm full": ("gmm", {}),
    "gmm diag": ("gmm", {"covariance": "diag"}),
    "spectral": ("spectral", {}),
    "dbscan": ("dbscan", {"eps": 6.0}),
}
TAKES_K = [name for name in METHODS if name != "dbscan"]


def fit_predict(method, x, k, *, seed=0):
    name, options = METHODS[method]
    return cluster.fit_predict(name, x, k, seed=seed, **options)


@pytest.fixture
def groups():
    rng = np.random.default_rng(0)
    return np.repeat(10.0 * np.eye(3, 6), 15, axis=0) + rng.normal(size=(45, 6)), np.repeat(np.arange(3), 15)


@pytest.fixture
def cloud():
    return np.random.default_rng(1).normal(size=(60, 5))


def same_partition(first, second):
    return metrics.ari(first, second) == 1.0


def noisy_ensemble(true, *, size, kept, seed):
    """Clusterings with numbers of their own that give a share of the tracks to a random cluster."""
    rng, k = np.random.default_rng(seed), true.max() + 1
    rows = [
        (rng.random(len(true)) < kept, rng.permutation(k)[true], rng.integers(k, size=len(true))) for _ in range(size)
    ]
    return np.stack([np.where(*row) for row in rows])


@pytest.mark.parametrize("method", METHODS)
def test_every_clusterer_finds_groups_that_are_apart_whatever_the_order_of_the_tracks(method, groups):
    x, true = groups
    order = np.random.default_rng(2).permutation(len(x))
    before = x.copy()
    assert same_partition(true, fit_predict(method, x, 3))
    assert same_partition(true[order], fit_predict(method, x[order], 3))
    assert np.array_equal(x, before)


@pytest.mark.parametrize("k", [2, 7])
@pytest.mark.parametrize("method", TAKES_K)
def test_a_clusterer_that_takes_k_gives_k_clusters_where_nothing_is_to_be_found_and_repeats(method, k, cloud):
    labels = fit_predict(method, cloud, k, seed=3)
    assert set(labels) == set(range(k))
    assert np.array_equal(labels, fit_predict(method, cloud, k, seed=3))


def test_the_registry_leads_to_estimators_of_scikit_learn_that_are_not_yet_fitted(cloud):
    for name, chosen in cluster.CLUSTERERS.items():
        estimator = chosen.estimator(cloud, 4, 7)
        assert is_clusterer(estimator) or name in ("gmm", "spectral")
        assert callable(estimator.fit_predict)
    assert cluster.CLUSTERERS["kmeans"].estimator(cloud, 4, 7, n_init=1).get_params()["n_init"] == 1


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_a_mixture_stays_proper_with_fewer_tracks_than_features_and_features_that_do_not_vary(covariance):
    x = np.random.default_rng(0).normal(size=(40, 60))
    x[:, :5] = 1.0
    x[20:, 5:] += 4
    for scale in (1e-4, 1.0, 1e4):  # the ridge is a share of the variance
        labels = cluster.fit_predict("gmm", x * scale, 2, covariance=covariance)
        assert same_partition(labels, np.repeat([0, 1], 20))


def test_spectral_takes_parts_that_nothing_joins_for_clusters_and_does_not_warn(groups):
    x, true = groups
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same_partition(true, cluster.fit_predict("spectral", x, 3, neighbours=3))


def test_the_knee_is_the_corner_of_a_curve():
    corner = np.concatenate([np.linspace(1, 2, 80), np.linspace(2, 12, 21)[1:]])
    assert cluster.knee(corner) == cluster.knee(1000 * corner) == 79
    x = np.linspace(0, 1, 101)
    assert cluster.knee(x**2) == 50  # where the slope is that of the chord, x = 1/2
    assert cluster.knee(np.full(10, 3.0)) == 9  # no knee: everything is in reach
    assert cluster.knee(x) == 100


def test_k_distances_are_those_of_a_known_layout_and_say_which_tracks_dbscan_takes_for_cores():
    line = np.arange(6.0)[:, None]
    np.testing.assert_allclose(cluster.k_distances(line, 2), [1, 1, 1, 1, 2, 2])
    for neighbours, eps, found in ((2, 0.9, -1), (2, 1.1, 0), (3, 1.1, -1)):  # two others at most lie within 1
        assert (cluster.fit_predict("dbscan", line, None, neighbours=neighbours, eps=eps) == found).all()


def test_dbscan_chooses_its_reach_from_the_data_and_leaves_the_strays_out(groups):
    x, true = groups
    strays = 30.0 * np.array([[-1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, -1, 1]])
    labels = cluster.fit_predict("dbscan", np.concatenate([x, strays]), None)
    assert (labels[45:] == -1).all()
    inside = labels[:45] >= 0
    assert inside.mean() > 0.9
    assert same_partition(true[inside], labels[:45][inside])
    assert (cluster.fit_predict("dbscan", np.ones((12, 3)), None) == 0).all()  # copies are one cluster


def test_per_seed_uses_each_seeds_own_space_and_start(groups, cloud):
    x, true = groups
    spaces = np.stack([x, np.zeros_like(x) + np.arange(45)[:, None]])
    found = cluster.per_seed("kmeans", spaces, 3, seeds=[4, 5])
    assert same_partition(true, found[0])
    assert np.array_equal(found[1], cluster.fit_predict("kmeans", spaces[1], 3, seed=5))
    found = cluster.per_seed("kmeans", cloud, 4, seeds=[1, 2], n_init=1)
    assert np.array_equal(found, [cluster.fit_predict("kmeans", cloud, 4, seed=seed, n_init=1) for seed in (1, 2)])
    assert not same_partition(*found)
    assert np.array_equal(found, cluster.per_seed("kmeans", cloud, 4, seeds=3, n_init=1)[1:])


def test_co_association_is_the_share_of_clusterings_that_put_two_tracks_together():
    found = np.random.default_rng(0).integers(-1, 4, size=(7, 30))
    together = [[np.mean((found[:, i] == found[:, j]) & (found[:, i] >= 0)) for j in range(30)] for i in range(30)]
    np.testing.assert_allclose(cluster.co_association(found), np.maximum(together, np.eye(30)))


def test_consensus_recovers_what_no_single_clustering_sees():
    true = np.repeat(np.arange(5), 24)
    ensemble = noisy_ensemble(true, size=30, kept=0.6, seed=0)
    found = cluster.consensus(ensemble, 5, seed=0)
    assert metrics.ari(true, found) > 0.9 > 0.5 > max(metrics.ari(true, labels) for labels in ensemble)
    renamed = np.stack([np.random.default_rng(row).permutation(5)[labels] for row, labels in enumerate(ensemble)])
    assert same_partition(found, cluster.consensus(renamed, 5, seed=0))


def test_consensus_of_one_opinion_is_that_opinion_and_does_not_warn():
    true = np.repeat(np.arange(4), [3, 10, 20, 30])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the graph falls apart into four
        assert same_partition(true, cluster.consensus(np.stack([true] * 5), 4, seed=0))


def test_a_track_without_company_is_no_cluster_of_the_spectral_consensus():
    ensemble = noisy_ensemble(np.repeat(np.arange(3), 20), size=20, kept=0.8, seed=1)
    ensemble[:, 0] = -1  # noise in every clustering
    assert np.bincount(cluster.consensus(ensemble, 3, seed=0)).min() > 10


def test_stability_is_one_for_one_partition_and_zero_for_chance():
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=300)
    assert cluster.stability(np.stack([labels, (labels + 1) % 4, 3 - labels])) == 1.0
    assert abs(cluster.stability(rng.integers(4, size=(12, 300)))) < 0.01  # sd 0.0005 over draws of this size
    noise = rng.integers(3, size=(4, 200))
    noise[:, ::2] = -1  # agreeing on what is noise is less than finding a cluster
    assert cluster.stability(noise) < 0.35 < 0.7 < cluster.stability(np.where(noise == -1, 3, noise))


@pytest.mark.parametrize("clusterer", ["kmeans", "gmm", "spectral"])
def test_k_scores_find_three_groups_and_none_where_there_are_none(clusterer, groups):
    rows = cluster.k_scores(groups[0], [2, 3, 4, 5], clusterer=clusterer, seeds=4)
    assert [row["k"] for row in rows] == [2, 3, 4, 5]
    stability, silhouette = (np.array([row[score] for row in rows]) for score in ("stability", "silhouette"))
    assert stability[1] == 1.0 > 0.95 > stability[2:].max()
    assert stability.argmax() == silhouette.argmax() == 1
    if clusterer == "gmm":
        assert np.argmin([row["bic"] for row in rows]) == 1
    nothing = cluster.k_scores(np.random.default_rng(0).normal(size=(120, 6)), [4], clusterer=clusterer, seeds=4)[0]
    assert nothing["stability"] < 0.7
    assert nothing["silhouette"] < 0.25


@pytest.mark.parametrize("method", ["tsne", pytest.param("umap", marks=pytest.mark.slow)])  # which compiles itself
def test_projections_repeat_and_keep_groups_together(method, groups):
    x, true = groups
    points = cluster.project(x, method=method, seed=0)
    assert points.shape == (45, 2)
    assert np.array_equal(points, cluster.project(x, method=method, seed=0))
    assert metrics.silhouette(points, true) > 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: cluster.fit_predict("birch", x, 3), "name must be one of kmeans, .*, got 'birch'"),
        (lambda x: cluster.fit_predict("gmm", x * np.nan, 3), "x must be finite: 270 value.s. are NaN"),
        (lambda x: cluster.fit_predict("kmeans", x, 46), "k must be a whole number from 2 to 45, got 46"),
        (lambda x: cluster.fit_predict("kmeans", x, 3, seed=-1), "seed must be a whole number of at least 0, got -1"),
        (lambda x: cluster.fit_predict("spectral", x, 3, neighbours=45), "neighbours must be .* from 1 to 44"),
        (lambda x: cluster.fit_predict("agglomerative", x, 3, linkage="near"), "'linkage' parameter .* Got 'near'"),
        (lambda x: cluster.knee([3.0, 1.0]), "curve must be at least two values sorted upwards"),
        (lambda x: cluster.per_seed("kmeans", x, 3, seeds=[]), "seeds must be a list of at least 1"),
        (lambda x: cluster.per_seed("kmeans", np.stack([x, x]), 3, seeds=1), "one space per seed .1., got 2"),
        (lambda x: cluster.co_association(np.zeros((2, 3))), "clusterings must be .* whole numbers.*, got float64"),
        (lambda x: cluster.co_association([[0, -2]]), "clusterings must be .* -1 .noise. or clusters from 0 up"),
        (lambda x: cluster.consensus([[0, 1, 1]], 3, seed=0), "k must be a whole number from 2 to 2, got 3"),
        (lambda x: cluster.stability([[0, 1, 1]]), "clusterings must hold at least two clusterings to compare, got 1"),
        (lambda x: cluster.k_scores(x, [3], clusterer="dbscan"), "clusterer must be one of kmeans, .*, got 'dbscan'"),
        (lambda x: cluster.k_scores(x, [3], seeds=1), "seeds must be a whole number from 2 to 10000, got 1"),
        (lambda x: cluster.k_scores(x, [3], share=0.5), "share must be a number in .0.5, 1., got 0.5"),
        (lambda x: cluster.project(x[:10], method="tsne", seed=0), "neighbours must be a whole number from 2 to 9"),
    ],
)
def test_bad_input_is_one_clear_error(groups, call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call(groups[0])
    assert isinstance(caught.value, ParameterError) or "linkage" in message  # an option is scikit-learn's to check
