"""Properties of every metric over the registry, agreement with scikit-learn, and chance levels that are right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from vae_lib import cluster, metrics
from vae_lib.checks import ParameterError
from vae_lib.metrics import LABEL_METRICS, METRICS, SPACE_METRICS

SYMMETRIC = ("ari", "ami", "nmi", "accuracy")
CORRECTED = ("ari", "ami")

labellings = st.integers(2, 40).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 6), min_size=n, max_size=n)] * 2))


def blobs(k=3, per=20, seed=0, spread=0.1):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(k, 4))
    return np.repeat(centres, per, axis=0) + spread * rng.normal(size=(k * per, 4)), np.repeat(np.arange(k), per)


@pytest.mark.parametrize("name", LABEL_METRICS)
@given(pair=labellings)
@settings(max_examples=60, deadline=None)
def test_label_metrics_stay_in_their_range_and_ignore_names_and_order(name, pair):
    true, pred = map(np.array, pair)
    function = METRICS[name].function
    score = function(true, pred)
    assert METRICS[name].low - 1e-9 <= score <= METRICS[name].high + 1e-9
    order = np.random.default_rng(0).permutation(len(true))
    assert function(true[order], pred[order]) == pytest.approx(score, abs=1e-9)
    renamed = np.array(["zyxwvut"[label] for label in pred])
    assert function(true, renamed) == pytest.approx(score, abs=1e-9)
    if name in SYMMETRIC:
        assert function(pred, true) == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize("name", LABEL_METRICS)
@given(pair=labellings)
@settings(max_examples=40, deadline=None)
def test_a_perfect_labelling_scores_one(name, pair):
    true = np.array(pair[0])
    assert METRICS[name].function(true, (true * 7 + 3) % 101) == pytest.approx(1.0)


@given(pair=labellings)
@settings(max_examples=60, deadline=None)
def test_scores_equal_those_of_scikit_learn(pair):
    true, pred = pair
    assert metrics.ari(true, pred) == pytest.approx(sklearn_metrics.adjusted_rand_score(true, pred), abs=1e-9)
    assert metrics.nmi(true, pred) == pytest.approx(sklearn_metrics.normalized_mutual_info_score(true, pred), abs=1e-9)
    reference = sklearn_metrics.adjusted_mutual_info_score(true, pred)
    assert metrics.ami(true, pred) == pytest.approx(reference, abs=1e-9)


def test_many_tables_at_once_score_as_scikit_learn_scores_each():
    rng = np.random.default_rng(0)
    true, pred = rng.integers(0, 12, 700), np.append(rng.integers(0, 5, 650), np.arange(5, 55))  # with singletons
    ami = metrics.agreement(true, pred, permutations=5)[LABEL_METRICS.index("ami")]
    shuffled = np.random.default_rng(0).permuted(np.broadcast_to(true, (5, 700)), axis=1)
    expected = [sklearn_metrics.adjusted_mutual_info_score(classes, pred) for classes in shuffled]
    np.testing.assert_allclose(ami.null, expected, rtol=0, atol=1e-12)


def test_purity_and_accuracy_by_hand():
    true, pred = ["a", "a", "a", "b", "b", "c"], [0, 0, 1, 1, 1, 1]
    assert metrics.purity(true, pred) == pytest.approx(4 / 6)  # cluster 0: two of a; cluster 1: two of b
    assert metrics.accuracy(true, pred) == pytest.approx(4 / 6)
    assert metrics.accuracy([0, 0, 1, 1], [0, 1, 2, 3]) == pytest.approx(0.5)  # a class gets one cluster only
    assert metrics.purity([0, 0, 1, 1], [0, 1, 2, 3]) == 1.0


@pytest.mark.parametrize("name", LABEL_METRICS)
def test_chance_is_where_independent_labels_land(name):
    rng = np.random.default_rng(0)
    true = np.repeat(np.arange(10), 10)
    score = {s.metric: s for s in metrics.agreement(true, rng.integers(0, 10, 100), permutations=300)}[name]
    fresh = [METRICS[name].function(rng.permutation(true), rng.integers(0, 10, 100)) for _ in range(300)]
    assert score.chance == pytest.approx(np.mean(fresh), abs=0.01)
    if name in CORRECTED:
        assert score.chance == pytest.approx(0.0, abs=0.01)


def test_structure_is_found_and_the_p_value_is_as_small_as_the_draws_allow():
    x, true = blobs()
    scores = metrics.agreement(true, cluster.kmeans_per_seed(x, 3, seeds=[0, 1]), permutations=199)
    assert all(score.p_value == pytest.approx(1 / 200) for score in scores)
    assert all(score.mean == pytest.approx(1.0) for score in scores)


def test_the_null_of_several_seeds_is_that_of_their_mean():
    rng = np.random.default_rng(0)
    true, pred = np.repeat(np.arange(4), 15), rng.integers(0, 4, 60)
    once = metrics.agreement(true, pred, permutations=50)
    same_twice = metrics.agreement(true, [pred, pred], permutations=50)
    for one, two in zip(once, same_twice, strict=True):
        np.testing.assert_allclose(one.null, two.null)  # equal seeds add nothing, so they must not narrow the null


def test_a_score_sums_up_its_seeds():
    score = metrics.Score("ari", "labels", np.array([0.1, 0.2, 0.6]), np.array([0.0, 0.3, 0.4]))
    assert (score.mean, score.chance) == (pytest.approx(0.3), pytest.approx(0.7 / 3))
    assert score.sd == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1))
    low, high = score.interval
    assert (low + high) / 2 == pytest.approx(0.3)
    assert (high - low) / 2 == pytest.approx(4.302653 * score.sd / np.sqrt(3), rel=1e-5)  # t quantile, 2 degrees
    assert score.p_value == pytest.approx((1 + 2) / (1 + 3))
    lower_is_better = score._replace(metric="davies_bouldin")
    assert lower_is_better.p_value == pytest.approx((1 + 2) / (1 + 3))
    assert np.isnan(score._replace(values=np.array([0.1])).sd)
    assert np.isnan(score._replace(null=np.array([0.25])).p_value)  # a level alone is no distribution
    assert score._replace(null=np.array([0.25])).chance == 0.25


@pytest.mark.parametrize("name", SPACE_METRICS)
def test_space_metrics_prefer_tight_clusters_and_stay_in_their_range(name):
    metric, (x, labels) = METRICS[name], blobs()
    right, wrong = metric.function(x, labels), metric.function(x, np.roll(labels, 7))
    assert right > wrong if metric.greater_is_better else right < wrong
    assert metric.low <= right <= metric.high


@pytest.mark.parametrize("name", SPACE_METRICS)
@given(
    labels=st.lists(st.integers(0, 5), min_size=4, max_size=30).filter(lambda found: 1 < len(set(found)) < len(found)),
    values=st.lists(st.integers(-3, 3), min_size=60, max_size=60),
    scale=st.sampled_from([1e-3, 1.0, 1e4]),
)
@settings(max_examples=80, deadline=None)
def test_space_metrics_equal_those_of_scikit_learn(name, labels, values, scale):
    # Few different coordinates: tracks that coincide, clusters without spread and centres that coincide all occur.
    x = np.reshape(values, (30, 2))[: len(labels)] * scale
    reference = getattr(sklearn_metrics, {"silhouette": "silhouette_score"}.get(name, f"{name}_score"))
    function, expected = METRICS[name].function, reference(x, labels)
    assert function(x, labels) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert function(x + scale, [f"cluster {label}" for label in labels]) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    order = np.random.default_rng(0).permutation(len(labels))
    assert function(x[order], np.array(labels)[order]) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_space_shared_by_all_seeds_scores_as_one_space_per_seed(monkeypatch):
    x, labels = blobs()
    seeds = [labels, np.roll(labels, 3), np.arange(60) % 2]  # clusterings need not have equally many clusters
    each = metrics.shape(np.stack([x] * 3), seeds, space="native")
    monkeypatch.setattr(metrics, "BLOCK", 7 * 60)  # distances of seven tracks at a time
    for one, other in zip(metrics.shape(x, seeds, space="common"), each, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=1e-12)


@pytest.mark.parametrize("d", [3, 8, 60])
def test_the_chance_level_of_a_space_is_what_structureless_data_score(d):
    rng = np.random.default_rng(d)
    x = rng.normal(size=(40, d)) * np.linspace(1, 3, d)
    labels = cluster.kmeans_per_seed(x, 4, seeds=range(5))
    null = metrics.structureless(x, lambda points, draw: cluster.kmeans(points, 4, seed=draw), draws=60)
    for score in metrics.shape(x, labels, space="native", null=null):
        assert 0.01 < score.p_value < 0.99, (score.metric, score.mean, score.chance)


def test_clusters_that_are_there_exceed_the_chance_level_of_their_space():
    x, _ = blobs(spread=0.2)
    null = metrics.structureless(x, lambda points, draw: cluster.kmeans(points, 3, seed=draw), draws=40)
    for score in metrics.shape(x, cluster.kmeans_per_seed(x, 3, seeds=[0]), space="native", null=null):
        assert score.p_value == pytest.approx(1 / 41), score.metric


def test_structureless_clouds_keep_mean_and_covariance():
    x, _ = blobs()
    seen = []
    metrics.structureless(x, lambda points, draw: seen.append(points) or np.arange(len(points)) % 2, draws=2)
    for cloud in seen:
        np.testing.assert_allclose(cloud.mean(0), x.mean(0), atol=1e-9)
        np.testing.assert_allclose(np.cov(cloud.T), np.cov(x.T), atol=1e-9)
    assert not np.allclose(seen[0], seen[1])


def test_an_undefined_score_is_nan_with_its_reason_over_seeds_and_an_error_by_itself():
    x, labels = blobs()
    scores = metrics.shape(x, [labels, np.zeros_like(labels)], space="native")
    assert all(np.isfinite(score.values[0]) and np.isnan(score.values[1]) for score in scores)
    why = "labels_pred must have from 2 to 59 clusters for 60 tracks, got 1"
    assert {score.reason for score in scores} == {f"undefined for 1 of 2 seeds: {why}"}
    assert {score.reason for score in metrics.shape(x, labels, space="native")} == {""}
    for name in SPACE_METRICS:
        for undefined in (np.zeros_like(labels), np.arange(60)):
            with pytest.raises(metrics.UndefinedError, match="labels_pred must have from 2 to 59 clusters"):
                METRICS[name].function(x, undefined)


def test_a_cloud_without_clusters_does_worse_than_any_score():
    x, labels = blobs()
    null = metrics.structureless(x, lambda points, draw: np.arange(60) % (draw % 2 + 1), draws=9)  # one cluster, or two
    for score in metrics.shape(x, labels, space="native", null=null):
        assert np.isnan(score.null).tolist() == [True, False] * 4 + [True]
        assert score.chance == pytest.approx(np.mean(score.null[1::2]))
        assert score.p_value == pytest.approx(1 / 10)


def test_noise_is_an_error_until_the_caller_says_what_it_counts_as():
    x, labels = blobs()
    noisy = np.where(np.arange(60) % 10 == 0, -1, labels)
    calls = [lambda name=name: METRICS[name].function(labels, noisy) for name in LABEL_METRICS]
    calls += [lambda name=name: METRICS[name].function(x, noisy) for name in SPACE_METRICS]
    calls += [
        lambda: metrics.contingency(labels, noisy),
        lambda: metrics.agreement(labels, [labels, noisy]),
        lambda: metrics.subsample_interval(labels, noisy),
        lambda: metrics.shape(x, noisy, space="native"),
        lambda: metrics.structureless(x, lambda points, draw: noisy),
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
    assert metrics.without_noise(noisy[0], noise="cluster").tolist() == [3, 0, 0, 3, 2]
    assert metrics.without_noise([-1, -1], noise="singletons").tolist() == [0, 1]
    assert metrics.coverage(noisy).tolist() == [0.6, 1.0]
    np.testing.assert_array_equal(noisy, before)


def test_giving_up_on_tracks_costs_agreement_and_never_improves_a_shape():
    x, labels = blobs()
    hard = np.where(np.arange(60) % 20 < 12, -1, labels)  # what is left is clustered without fault
    for noise in metrics.NOISE:
        scores = {s.metric: s for s in metrics.agreement(labels, hard, noise=noise, permutations=99, subsamples=100)}
        alone = metrics.ari(labels, metrics.without_noise(hard, noise=noise))
        assert scores["ari"].mean == pytest.approx(alone)
        assert alone < 0.5
        assert scores["ari"].tracks[0] < alone < scores["ari"].tracks[1]
    whole = {s.metric: s.mean for s in metrics.shape(x, labels, space="native")}
    for score in metrics.shape(x, hard, space="native", noise="cluster"):
        assert score.mean < whole[score.metric] if METRICS[score.metric].greater_is_better else score.mean > 1
    null = dict.fromkeys(SPACE_METRICS, np.array([0.1, 0.2]))
    for score in metrics.shape(x, [labels, hard], space="native", null=null, noise="singletons"):
        assert len(score.null) == 0  # of clusterings whose shape is defined, so not a chance level of this one
        assert score.values[0] == pytest.approx(whole[score.metric])
        assert np.isnan(score.values[1])
        assert score.reason == "undefined for 1 of 2 seeds: noise as singletons has no shape"


def test_evaluate_gives_every_metric_in_every_space():
    x, labels = blobs()
    scores = metrics.evaluate(
        [labels, labels], labels_true=labels, spaces={"native": x[:, :2], "common": x}, nulls={}, permutations=9
    )
    assert [(score.metric, score.space) for score in scores] == [
        *((name, "labels") for name in LABEL_METRICS),
        *((name, space) for space in ("native", "common") for name in SPACE_METRICS),
    ]


def test_pairs_by_artist_compares_only_genres_that_hold_both_kinds():
    genre = ["blues"] * 2 + ["pop"] * 4 + ["jazz"] * 2
    artist = ["a", "a", "b", "b", "c", None, "d", "e"]
    pairs = metrics.pairs_by_artist(genre, artist)
    found = {kind: np.argwhere(np.triu(chosen, 1)).tolist() for kind, chosen in pairs.items()}
    assert found["genre of one artist"] == [[0, 1]]
    assert found["same genre, same artist"] == [[2, 3]]
    assert found["same genre, another artist"] == [[2, 4], [3, 4]]  # not jazz: it holds no pair of one artist
    assert len(found["another genre"]) == 2 * 4 + 2 * 2 + 4 * 2


def test_rates_together_count_pairs():
    together = np.ones((3, 3), dtype=bool)
    assert metrics.rates_together([[0, 0, 1], [2, 2, 2]], together).tolist() == [pytest.approx(1 / 3), 1.0]
    assert np.isnan(metrics.rates_together([[0, 0, 1]], ~together)).all()


def fixed_clusters(rng, *, n, k=3, seeds=2, right=0.7):
    """Classes of n fresh tracks, and clusters that do not depend on which tracks these are."""
    classes = rng.integers(0, k, n)
    return classes, np.where(rng.random((seeds, n)) < right, classes, rng.integers(0, k, (seeds, n)))


def test_the_interval_over_tracks_holds_what_other_tracks_score():
    rng = np.random.default_rng(0)
    many = [metrics.agreement(*fixed_clusters(rng, n=120), permutations=1) for _ in range(400)]
    expected = {score.metric: np.mean([scores[at].mean for scores in many]) for at, score in enumerate(many[0])}
    found = [metrics.subsample_interval(*fixed_clusters(rng, n=120), draws=200, seed=draw) for draw in range(150)]
    for name in LABEL_METRICS:
        covered = np.mean([low <= expected[name] <= high for low, high in (of[name] for of in found)])
        assert 0.88 <= covered <= 0.995, name  # nominal 0.95, standard error 0.018


def test_the_interval_of_a_difference_cancels_what_both_methods_share():
    rng = np.random.default_rng(1)
    classes, clusters = fixed_clusters(rng, n=200)
    alone = metrics.subsample_interval(classes, clusters, draws=200)
    for name, (low, high) in metrics.subsample_interval(classes, clusters, minus=clusters, draws=200).items():
        assert (low, high) == (0.0, 0.0)
        assert alone[name][0] < alone[name][1]
    noise = rng.integers(0, 3, (2, 200))
    for low, _ in metrics.subsample_interval(classes, clusters, minus=noise, draws=200).values():
        assert low > 0


def test_the_interval_over_tracks_stays_within_the_bounds_of_its_metric():
    classes = np.repeat(np.arange(3), 10)
    assert metrics.subsample_interval(classes, classes, draws=100) == dict.fromkeys(LABEL_METRICS, (1.0, 1.0))
    nearly = np.where(np.arange(30) == 0, 1, classes)
    for _, high in metrics.subsample_interval(classes, nearly, draws=100).values():
        assert high <= 1.0


def test_blocks_of_tables_change_nothing(monkeypatch):
    classes, clusters = fixed_clusters(np.random.default_rng(2), n=40)
    whole = metrics.agreement(classes, clusters, permutations=20, subsamples=100)
    monkeypatch.setattr(metrics, "BLOCK", 9 * 7)  # seven tables at a time
    for one, other in zip(whole, metrics.agreement(classes, clusters, permutations=20, subsamples=100), strict=True):
        np.testing.assert_allclose(one.null, other.null)
        assert one.tracks == pytest.approx(other.tracks)


def score(*values, metric="ari", space="labels", **more):
    return metrics.Score(metric, space, np.array(values), np.array([]), **more)


def test_a_paired_comparison_by_hand():
    found = metrics.compare(score(0.5, 0.6, 0.9), score(0.4, 0.5, 0.6))
    assert found.difference == pytest.approx(0.5 / 3)
    # differences .1, .1, .3: of the 8 ways to set their signs, all plus and all minus are as far from 0
    assert found.p_value == pytest.approx(2 / 8)
    half = 4.302653 * np.std([0.1, 0.1, 0.3], ddof=1) / np.sqrt(3)
    assert (found.low, found.high) == (pytest.approx(0.5 / 3 - half), pytest.approx(0.5 / 3 + half))
    assert found.superiority == 1.0
    assert found.seeds == (3, 3)


def test_an_unpaired_comparison_by_hand():
    first, second = score(0.5, 0.6, 0.9), score(0.6, 0.1)
    found = metrics.compare(first, second, paired=False)
    # Of the 10 ways to deal five seeds, {.1, .5} for the second is further out than {.1, .6}, of which there are two
    # because two seeds score .6: 3 in 10, twice for both sides.
    assert found.p_value == pytest.approx(0.6)
    assert found.superiority == pytest.approx(4.5 / 6)  # .5 beats .1 only; .6 beats .1 and ties; .9 beats both
    assert found.seeds == (3, 2)
    expected = stats.ttest_ind(first.values, second.values, equal_var=False).confidence_interval()
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


@pytest.mark.parametrize("paired", [True, False])
def test_a_comparison_turns_over_with_its_methods_and_knows_which_way_is_better(paired):
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.3, 0.1, 6), rng.normal(0.2, 0.1, 6)
    one, other = (metrics.compare(score(*x), score(*y), paired=paired) for x, y in ((a, b), (b, a)))
    assert one.difference == pytest.approx(-other.difference)
    assert one.difference > 0
    assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))
    assert one.p_value == pytest.approx(other.p_value)
    assert one.superiority == pytest.approx(1 - other.superiority)
    assert one.superiority > 0.5
    worse = (score(*of, metric="davies_bouldin", space="common") for of in (a, b))
    assert metrics.compare(*worse, paired=paired)[2:7] == pytest.approx(other[2:7])


def test_a_comparison_in_which_nothing_varies_has_no_test():
    found = metrics.compare(score(0.2, 0.2, 0.2), score(0.3, 0.3 + 1e-16, 0.3))
    assert found.difference == pytest.approx(-0.1)
    assert np.isnan([found.low, found.high, found.p_value]).all()  # one observation each, however often it is written
    same = metrics.compare(score(0.2, 0.2), score(0.2, 0.2 + 1e-17))
    assert (same.difference, same.p_value, same.superiority) == (0.0, 1.0, 0.5)


def test_many_seeds_are_compared_by_random_permutations_that_a_seed_repeats():
    rng = np.random.default_rng(0)
    a, b = score(*rng.normal(size=30)), score(*rng.normal(size=30))
    assert metrics.compare(a, b, seed=1) == metrics.compare(a, b, seed=1)
    assert metrics.compare(a, b, draws=999).p_value == pytest.approx(metrics.compare(a, b).p_value, abs=0.06)


def test_holm_by_hand():
    assert metrics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    corrected = metrics.holm([0.5, np.nan, 0.4])
    assert corrected[[0, 2]] == pytest.approx([0.8, 0.8])
    assert np.isnan(corrected[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.ari([0, 1], [0, 1, 1]), "labels_pred must have 2 labels, one per track, got 3"),
        (lambda: metrics.ari([], []), "labels_true must be a non-empty list of labels"),
        (lambda: metrics.nmi(["a", None], [0, 1]), "labels_true must have a label for every track: 1 missing.*row 1"),
        (lambda: metrics.silhouette([[0.0], [np.nan], [1.0]], [0, 0, 1]), "x must be finite: 1 value.*row 1"),
        (
            lambda: metrics.agreement([0, 1], [0, 1], permutations=0),
            "permutations must be a whole number of at least 1",
        ),
        (lambda: metrics.shape(np.zeros((3, 4, 2)), np.zeros((2, 4)), space="native"), "one space per seed .2. or one"),
        (lambda: metrics.without_noise([0, -1], noise="drop"), "noise must be one of singletons, cluster, got 'drop'"),
        (lambda: metrics.coverage([0.5, -1.0]), "labels_pred must hold whole numbers.*got float64"),
        (lambda: metrics.subsample_interval([0, 1, 1], [0, 1, 1], share=1.0), "share must leave from 2 to 2 of 3"),
        (lambda: metrics.subsample_interval([0, 1, 1], [0, 1, 1], share=0.1), "share must leave from 2 to 2 of 3"),
        (lambda: metrics.subsample_interval([0, 1, 1], [0, 1, 1], draws=9), "draws must be a whole number of at least"),
        (lambda: metrics.holm([0.5, 1.5]), "p_values must be a number in .0, 1., got .*1.5"),
        (lambda: metrics.compare(score(1, 2), score(1, 2, metric="ami")), "same metric, got 'ari' and 'ami'"),
        (lambda: metrics.compare(score(1, 2), score(1, 2, space="common")), "same space, got 'labels' and 'common'"),
        (lambda: metrics.compare(*[score(1, 2, space="native")] * 2), "got 'native': compare in 'common'"),
        (lambda: metrics.compare(score(1, 2), score(1, 2, 3)), "as many seeds to be paired, got 2 and 3"),
        (lambda: metrics.compare(score(1, 2), score(1), paired=False), "second must have at least 2 seeds, got 1"),
        (lambda: metrics.compare(score(1, np.nan, reason="one cluster"), score(1, 2)), "every seed: one cluster"),
        (lambda: metrics.pairs_by_artist(["a", "b"], ["x"]), "artist must have 2 entries"),
        (lambda: metrics.rates_together([[0, 1]], np.ones((3, 3))), "pairs must have shape .2, 2."),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
