"""Clusterings and projections repeat from a seed, find what is there and refuse what they cannot do."""

import warnings
from functools import partial

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.cluster import KMeans

from vae_lib import cluster, metrics
from vae_lib.checks import ParameterError

# Every clusterer with each of its options that changes how it works.
METHODS = {
    "kmeans": cluster.CLUSTERERS["kmeans"],
    "ward": cluster.CLUSTERERS["agglomerative"],
    "average": partial(cluster.CLUSTERERS["agglomerative"], linkage="average"),
    "complete": partial(cluster.CLUSTERERS["agglomerative"], linkage="complete"),
    "gmm full": cluster.CLUSTERERS["gmm"],
    "gmm diag": partial(cluster.CLUSTERERS["gmm"], covariance="diag"),
    "spectral": cluster.CLUSTERERS["spectral"],
    "dbscan": partial(cluster.CLUSTERERS["dbscan"], eps=6.0),
}
TAKES_K = [name for name in METHODS if name != "dbscan"]


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
    rng = np.random.default_rng(seed)
    k = true.max() + 1
    return np.stack(
        [
            np.where(rng.random(len(true)) < kept, rng.permutation(k)[true], rng.integers(k, size=len(true)))
            for _ in range(size)
        ]
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_clusterer_finds_groups_that_are_apart_whatever_the_order_of_the_tracks(method, groups):
    x, true = groups
    order = np.random.default_rng(2).permutation(len(x))
    assert same_partition(true, METHODS[method](x, 3, seed=0))
    assert same_partition(true[order], METHODS[method](x[order], 3, seed=0))


@pytest.mark.parametrize("method", METHODS)
def test_every_clusterer_repeats_and_leaves_its_input_alone(method, cloud):
    before = cloud.copy()
    labels = METHODS[method](cloud, 4, seed=3)
    assert labels.shape == (60,)
    assert np.issubdtype(labels.dtype, np.integer)
    assert np.array_equal(labels, METHODS[method](cloud, 4, seed=3))
    assert np.array_equal(cloud, before)


@pytest.mark.parametrize("k", [2, 7])
@pytest.mark.parametrize("method", TAKES_K)
def test_a_clusterer_that_takes_k_gives_k_clusters_where_nothing_is_to_be_found(method, k, cloud):
    assert set(METHODS[method](cloud, k, seed=0)) == set(range(k))


@pytest.mark.parametrize("linkage", cluster.LINKAGES)
def test_agglomeration_does_not_depend_on_the_order_of_the_tracks(linkage, cloud):
    order = np.random.default_rng(2).permutation(len(cloud))
    labels = cluster.agglomerative(cloud, 5, linkage=linkage)
    assert same_partition(labels[order], cluster.agglomerative(cloud[order], 5, linkage=linkage))


@pytest.mark.parametrize("covariance", cluster.COVARIANCES)
def test_a_mixture_stays_proper_with_fewer_tracks_than_features_and_features_that_do_not_vary(covariance):
    x = np.random.default_rng(0).normal(size=(40, 60))
    x[:, :5] = 1.0
    x[20:, 5:] += 4
    labels = cluster.gmm(x, 2, seed=0, covariance=covariance)
    assert same_partition(labels, np.repeat([0, 1], 20))


def test_a_mixture_sees_shapes_that_k_means_cannot():
    true = np.repeat([0, 1], 100)
    x = np.random.default_rng(0).normal(size=(200, 8)) * np.where(true == 0, 0.3, 3)[:, None]  # one inside the other
    assert metrics.ari(true, cluster.gmm(x, 2, seed=0)) > 0.95
    assert metrics.ari(true, cluster.kmeans(x, 2, seed=0)) < 0.2


def test_spectral_takes_parts_that_nothing_joins_for_clusters_and_does_not_warn(groups):
    x, true = groups
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same_partition(true, cluster.spectral(x, 3, seed=0, neighbours=3))


def test_spectral_follows_a_ring_that_k_means_cuts():
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    x = np.concatenate([5 * ring, 0.5 * ring[::3]])
    true = np.repeat([0, 1], [120, 40])
    assert same_partition(true, cluster.spectral(x, 2, seed=0, neighbours=5))
    assert metrics.ari(true, cluster.kmeans(x, 2, seed=0)) < 0.5


@pytest.mark.parametrize(("n", "d", "k"), [(40, 3, 2), (100, 53, 10), (256, 1, 2), (256, 16, 10)])
def test_kmeans_of_few_tracks_gives_the_labels_of_scikit_learn(n, d, k):
    rng = np.random.default_rng(n)
    for seed in range(8):
        x = 1e7 + rng.normal(size=(n, d)) * rng.gamma(1, size=d)  # far off, where products of rows lose all digits
        expected = KMeans(k, n_init=10, random_state=seed).fit_predict(x)
        np.testing.assert_array_equal(cluster._batched_kmeans(x, k, seed, 10), expected)
        np.testing.assert_array_equal(cluster.kmeans(x, k, seed=seed), expected)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_kmeans_puts_copies_of_a_track_together_even_if_that_leaves_fewer_than_k_clusters():
    x = np.repeat([[0.0, 0.0], [1.0, 5.0]], 10, axis=0)
    assert same_partition(cluster.kmeans(x, 4, seed=0), np.repeat([0, 1], 10))


def test_kmeans_can_give_every_track_its_own_cluster(cloud):
    assert len(np.unique(cluster.kmeans(cloud, 60, seed=0))) == 60


def test_more_than_a_few_tracks_are_clustered_alike(groups):
    x = np.random.default_rng(0).normal(size=(400, 4)) + np.repeat(20.0 * np.eye(4), 100, axis=0)
    assert same_partition(cluster.kmeans(x, 4, seed=0), np.repeat(np.arange(4), 100))


def test_the_knee_is_the_corner_of_a_curve():
    corner = np.concatenate([np.linspace(1, 2, 80), np.linspace(2, 12, 21)[1:]])
    assert cluster.knee(corner) == 79
    assert cluster.knee(1000 * corner) == 79
    x = np.linspace(0, 1, 101)
    assert cluster.knee(x**2) == 50  # where the slope is that of the chord, x = 1/2
    assert cluster.knee(np.full(10, 3.0)) == 9  # no knee: everything is in reach
    assert cluster.knee(x) == 100


def test_k_distances_are_those_of_a_known_layout_and_say_which_tracks_dbscan_takes_for_cores():
    line = np.arange(6.0)[:, None]
    np.testing.assert_allclose(cluster.k_distances(line, 1), np.ones(6))
    np.testing.assert_allclose(cluster.k_distances(line, 2), [1, 1, 1, 1, 2, 2])
    assert (cluster.dbscan(line, neighbours=2, eps=0.9) == -1).all()
    assert (cluster.dbscan(line, neighbours=2, eps=1.1) == 0).all()
    assert (cluster.dbscan(line, neighbours=3, eps=1.1) == -1).all()  # within 1 of each there are two others at most


def test_dbscan_chooses_its_reach_from_the_data_and_leaves_the_strays_out(groups):
    x, true = groups
    strays = 30.0 * np.array([[-1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, -1, 1]])
    labels = cluster.dbscan(np.concatenate([x, strays]), neighbours=4)
    assert (labels[45:] == -1).all()
    inside = labels[:45] >= 0
    assert inside.mean() > 0.9
    assert same_partition(true[inside], labels[:45][inside])


def test_dbscan_takes_copies_for_one_cluster():
    assert (cluster.dbscan(np.ones((12, 3))) == 0).all()


def test_per_seed_uses_each_seeds_own_space(groups):
    x, true = groups
    spaces = np.stack([x, np.zeros_like(x) + np.arange(45)[:, None]])
    found = cluster.kmeans_per_seed(spaces, 3, seeds=[4, 5])
    assert same_partition(true, found[0])
    assert np.array_equal(found[1], cluster.kmeans(spaces[1], 3, seed=5))
    ward = cluster.per_seed("agglomerative", spaces, 3, seeds=[4, 5], linkage="complete")
    assert np.array_equal(ward[1], cluster.agglomerative(spaces[1], 3, linkage="complete"))


def test_per_seed_hands_seed_and_options_to_the_clusterer(cloud):
    found = cluster.per_seed("kmeans", cloud, 4, seeds=[1, 2, 3], n_init=1)
    assert np.array_equal(found, [cluster.kmeans(cloud, 4, seed=seed, n_init=1) for seed in (1, 2, 3)])
    assert not same_partition(found[0], found[1])
    own = cluster.per_seed(lambda x, k, *, seed: np.full(len(x), seed % k), cloud, 4, seeds=[2, 7])
    assert np.array_equal(own, np.repeat([[2], [3]], 60, axis=1))


def test_per_seed_runs_a_clusterer_without_starts_once_for_one_space(cloud):
    calls = []
    once = cluster.Clusterer("own", lambda x, k: calls.append(k) or np.arange(len(x)) % k, takes_seed=False)
    assert cluster.per_seed(once, cloud, 4, seeds=range(5)).shape == (5, 60)
    assert calls == [4]


def test_co_association_is_the_share_of_clusterings_that_put_two_tracks_together():
    rng = np.random.default_rng(0)
    clusterings = rng.integers(-1, 4, size=(7, 30))
    expected = [
        [np.mean([a[i] == a[j] and (a[i] >= 0 or i == j) for a in clusterings]) for j in range(30)] for i in range(30)
    ]
    np.testing.assert_allclose(cluster.co_association(clusterings), np.maximum(expected, np.eye(30)))


@pytest.mark.parametrize("method", cluster.CONSENSUS)
def test_consensus_recovers_what_no_single_clustering_sees(method):
    true = np.repeat(np.arange(5), 24)
    ensemble = noisy_ensemble(true, size=30, kept=0.6, seed=0)
    found = cluster.consensus(ensemble, 5, seed=0, method=method)
    assert metrics.ari(true, found) > 0.9 > 0.5 > max(metrics.ari(true, labels) for labels in ensemble)
    assert np.array_equal(found, cluster.consensus(ensemble, 5, seed=0, method=method))
    renamed = np.stack([np.random.default_rng(row).permutation(5)[labels] for row, labels in enumerate(ensemble)])
    assert same_partition(found, cluster.consensus(renamed, 5, seed=0, method=method))


@pytest.mark.parametrize("method", cluster.CONSENSUS)
def test_consensus_of_one_opinion_is_that_opinion_and_does_not_warn(method):
    true = np.repeat(np.arange(4), [3, 10, 20, 30])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the graph falls apart into four
        assert same_partition(true, cluster.consensus(np.stack([true] * 5), 4, seed=0, method=method))


def test_a_track_without_company_is_no_cluster_of_the_spectral_consensus():
    true = np.repeat(np.arange(3), 20)
    ensemble = noisy_ensemble(true, size=20, kept=0.8, seed=1)
    ensemble[:, 0] = -1  # noise in every clustering
    assert np.bincount(cluster.consensus(ensemble, 3, seed=0)).min() > 10
    assert np.bincount(cluster.consensus(ensemble, 3, seed=0, method="average")).min() == 1


def test_stability_is_one_for_one_partition_and_zero_for_chance():
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=300)
    assert cluster.stability(np.stack([labels, (labels + 1) % 4, 3 - labels])) == 1.0
    assert abs(cluster.stability(rng.integers(4, size=(12, 300)))) < 0.01  # sd 0.0005 over draws of this size
    half = np.stack([labels, labels, rng.integers(4, size=300)])
    assert cluster.stability(half) == pytest.approx((1 + 2 * metrics.ari(labels, half[2])) / 3)


