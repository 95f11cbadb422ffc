"""The whole protocol on noise finds nothing more often than its level, and on music that has genres it finds them.

The published figures that this companion stands beside are those of noise; a protocol that could have printed them as a
finding would be worthless, however right each of its formulas is.
"""

import numpy as np
import pytest
from scipy import stats
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.mixture import GaussianMixture

from companion import report
from vae_lib import metrics, train
from vae_lib.cluster import kmeans_per_seed
from vae_lib.metrics import LABEL_METRICS, SPACE_METRICS
from vae_lib.models import RECIPES

DRAWS, LEVEL = 200, 0.05
TRACKS, DIMENSIONS, K, SEEDS = 60, 10, 4, 3
PERMUTATIONS = 599  # enough for a finding after the correction for 15 tests: 15 / 600 < 0.05
# A protocol that errs at its level stays below this in all but one of a thousand such tests.
MOST = stats.binom.ppf(0.999, DRAWS, LEVEL) / DRAWS

CLUSTERERS = {
    "k-means": lambda x, seed: KMeans(K, n_init=1, random_state=seed).fit_predict(x),
    "Ward": lambda x, seed: AgglomerativeClustering(K).fit_predict(x),
    "GMM": lambda x, seed: GaussianMixture(
        K, covariance_type="diag", init_params="k-means++", max_iter=20, tol=0.1, random_state=seed
    ).fit_predict(x),
}


def cluster(name, x):
    """One clustering per seed."""
    return np.stack([CLUSTERERS[name](x, seed) for seed in range(1 if name == "Ward" else SEEDS)])


def protocol(x, genres, *, seed):
    """Every label metric of every clusterer, as a notebook has them."""
    return {
        name: {s.metric: s for s in metrics.agreement(genres, cluster(name, x), permutations=PERMUTATIONS, seed=seed)}
        for name in CLUSTERERS
    }


@pytest.fixture(scope="module")
def on_noise():
    rng = np.random.default_rng(0)
    genres = np.arange(TRACKS) % K
    return [protocol(rng.normal(size=(TRACKS, DIMENSIONS)), genres, seed=draw) for draw in range(DRAWS)]


def p_values(runs):
    """Shape (draws, clusterers, metrics)."""
    return np.array([[[of[name].p_value for name in LABEL_METRICS] for of in run.values()] for run in runs])


def test_on_noise_no_method_is_above_chance_more_often_than_the_level(on_noise):
    found = (p_values(on_noise) <= LEVEL).mean(0)
    for clusterer, rates in zip(CLUSTERERS, found, strict=True):
        for metric, rate in zip(LABEL_METRICS, rates, strict=True):
            assert rate <= MOST, (clusterer, metric)
    # Nor is the protocol blind: over 15 tests it errs about as often as it says.
    assert found.mean() > LEVEL / 3


def test_on_noise_a_corrected_table_has_no_finding_more_often_than_the_level(on_noise):
    tables = p_values(on_noise).reshape(DRAWS, -1)
    anything = np.mean([(metrics.holm(table) <= LEVEL).any() for table in tables])
    assert anything <= MOST
    assert np.mean((tables <= LEVEL).any(1)) > LEVEL  # which is what the correction is for


def test_on_noise_chance_is_where_the_scores_are(on_noise):
    for clusterer in CLUSTERERS:
        for metric in LABEL_METRICS:
            scores = [run[clusterer][metric] for run in on_noise]
            difference = np.array([score.mean - score.chance for score in scores])
            assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(DRAWS), (clusterer, metric)


