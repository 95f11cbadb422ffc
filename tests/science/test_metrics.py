"""Properties of every metric over the registry, agreement with scikit-learn, and chance levels that are right."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import pdist
from sklearn import metrics as sklearn_metrics

from vae_lib import cluster, metrics
from vae_lib.checks import ParameterError
from vae_lib.metrics import LABEL_METRICS, METRICS, SPACE_METRICS, agreement, shape

SYMMETRIC = ("ari", "ami", "nmi", "accuracy")

labellings = st.integers(2, 40).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 6), min_size=n, max_size=n)] * 2))


def blobs(k=3, per=20, seed=0, spread=0.1):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(k, 4))
    return np.repeat(centres, per, axis=0) + spread * rng.normal(size=(k * per, 4)), np.repeat(np.arange(k), per)


def kmeans(k):
    return lambda cloud, draw: cluster.fit_predict("kmeans", cloud, k, seed=draw, n_init=2)


def score(*values, metric="ari", space="labels", **more):
    return metrics.Score(metric, space, np.array(values), **more)


# Agreement with labels.


@pytest.mark.parametrize("name", LABEL_METRICS)
@given(pair=labellings)
@settings(max_examples=50, deadline=None)
def test_label_metrics_stay_in_their_range_and_ignore_names_and_order(name, pair):
    true, pred = map(np.array, pair)
    function = METRICS[name].function
    found = function(true, pred)
    assert METRICS[name].low - 1e-9 <= found <= METRICS[name].high + 1e-9
    order = np.random.default_rng(0).permutation(len(true))
    renamed = np.array(["zyxwvut"[label] for label in pred])
    assert function(true[order], renamed[order]) == pytest.approx(found, abs=1e-9)
    assert function(true, (true * 7 + 3) % 101) == pytest.approx(1.0)
    if name in SYMMETRIC:
        assert function(pred, true) == pytest.approx(found, abs=1e-9)


@given(pair=labellings)
@settings(max_examples=60, deadline=None)
@example(([0] * 9, [1] * 9))  # one class, one cluster
@example(([0] * 9, [*range(9)]))
@example(([*range(9)], [*range(9)]))
def test_label_metrics_equal_those_of_scikit_learn(pair):
    true, pred = pair
    assert metrics.ari(true, pred) == pytest.approx(sklearn_metrics.adjusted_rand_score(true, pred), abs=1e-9)
    assert metrics.nmi(true, pred) == pytest.approx(sklearn_metrics.normalized_mutual_info_score(true, pred), abs=1e-9)
    reference = sklearn_metrics.adjusted_mutual_info_score(true, pred)
    assert metrics.ami(true, pred) == pytest.approx(reference, abs=1e-9)


def test_a_track_apart_among_many_is_no_identical_partition():
    true, pred = np.zeros(500_000, dtype=int), np.zeros(500_000, dtype=int)
    true[0] = pred[1] = 1
    assert metrics.ari(true, pred) == pytest.approx(0.0, abs=1e-5)


def test_many_tables_at_once_score_as_scikit_learn_scores_each(monkeypatch):
    rng = np.random.default_rng(0)
    true, pred = rng.integers(0, 12, 700), np.append(rng.integers(0, 5, 650), np.arange(5, 55))  # with singletons
    shuffled = np.random.default_rng(0).permuted(np.broadcast_to(true, (5, 700)), axis=1)
    expected = [sklearn_metrics.adjusted_mutual_info_score(classes, pred) for classes in shuffled]
    for block in (agreement.BLOCK, 12 * 55 * 2):  # two tables at a time
        monkeypatch.setattr(agreement, "BLOCK", block)
        ami = metrics.external_scores(true, pred, permutations=5, subsamples=0)[LABEL_METRICS.index("ami")]
        np.testing.assert_allclose(ami.null, expected, rtol=0, atol=1e-12)


def test_purity_and_accuracy_by_hand():
    true, pred = ["a", "a", "a", "b", "b", "c"], [0, 0, 1, 1, 1, 1]
    assert metrics.purity(true, pred) == pytest.approx(4 / 6)  # cluster 0: two of a; cluster 1: two of b
    assert metrics.accuracy(true, pred) == pytest.approx(4 / 6)
    assert metrics.accuracy([0, 0, 1, 1], [0, 1, 2, 3]) == pytest.approx(0.5)  # a class gets one cluster only
    assert metrics.purity([0, 0, 1, 1], [0, 1, 2, 3]) == 1.0


@pytest.mark.parametrize("spread", [0.1, 1.0, 100.0])
def test_a_planted_table_is_among_the_solutions_of_its_ari(spread):
    rng = np.random.default_rng(0)
    genre = np.arange(100) // 10
    for _ in range(50):
        clusters = np.concatenate([np.arange(10), rng.choice(10, 90, p=rng.dirichlet(np.full(10, spread)))])
        (table,) = metrics.contingency(genre, clusters)
        pairs = [int((counts * (counts - 1) // 2).sum()) for counts in (table, table.sum(0))]
        scores = sklearn_metrics.adjusted_rand_score(genre, clusters), metrics.purity(genre, clusters)
        found = metrics.ari_solutions(*scores, n=100, classes=10, clusters=10)
        assert pairs in [[one.together, one.same_cluster] for one in found]
        assert all(one.numerator / one.denominator == pytest.approx(scores[0], rel=1e-14) for one in found)


def test_an_ari_and_a_purity_that_no_table_has_have_no_solution():
    about = {"classes": 10, "clusters": 10}
    assert metrics.ari_solutions(65 / 1737, 0.31, n=100, **about)
    assert not metrics.ari_solutions(65 / 1737 + 1e-14, 0.31, n=100, **about), "another number"
    assert not metrics.ari_solutions(65 / 1737, 0.315, n=100, **about), "half a track"
    assert not metrics.ari_solutions(65 / 1737, 0.31, n=200, **about), "another number of tracks"


def test_chance_is_where_independent_labels_land():
    rng = np.random.default_rng(0)
    true = np.repeat(np.arange(10), 10)
    for found in metrics.external_scores(true, rng.integers(0, 10, 100), permutations=300):
        fresh = [METRICS[found.metric].function(rng.permutation(true), rng.integers(0, 10, 100)) for _ in range(300)]
        assert found.chance == pytest.approx(np.mean(fresh), abs=0.01)
        assert found.metric not in ("ari", "ami") or found.chance == pytest.approx(0.0, abs=0.01)


def test_the_null_of_several_seeds_is_that_of_their_mean():
    rng = np.random.default_rng(0)
    true, pred = np.repeat(np.arange(4), 15), rng.integers(0, 4, 60)
    once, twice = (metrics.external_scores(true, of, permutations=50) for of in (pred, [pred, pred]))
    for one, two in zip(once, twice, strict=True):
        np.testing.assert_allclose(one.null, two.null)  # equal seeds add nothing, so they must not narrow the null


def test_a_score_sums_up_its_seeds():
    found = score(0.1, 0.2, 0.6, null=np.array([0.0, 0.3, 0.4]))
    assert (found.mean, found.chance) == (pytest.approx(0.3), pytest.approx(0.7 / 3))
    expected = stats.t.interval(0.95, 2, loc=0.3, scale=stats.sem(found.values))
    assert found.interval == (pytest.approx(expected[0]), pytest.approx(expected[1]))
    assert found.p_value == pytest.approx((1 + 2) / (1 + 3))
    assert found._replace(metric="davies_bouldin").p_value == pytest.approx((1 + 2) / (1 + 3))
    assert np.isnan(found._replace(values=np.array([0.1])).sd)
    level = found._replace(null=np.array([0.25]))  # alone it is no distribution
    assert (level.chance, np.isnan(level.p_value)) == (0.25, True)


# Shape.


@pytest.mark.parametrize("name", SPACE_METRICS)
@given(
    labels=st.lists(st.integers(0, 5), min_size=4, max_size=30).filter(lambda found: 1 < len(set(found)) < len(found)),
    values=st.lists(st.integers(-3, 3), min_size=60, max_size=60),
    scale=st.sampled_from([2.0**-10, 1.0, 2.0**13]),
)
@settings(max_examples=80, deadline=None)
@example(labels=[0, 0, 1, 1, 2, 2], values=[1, 1] * 5 + [2, 2] * 25, scale=1.0)  # constant values, one track apart
def test_space_metrics_equal_those_of_scikit_learn_wherever_rounding_cannot_decide(name, labels, values, scale):
    # Few different coordinates: tracks that coincide and clusters without spread occur. Where centres coincide,
    # scikit-learn's value is that of its rounding: see the next test.
    x = np.reshape(values, (30, 2))[: len(labels)] * scale
    centres = np.array([x[np.equal(labels, label)].mean(0) for label in sorted(set(labels))])
    if pdist(centres).min() < 1e-9 * scale:
        return
    reference = getattr(sklearn_metrics, {"silhouette": "silhouette_score"}.get(name, f"{name}_score"))
    function, expected = METRICS[name].function, reference(x, labels)
    assert function(x, labels) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    order = np.random.default_rng(0).permutation(len(labels))
    moved = function(x[order] + scale, [f"cluster {label}" for label in np.array(labels)[order]])
    assert moved == pytest.approx(expected, rel=1e-9, abs=1e-9)


DEGENERATE = {
    "all tracks equal": ([0.0] * 6, {"silhouette": 0.0, "calinski_harabasz": 1.0, "davies_bouldin": 0.0}),
    "no spread within": ([0.0, 0, 1, 1, 3, 3], {"silhouette": 1.0, "calinski_harabasz": 1.0, "davies_bouldin": 0.0}),
    "one centre": ([-1.0, 1, -1, 1, -1, 1], {"silhouette": -0.5, "calinski_harabasz": 0.0, "davies_bouldin": 0.0}),
    "two of three centres": ([-1.0, 1, -2, 2, 5, 7], {"davies_bouldin": 4 / 9}),
    "copies in two clusters": ([0.0, 0, 0, 0, 1, 1], {"silhouette": 1 / 3, "calinski_harabasz": 1.0}),
}


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("offset", [0.0, 0.1, 1e7 / 3])
def test_degenerate_inputs_have_the_values_that_the_page_says_whatever_the_rounding(case, offset):
    values, expected = DEGENERATE[case]
    for scale in (1e-3, 0.7, 1e5):
        x = np.outer(values, [scale, scale / 3]) + offset
        for name, value in expected.items():
            assert METRICS[name].function(x, [0, 0, 1, 1, 2, 2]) == pytest.approx(value, abs=1e-5), (name, scale)


def test_a_space_shared_by_all_seeds_scores_as_one_space_per_seed(monkeypatch):
    x, labels = blobs()
    seeds = [labels, np.roll(labels, 3), np.arange(60) % 2]  # clusterings need not have equally many clusters
    each = metrics.internal_scores(np.stack([x] * 3), seeds)
    monkeypatch.setattr(shape, "BLOCK", 7 * 60)  # distances of seven tracks at a time
    for one, other in zip(metrics.internal_scores(x, seeds), each, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=1e-12)


@pytest.mark.parametrize("d", [3, 60])
def test_the_chance_level_of_a_space_is_what_a_gaussian_cloud_scores_and_clusters_exceed_it(d):
    rng = np.random.default_rng(d)
    x = rng.normal(size=(40, d)) * np.linspace(1, 3, d)
    null = metrics.gaussian_null(x, kmeans(4), draws=40)
    for found in metrics.internal_scores(x, cluster.per_seed("kmeans", x, 4, seeds=5), null=null):
        assert 0.01 < found.p_value < 0.99, (found.metric, found.mean, found.chance)
    x, labels = blobs(spread=0.2)
    for found in metrics.internal_scores(x, labels, null=metrics.gaussian_null(x, kmeans(3), draws=20)):
        assert found.p_value == pytest.approx(1 / 21), found.metric


def test_gaussian_clouds_keep_mean_and_covariance():
    x, seen = blobs()[0], []
    metrics.gaussian_null(x, lambda cloud, draw: seen.append(cloud) or np.arange(len(cloud)) % 2, draws=2)
    for cloud in seen:
        np.testing.assert_allclose(cloud.mean(0), x.mean(0), atol=1e-9)
        np.testing.assert_allclose(np.cov(cloud.T), np.cov(x.T), atol=1e-9)
    assert not np.allclose(*seen)


def test_an_undefined_score_is_nan_with_its_reason_over_seeds_and_an_error_by_itself():
    x, labels = blobs()
    null = metrics.gaussian_null(x, lambda cloud, draw: np.arange(60) % (draw % 2 + 1), draws=9)  # one cluster, or two
    for found in metrics.internal_scores(x, [labels, np.zeros_like(labels)]):
        assert np.isnan(found.values).tolist() == [False, True]
        assert (
            found.reason
            == "undefined for 1 of 2 seeds: labels_pred must have from 2 to 59 clusters for 60 tracks, got 1"
        )
        for undefined in (np.zeros_like(labels), np.arange(60)):
            with pytest.raises(metrics.UndefinedError, match="labels_pred must have from 2 to 59 clusters"):
                METRICS[found.metric].function(x, undefined)
    for found in metrics.internal_scores(x, labels, null=null):  # a cloud without clusters does worse than any score
        assert np.isnan(found.null).tolist() == [True, False] * 4 + [True]
        assert found.chance == pytest.approx(np.mean(found.null[1::2]))
        assert (found.p_value, found.reason) == (pytest.approx(1 / 10), "")


# Noise.


def test_noise_is_an_error_until_the_caller_says_what_it_counts_as():
    x, labels = blobs()
    noisy = np.where(np.arange(60) % 10 == 0, -1, labels)
    calls = [lambda name=name: METRICS[name].function(labels, noisy) for name in LABEL_METRICS]
    calls += [lambda name=name: METRICS[name].function(x, noisy) for name in SPACE_METRICS]
    calls += [
        lambda: metrics.external_scores(labels, [labels, noisy]),
        lambda: metrics.subsample_interval(labels, noisy),
        lambda: metrics.internal_scores(x, noisy),
        lambda: metrics.gaussian_null(x, lambda cloud, draw: noisy),
        lambda: metrics.compare_clusterings(labels, labels, noisy),
    ]
    for call in calls:
        with pytest.raises(ParameterError, match=r'6 noise track.*noise="singletons" or noise="cluster"'):
            call()
    assert metrics.ari(np.where(labels == 0, -1, labels), labels) == 1.0  # a class may be called −1


def test_noise_counts_as_singletons_or_as_one_cluster():
    noisy = np.array([[-1, 0, 0, -1, 2], [1, 1, 1, 0, 0]])
    before = noisy.copy()
    assert metrics.without_noise(noisy, noise="singletons").tolist() == [[3, 0, 0, 4, 2], [1, 1, 1, 0, 0]]
    assert metrics.without_noise(noisy, noise="cluster").tolist() == [[3, 0, 0, 3, 2], [1, 1, 1, 0, 0]]
    assert metrics.without_noise([-1, -1], noise="singletons").tolist() == [0, 1]
    assert metrics.coverage(noisy).tolist() == [0.6, 1.0]
    np.testing.assert_array_equal(noisy, before)


def test_giving_up_on_tracks_costs_agreement_and_never_improves_a_shape():
    x, labels = blobs()
    hard = np.where(np.arange(60) % 20 < 12, -1, labels)  # what is left is clustered without fault
    for noise in metrics.NOISE:
        ari = metrics.external_scores(labels, hard, noise=noise, permutations=99, subsamples=100)[0]
        assert ari.mean == pytest.approx(metrics.ari(labels, metrics.without_noise(hard, noise=noise)))
        assert ari.tracks[0] < ari.mean < min(0.5, ari.tracks[1])
    whole = {found.metric: found.mean for found in metrics.internal_scores(x, labels)}
    for found in metrics.internal_scores(x, hard, noise="cluster"):
        assert found.mean < whole[found.metric] if METRICS[found.metric].greater_is_better else found.mean > 1
    null = dict.fromkeys(SPACE_METRICS, np.array([0.1, 0.2]))
    for found in metrics.internal_scores(x, [labels, hard], null=null, noise="singletons"):
        assert len(found.null) == 0  # of clusterings whose shape is defined, so not a chance level of this one
        assert found.values == pytest.approx([whole[found.metric], np.nan], nan_ok=True)
        assert found.reason == "undefined for 1 of 2 seeds: noise as singletons has no shape"


# Pairs of tracks.


# Intervals over tracks, and comparisons.


def fixed_clusters(rng, *, n, k=3, seeds=2, right=0.7):
    """Classes of n fresh tracks, and clusters that do not depend on which tracks these are."""
    classes = rng.integers(0, k, n)
    return classes, np.where(rng.random((seeds, n)) < right, classes, rng.integers(0, k, (seeds, n)))


@pytest.mark.slow
def test_the_interval_over_tracks_holds_what_other_tracks_score():
    rng = np.random.default_rng(0)
    many = [metrics.external_scores(*fixed_clusters(rng, n=120), permutations=1, subsamples=0) for _ in range(400)]
    expected = {found.metric: np.mean([scores[at].mean for scores in many]) for at, found in enumerate(many[0])}
    found = [metrics.subsample_interval(*fixed_clusters(rng, n=120), draws=200, seed=draw) for draw in range(150)]
    for name in LABEL_METRICS:
        covered = np.mean([low <= expected[name] <= high for low, high in (of[name] for of in found)])
        assert 0.88 <= covered <= 0.995, name  # nominal 0.95, standard error 0.018


def test_the_interval_over_tracks_stays_within_the_bounds_of_its_metric():
    classes = np.repeat(np.arange(3), 10)
    assert metrics.subsample_interval(classes, classes, draws=100) == dict.fromkeys(LABEL_METRICS, (1.0, 1.0))
    nearly = np.where(np.arange(30) == 0, 1, classes)
    assert all(high <= 1.0 for _, high in metrics.subsample_interval(classes, nearly, draws=100).values())


@pytest.mark.parametrize(("n", "known"), [(2, False), (3, True)])
def test_two_tracks_have_scores_and_no_interval_over_tracks(n, known):
    for score in metrics.external_scores(np.arange(n) % 2, np.zeros(n, int), permutations=9, subsamples=100):
        assert np.isfinite([score.mean, score.chance]).all()
        assert np.isfinite(score.tracks).all() == known


def drawn(rng, classes, right, *, seeds, spread=0.0):
    """Clusterings of a method that has tracks of its own that it gets wrong, and seeds of its own quality."""
    n = len(classes)
    hard, wrong = rng.random(n), rng.integers(0, 4, n)
    share = np.clip(right + spread * rng.normal(size=(seeds, 1)), 0, 1)
    luck = np.where(rng.random((seeds, n)) < 0.5, hard, rng.random((seeds, n)))
    return np.where(
        luck < share, classes, np.where(rng.random((seeds, n)) < 0.5, wrong, rng.integers(0, 4, (seeds, n)))
    )


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "spread"), [(10, 0.0), (10, 0.1), (1, 0.0)])
def test_methods_that_are_equally_good_are_told_apart_no_more_often_than_the_level_says(seeds, spread):
    rng, found, luck = np.random.default_rng(seeds), [], []
    for draw in range(100):
        classes = rng.integers(0, 4, 60)
        pair = [drawn(rng, classes, 0.6, seeds=seeds, spread=spread) for _ in range(2)]
        found.append(metrics.compare_clusterings(classes, *pair, draws=100, seed=draw))
        if seeds > 1:
            scores = (score(*(metrics.ari(classes, labels) for labels in of)) for of in pair)
            luck.append(metrics.compare(*scores).p_value <= 0.05)
    assert np.mean([of.p_value <= 0.05 for of in found]) <= 0.115  # three standard errors above the level
    assert np.mean([of.low <= 0 <= of.high for of in found]) >= 0.885
    if not spread and seeds > 1:
        assert np.mean(luck) > 0.12  # what a test over seeds alone would have said of these tracks


def test_a_difference_over_seeds_and_tracks_has_the_interval_of_whichever_varies():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 4, 400)
    one, other = (drawn(rng, classes, right, seeds=6) for right in (0.8, 0.6))
    found = metrics.compare_clusterings(classes, one, other)
    turned = metrics.compare_clusterings(classes, other, one)
    assert 0 < found.low < found.difference < found.high
    assert found.difference == pytest.approx(-turned.difference)
    assert (found.low, found.high) == (pytest.approx(-turned.high), pytest.approx(-turned.low))
    assert found.p_value == found.floor == 2 / 2**6
    # One clustering each: the interval is over tracks. Seeds alone: each gets a share of its own right, anywhere.
    tracks = metrics.compare_clusterings(classes, one[0], other[0])
    assert tracks.seeds == (1, 1)
    assert tracks.floor == 2 / 1001
    assert 0 < tracks.low < tracks.high
    many = rng.integers(0, 4, 20_000)
    share, guess = np.array([[0.3], [0.5], [0.9]]), rng.integers(0, 4, 20_000)
    apart = [
        np.where(rng.random((3, 20_000)) < share, many, guess),
        np.where(rng.random((3, 20_000)) < 0.5, many, guess),
    ]
    wide = metrics.compare_clusterings(many, *apart, draws=400)
    over_seeds = metrics.compare(*(score(*(metrics.ari(many, labels) for labels in of)) for of in apart))
    assert wide.high - wide.low == pytest.approx(over_seeds.high - over_seeds.low, rel=0.25)
    assert metrics.compare_clusterings(classes, one, one)[2:7] == (0.0, 0.0, 0.0, 1.0, 0.5)


def test_a_paired_comparison_by_hand():
    found = metrics.compare(score(0.5, 0.6, 0.9), score(0.4, 0.5, 0.6))
    assert found.difference == pytest.approx(0.5 / 3)
    # differences .1, .1, .3: of the 8 ways to set their signs, all plus and all minus are as far from 0
    assert found.p_value == found.floor == pytest.approx(2 / 8)
    half = 4.302653 * np.std([0.1, 0.1, 0.3], ddof=1) / np.sqrt(3)
    assert (found.low, found.high) == (pytest.approx(0.5 / 3 - half), pytest.approx(0.5 / 3 + half))
    assert (found.superiority, found.seeds) == (1.0, (3, 3))


def test_an_unpaired_comparison_by_hand():
    first, second = score(0.5, 0.6, 0.9), score(0.6, 0.1)
    found = metrics.compare(first, second, paired=False)
    # Of the 10 ways to deal five seeds, {.1, .5} for the second is further out than {.1, .6}, of which there are two
    # because two seeds score .6: 3 in 10, twice for both sides.
    assert (found.p_value, found.floor) == (pytest.approx(0.6), pytest.approx(0.2))
    assert found.superiority == pytest.approx(4.5 / 6)  # .5 beats .1 only; .6 beats .1 and ties; .9 beats both
    expected = stats.ttest_ind(first.values, second.values, equal_var=False).confidence_interval()
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_a_comparison_knows_which_way_is_better():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.3, 0.1, 6), rng.normal(0.2, 0.1, 6)
    worse = metrics.compare(*(score(*of, metric="davies_bouldin", space="common") for of in (a, b)))
    assert worse[2:7] == pytest.approx(metrics.compare(score(*b), score(*a))[2:7])


def test_a_comparison_in_which_nothing_varies_has_no_test():
    found = metrics.compare(score(0.2, 0.2, 0.2), score(0.3, 0.3 + 1e-16, 0.3))
    assert found.difference == pytest.approx(-0.1)
    assert np.isnan([found.low, found.high, found.p_value]).all()  # one observation each, however often it is written
    same = metrics.compare(score(0.2, 0.2), score(0.2, 0.2 + 1e-17))
    assert (same.difference, same.low, same.p_value, same.superiority) == (0.0, 0.0, 1.0, 0.5)
    constant = metrics.compare(score(0.1, 0.2, 0.4), score(0.0, 0.1, 0.3))
    assert (constant.low, constant.high) == (pytest.approx(0.1), pytest.approx(0.1))


def test_holm_by_hand():
    assert metrics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert metrics.holm([0.5, np.nan, 0.4]) == pytest.approx([0.8, np.nan, 0.8], nan_ok=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.ari([0, 1], [0, 1, 1]), "labels_pred must have 2 labels, one per track, got 3"),
        (lambda: metrics.silhouette([[0.0], [np.nan], [1.0]], [0, 0, 1]), "x must be finite: 1 value.*row 1"),
        (lambda: metrics.internal_scores(np.zeros((3, 4, 2)), np.zeros((2, 4))), "one space per seed .2. or one"),
        (lambda: metrics.without_noise([0, -1], noise="drop"), "noise must be one of singletons, cluster, got 'drop'"),
        (lambda: metrics.subsample_interval([0, 1, 1], [0, 1, 1], share=1.0), "share must leave from 2 to 2 of 3"),
        (lambda: metrics.compare_clusterings([0, 1, 1], [0, 1, 1], [0, 0, 1], metric="silhouette"), "metric must be"),
        (
            lambda: metrics.compare_clusterings([0, 1] * 9, [[0, 1] * 9] * 2, [[1, 0] * 9] * 3),
            "to be paired, got .2, 3.",
        ),
        (lambda: metrics.holm([0.5, 1.5]), "p_values must be a number in .0, 1., got .*1.5"),
        (lambda: metrics.compare(score(1, 2), score(1, 2, metric="ami")), "same metric, got 'ari' and 'ami'"),
        (lambda: metrics.compare(*[score(1, 2, space="native")] * 2), "got 'native': compare in 'common'"),
        (lambda: metrics.compare(score(1, 2), score(1, 2, 3)), "as many seeds to be paired, got 2 and 3"),
        (lambda: metrics.compare(score(1, np.nan, reason="one cluster"), score(1, 2)), "every seed: one cluster"),
        (lambda: metrics.ari_solutions(0.1, 0.5, n=25, classes=10, clusters=10), "multiple of the 10 classes, got 25"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