def test_agreeing_on_what_is_noise_is_less_than_finding_a_cluster():
    clusterings = np.random.default_rng(0).integers(3, size=(4, 200))
    clusterings[:, ::2] = -1
    assert cluster.stability(clusterings) < 0.35
    assert cluster.stability(np.where(clusterings == -1, 3, clusterings)) > 0.7


@pytest.mark.parametrize("clusterer", ["kmeans", "agglomerative", "gmm", "spectral"])
def test_k_scores_find_three_groups(clusterer, groups):
    rows = cluster.k_scores(groups[0], [2, 3, 4, 5], clusterer=clusterer, seeds=range(5))
    assert [row["k"] for row in rows] == [2, 3, 4, 5]
    stability, silhouette = (np.array([row[score] for row in rows]) for score in ("stability", "silhouette"))
    assert stability[1] == 1.0
    assert stability.argmax() == silhouette.argmax() == 1
    assert stability[2:].max() < 0.95
    assert ("bic" in rows[0]) == (clusterer == "gmm")


def test_bic_finds_the_number_of_gaussians():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)) + np.repeat([[0, 0], [8, 0], [0, 8]], 100, axis=0)
    rows = cluster.k_scores(x, [2, 3, 4], clusterer="gmm", seeds=[0, 1], covariance="full")
    assert np.argmin([row["bic"] for row in rows]) == 1