@pytest.mark.parametrize("paired", [True, False])
def test_on_noise_no_method_beats_another_more_often_than_the_level(paired):
    rng = np.random.default_rng(1)
    found = []
    for _ in range(DRAWS):
        genres = rng.integers(0, K, (2, TRACKS))  # of two methods with eight seeds each, all of it noise
        values = [[metrics.ari(rng.permutation(genres[0]), genres[1]) for _ in range(8)] for _ in range(2)]
        scores = [metrics.Score("ari", "labels", np.array(of), np.array([])) for of in values]
        found.append(metrics.compare(*scores, paired=paired, draws=499))
    assert np.mean([of.p_value <= LEVEL for of in found]) <= MOST
    assert np.mean([not of.low <= 0 <= of.high for of in found]) <= MOST
    assert np.mean([of.superiority for of in found]) == pytest.approx(0.5, abs=0.05)


def test_on_noise_shapes_are_those_of_structureless_data():
    rng = np.random.default_rng(2)
    found = []
    for draw in range(60):
        x = rng.normal(size=(TRACKS, DIMENSIONS))
        null = metrics.structureless(x, CLUSTERERS["k-means"], draws=39, seed=draw)
        scores = metrics.shape(x, CLUSTERERS["k-means"](x, draw), space="native", null=null)
        found.append([score.p_value <= LEVEL for score in scores])
    rates = np.mean(found, axis=0)
    assert len(rates) == len(SPACE_METRICS)
    assert (rates <= stats.binom.ppf(0.999, 60, LEVEL) / 60).all()


def test_planted_genres_are_found_by_every_method_and_metric_after_correction():
    rng = np.random.default_rng(3)
    genres = np.arange(TRACKS) % K
    x = rng.normal(size=(TRACKS, DIMENSIONS)) + 2 * rng.normal(size=(K, DIMENSIONS))[genres]
    scores = [s for name in CLUSTERERS for s in metrics.agreement(genres, cluster(name, x), permutations=PERMUTATIONS)]
    assert (metrics.holm([score.p_value for score in scores]) <= LEVEL).all()


def test_a_planted_difference_between_methods_is_found_and_shown():
    rng = np.random.default_rng(4)
    genres = np.arange(TRACKS) % K

    def method(right):
        labels = np.where(rng.random((10, TRACKS)) < right, genres, rng.integers(0, K, (10, TRACKS)))
        return metrics.agreement(genres, labels, permutations=99, subsamples=100)[0], labels

    (good, good_labels), (bad, bad_labels) = method(0.9), method(0.7)
    claims = {"good above bad": metrics.compare(good, bad), "bad above good": metrics.compare(bad, good)}
    table = report.claims_table(claims, caption="Claims.").data
    assert table["verdict"].tolist() == ["supported", "the reverse holds"]
    low, high = metrics.subsample_interval(genres, good_labels, minus=bad_labels, draws=200)["ari"]
    assert 0 < low < claims["good above bad"].difference < high


@pytest.mark.parametrize("recipe", RECIPES)
def test_on_noise_no_model_is_above_chance_more_often_than_the_level(recipe):
    rng = np.random.default_rng(4)
    plan = RECIPES[recipe]
    arrays = {"audio": rng.normal(size=(TRACKS, 8, 8) if plan.image else (TRACKS, DIMENSIONS))}
    if plan.modalities > 1:
        arrays["lyrics"] = rng.normal(size=(TRACKS, DIMENSIONS))
    options = {"components": K, "pretrain_epochs": 1} if recipe == "vade" else {}
    trained = train.fit_seeds(
        recipe,
        arrays,
        seeds=DRAWS,
        workers=1,
        cache=False,
        epochs=2,
        condition=rng.choice(["bn", "en"], TRACKS) if plan.conditional else None,
        latent_dim=3,
        hidden=(8,),
        channels=(2,),
        progress=False,
        **options,
    )
    condition = rng.choice(["bn", "en"], TRACKS) if plan.conditional else None
    clusters = kmeans_per_seed(train.embed(trained, arrays, condition=condition), K, seeds=range(DRAWS), n_init=1)
    found = [
        [score.p_value <= LEVEL for score in metrics.agreement(rng.integers(0, K, TRACKS), of, permutations=199)]
        for of in clusters
    ]
    assert (np.mean(found, axis=0) <= MOST).all()
