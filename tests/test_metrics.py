"""Properties of every metric over the registry, agreement with scikit-learn, and chance levels that are right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
    assert metrics.ami(true, pred) == pytest.approx(reference, abs=1e-6)


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


def test_noise_is_not_found_above_chance_more_often_than_the_level():
    rng = np.random.default_rng(1)
    true = np.repeat(np.arange(5), 8)
    found = [
        {s.metric: s.p_value for s in metrics.agreement(true, rng.integers(0, 5, (3, 40)), permutations=99, seed=draw)}
        for draw in range(200)
    ]
    for name in LABEL_METRICS:
        assert np.mean([p[name] <= 0.05 for p in found]) <= 0.1  # 0.05 nominal; 0.1 is three standard errors above


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


@pytest.mark.parametrize("name", SPACE_METRICS)
def test_space_metrics_prefer_tight_clusters_and_equal_scikit_learn(name):
    metric, (x, labels) = METRICS[name], blobs()
    right, wrong = metric.function(x, labels), metric.function(x, np.roll(labels, 7))
    assert right > wrong if metric.greater_is_better else right < wrong
    assert right == pytest.approx(
        getattr(sklearn_metrics, f"{name}_score")(x, labels)
        if name != "silhouette"
        else sklearn_metrics.silhouette_score(x, labels)
    )
    assert metric.low <= right <= metric.high


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


def test_an_undefined_score_is_nan_for_its_seed_and_an_error_by_itself():
    x, labels = blobs()
    scores = metrics.shape(x, [labels, np.zeros_like(labels)], space="native")
    assert all(np.isfinite(score.values[0]) and np.isnan(score.values[1]) for score in scores)
    with pytest.raises(ParameterError, match="labels_pred must have from 2 to 59 clusters for 60 tracks, got 1"):
        metrics.silhouette(x, np.zeros_like(labels))


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
        (lambda: metrics.pairs_by_artist(["a", "b"], ["x"]), "artist must have 2 entries"),
        (lambda: metrics.rates_together([[0, 1]], np.ones((3, 3))), "pairs must have shape .2, 2."),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