def test_k_scores_are_low_where_there_is_one_group():
    x = np.random.default_rng(0).normal(size=(120, 6))
    assert all(row["stability"] < 0.6 and row["silhouette"] < 0.25 for row in cluster.k_scores(x, [3, 5]))


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


@pytest.mark.parametrize("method", METHODS)
def test_every_clusterer_says_where_its_input_is_not_finite(method, cloud):
    cloud[7, 2] = np.nan
    with pytest.raises(ParameterError, match=r"x must be finite: 1 value\(s\) are NaN or infinite, the first in row 7"):
        METHODS[method](cloud, 3, seed=0)


@pytest.mark.parametrize("k", [1, 61, 2.0])
@pytest.mark.parametrize("method", TAKES_K)
def test_every_clusterer_that_takes_k_says_which_it_can_do(method, k, cloud):
    most = 59 if method == "spectral" else 60
    with pytest.raises(ParameterError, match=f"k must be a whole number from 2 to {most}, got {k}"):
        METHODS[method](cloud, k, seed=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: cluster.kmeans(x, 3, seed=-1), "seed must be a whole number of at least 0, got -1"),
        (lambda x: cluster.agglomerative(x, 3, linkage="single"), "linkage must be one of ward, average, complete"),
        (lambda x: cluster.gmm(x, 3, seed=0, covariance="tied"), "covariance must be one of full, diag, got 'tied'"),
        (lambda x: cluster.gmm(x, 3, seed=0, regularisation=0), "regularisation must be a number in .0, inf., got 0"),
        (lambda x: cluster.spectral(x, 3, seed=0, neighbours=45), "neighbours must be a whole number from 1 to 44"),
        (lambda x: cluster.k_distances(x, 45), "neighbours must be a whole number from 1 to 44, got 45"),
        (lambda x: cluster.knee([3.0, 1.0]), "curve must be at least two values sorted upwards"),
        (lambda x: cluster.dbscan(x, eps=0), "eps must be a number in .0, inf., got 0"),
        (lambda x: cluster.dbscan(x, neighbours=0), "neighbours must be a whole number from 1 to 44, got 0"),
        (lambda x: cluster.per_seed("birch", x, 3, seeds=[0]), "clusterer must be one of kmeans, .*, got 'birch'"),
        (lambda x: cluster.per_seed("kmeans", x, 3, seeds=[]), "seeds must hold at least one seed, got none"),
        (
            lambda x: cluster.kmeans_per_seed(np.stack([x, x]), 3, seeds=[0]),
            "x must hold one space per seed .1., got 2",
        ),
        (lambda x: cluster.co_association(np.zeros((2, 3))), "clusterings must be .* whole numbers .*, got float64"),
        (lambda x: cluster.co_association([0, 1, 1]), r"clusterings must be .*, got int64 of shape \(3,\)"),
        (lambda x: cluster.co_association([[0, -2]]), "clusterings must be -1 .noise. or clusters from 0 up, got -2"),
        (lambda x: cluster.consensus([[0, 1, 1]], 3, seed=0), "k must be a whole number from 2 to 2, got 3"),
        (
            lambda x: cluster.consensus([[0, 1, 1]], 2, seed=0, method="vote"),
            "method must be one of spectral, average, got 'vote'",
        ),
        (lambda x: cluster.stability([[0, 1, 1]]), "clusterings must hold at least two clusterings to compare, got 1"),
        (lambda x: cluster.k_scores(x, [3], clusterer="dbscan"), "clusterer must be one that takes k, got 'dbscan'"),
        (lambda x: cluster.k_scores(x, [37]), "k must be a whole number from 2 to 36, got 37"),
        (lambda x: cluster.k_scores(x, [3], seeds=[0]), "seeds must hold at least two seeds to compare, got 1"),
        (lambda x: cluster.k_scores(x, [3], share=0.5), "share must be a number in .0.5, 1., got 0.5"),
        (lambda x: cluster.pca(x, 7), "components must be a whole number from 1 to 6, got 7"),
        (lambda x: cluster.project(x, method="mds", seed=0), "method must be one of tsne, umap, got 'mds'"),
        (lambda x: cluster.project(x[:10], method="tsne", seed=0), "neighbours must be a whole number from 2 to 9"),
    ],
)
def test_bad_input_is_one_clear_error(groups, call, message):
    with pytest.raises(ParameterError, match=message):
        call(groups[0])
