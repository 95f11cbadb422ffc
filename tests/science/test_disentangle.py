"""Latents that are the factors score near one, mixtures lower, noise at chance; a probe never sees a track's artist."""

import numpy as np
import pandas as pd
import pytest

from vae_lib import metrics
from vae_lib.checks import ParameterError
from vae_lib.metrics import disentanglement

N = 400


@pytest.fixture(scope="module")
def factors():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "genre": pd.Categorical(rng.choice(["blues", "jazz", "pop", "rock"], N)),
            "tempo": rng.uniform(60, 180, N),
            "major": rng.integers(0, 2, N).astype(bool),
        }
    )


@pytest.fixture(scope="module")
def aligned(factors):
    """One latent per factor, of another scale each, and two that are noise."""
    rng = np.random.default_rng(1)
    genre = factors["genre"].cat.codes + rng.uniform(-0.3, 0.3, N)
    major = factors["major"] + rng.uniform(-0.3, 0.3, N)
    return np.column_stack([genre, 100 * factors["tempo"], 0.01 * major, rng.normal(size=(N, 2))])


def rotated(latents):
    """The same latents, none of them along an axis any more."""
    d = latents.shape[1]
    mixing = np.linalg.qr(np.random.default_rng(2).normal(size=(d, d)))[0]
    return (latents - latents.mean(0)) / latents.std(0) @ mixing


def by_name(scores):
    return {score.metric: score for score in scores}


@pytest.fixture(scope="module")
def evaluated(aligned, factors):
    noise = np.random.default_rng(3).normal(size=aligned.shape)
    spaces = {"aligned": aligned, "rotated": rotated(aligned), "noise": noise}
    return {
        name: by_name(metrics.disentanglement_scores(latents, factors, permutations=40, refits=2))
        for name, latents in spaces.items()
    }


def test_latents_that_are_the_factors_score_near_one(evaluated):
    best = {name: score.mean for name, score in evaluated["aligned"].items()}
    assert best["mig"] > 0.85  # not 1: the next latent knows a little of 400 tracks by chance
    assert best["sap"] > 0.6  # a category of c values adds at most 1 − 1/c; here (3/4 + 1 + 1/2) / 3 = 0.75
    assert min(best["disentanglement"], best["completeness"], best["informativeness"]) > 0.95


def test_rotating_the_latents_costs_all_but_informativeness(evaluated):
    for name in ("mig", "sap", "disentanglement", "completeness"):
        assert evaluated["rotated"][name].mean < 0.5 * evaluated["aligned"][name].mean
    assert evaluated["rotated"]["informativeness"].mean > evaluated["noise"]["informativeness"].mean + 0.3


def test_noise_scores_at_chance_and_chance_does_not_depend_on_the_latents(evaluated):
    for name, score in evaluated["noise"].items():
        assert score.mean == pytest.approx(score.chance, abs=0.05), name
        found = evaluated["aligned"][name]
        assert found.chance == pytest.approx(score.chance, abs=0.03)
        assert found.p_value == pytest.approx(1 / (1 + len(score.null)))


def test_noise_is_found_as_often_as_the_level_says(monkeypatch):
    monkeypatch.setattr(disentanglement, "dci", lambda *_, **__: (0.0, 0.0, 0.0))  # whose forests take a minute
    rng = np.random.default_rng(4)
    p_values = []
    for draw in range(40):
        factors = {"genre": rng.integers(0, 3, 40), "tempo": rng.normal(size=40)}
        scores = metrics.disentanglement_scores(
            rng.normal(size=(40, 3)), factors, permutations=39, refits=1, bins=5, seed=draw
        )
        p_values.append([score.p_value for score in scores[:2]])
    assert (np.mean(np.array(p_values) <= 0.05, axis=0) <= 0.153).all()  # three standard errors above 0.05


def test_the_null_of_several_seeds_is_that_of_their_mean(aligned, factors):
    once = metrics.disentanglement_scores(aligned, factors, permutations=5, refits=1)
    twice = metrics.disentanglement_scores(np.stack([aligned, aligned]), factors, permutations=5, refits=1)
    for one, two in zip(once, twice, strict=True):
        np.testing.assert_allclose(one.null, two.null)  # equal seeds add nothing, so they must not narrow the null
        np.testing.assert_allclose(two.values, [one.mean] * 2)


def test_mig_by_hand():
    factor = {"a": ["x", "x", "y", "y"]}
    assert metrics.mig([[0, 0], [0, 1], [1, 0], [1, 1]], factor, bins=2) == pytest.approx(1.0)
    # The second latent knows ln 2 + H(1/4) − H(1/2, 1/4, 1/4) = 0.2158 nats of the factor's 0.6931.
    gap = 1 - 0.2158 / 0.6931
    assert metrics.mig([[0, 0], [0, 0], [1, 0], [1, 1]], factor, bins=2) == pytest.approx(gap, abs=1e-4)
    assert metrics.mig([[5, 5], [5, 5], [9, 9], [9, 9]], factor, bins=2) == pytest.approx(0.0, abs=1e-12)
    dead = [[5, 1], [5, 1], [9, 1], [9, 1]]
    assert metrics.mig(dead, factor) == pytest.approx(1.0)


def test_sap_by_hand():
    categories = {"a": ["x", "x", "y", "y"]}
    assert metrics.sap([[0, 0], [0, 1], [1, 0], [1, 1]], categories, bins=2) == pytest.approx(1.0 - 0.5)
    assert metrics.sap([[0, 0], [0, 0], [1, 0], [1, 1]], categories, bins=2) == pytest.approx(1.0 - 0.75)
    uneven = {"a": ["x", "y", "y", "y"]}  # each category weighs the same: always guessing y is right half the time
    assert metrics.sap([[0, 7], [1, 7], [1, 7], [1, 7]], uneven, bins=2) == pytest.approx(1.0 - 0.5)
    tempo = {"tempo": [0.0, 1.0, 2.0, 3.0]}  # R² with the first latent 1, with the second (2 / √5)²
    assert metrics.sap([[9, 0], [6, 0], [3, 1], [0, 1]], tempo) == pytest.approx(1.0 - 0.8)


def test_dci_follows_its_formulas(aligned, factors):
    found = metrics.dci(rotated(aligned), factors)
    latents, count = found.importance.shape

    def entropy(shares, base):
        return -sum(share * np.log(share) / np.log(base) for share in shares if share > 0)

    serves = [1 - entropy(row / row.sum(), count) for row in found.importance]
    served = [1 - entropy(column / column.sum(), latents) for column in found.importance.T]
    assert found.disentanglement == pytest.approx(found.importance.sum(1) @ serves / found.importance.sum())
    assert found.completeness == pytest.approx(np.mean(served))
    assert found.informativeness == pytest.approx(np.mean(list(found.by_factor.values())))
    assert set(found.by_factor) == set(factors)
    assert found.importance.sum(0) == pytest.approx(np.ones(count))


def test_two_latents_for_one_factor_cost_completeness_and_not_disentanglement():
    rng = np.random.default_rng(5)
    tempo, key = rng.normal(size=N), rng.normal(size=N)
    half = rng.random(N) < 0.5  # each of two latents knows the tempo of half of the tracks
    latents = np.column_stack([np.where(half, tempo, 0), np.where(half, 0, tempo), key])
    found = metrics.dci(latents, {"tempo": tempo, "key": key})
    assert found.disentanglement > 0.95
    assert found.completeness == pytest.approx((1 - np.log(2) / np.log(3) + 1) / 2, abs=0.05)


def test_measures_are_called_what_scores_and_probe_call_them(evaluated, aligned, factors):
    given = [*evaluated["aligned"]]
    for labels in (factors["genre"], factors["tempo"]):
        given += [score.metric for score in metrics.probe(aligned, labels)]
    assert given == list(metrics.MEASURES)
    assert not set(metrics.MEASURES) & set(metrics.METRICS)


def test_a_probe_finds_what_is_there_and_scores_at_chance_where_nothing_is(aligned, factors):
    noise = np.random.default_rng(6).normal(size=(N, 3))
    there, absent = (by_name(metrics.probe(x, factors["major"])) for x in (aligned[:, :3], noise))
    assert there["probe_accuracy"].chance == pytest.approx(factors["major"].value_counts(normalize=True).max())
    assert there["probe_balanced_accuracy"].chance == 0.5
    for name in there:
        assert there[name].mean > 0.95
        assert absent[name].mean == pytest.approx(0.5, abs=0.1)
        assert np.isnan(there[name].p_value)  # a level, not a distribution
    there, absent = (metrics.probe(x, factors["tempo"])[0] for x in (aligned[:, :3], noise))
    assert (there.metric, there.chance) == ("probe_r2", 0.0)
    assert there.mean > 0.99
    assert -0.1 < absent.mean < 0.05
    both = metrics.probe(np.stack([aligned[:, :3], noise]), factors["tempo"])[0]
    np.testing.assert_allclose(both.values, [there.mean, absent.mean])


@pytest.mark.parametrize("kind", [str, float])
def test_a_probe_cannot_recognise_an_artist_when_artists_are_its_groups(kind):
    rng = np.random.default_rng(8)
    artist = np.repeat(np.arange(20), 10)
    x = rng.normal(size=(20, 30))[artist] + 0.1 * rng.normal(size=(200, 30))  # artists are clear, and nothing else is
    labels = rng.permutation(np.repeat([0, 1], 10))[artist].astype(kind)  # each artist has one label, dealt at random
    seen, unseen = (metrics.probe(x, labels, groups=groups)[0].mean for groups in (None, artist))
    assert seen > 0.95
    assert unseen < 0.75


FOUR = np.arange(8.0).reshape(4, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.mig(FOUR[:, :1], {"a": [0, 0, 1, 1]}), "latents must have at least 2 columns.*got 1"),
        (lambda: metrics.mig(FOUR, {}), "factors must have at least one factor, got none"),
        (
            lambda: metrics.sap(FOUR, {"a": ["x"] * 4}),
            r"factors\['a'\] must have at least 2 different .*got one, 'x'",
        ),
        (lambda: metrics.sap(FOUR, {"a": [0.0, 1, 2, np.nan]}), r"factors\['a'\] must have a label.*1 missing"),
        (lambda: metrics.dci(FOUR, {"a": [0, 0, 1, 1]}), "factors must be at least 2"),
        (
            lambda: metrics.disentanglement_scores(FOUR, {"a": [0, 0, 1, 1]}, permutations=5, refits=6),
            "refits must be .* 1 to 5",
        ),
        (lambda: metrics.probe(FOUR, [0, 0, 0, 1], folds=2), "folds must be .* from 2 to 1, got 2"),
        (lambda: metrics.probe(FOUR, [0.0, 1, 2, 3]), "folds must be .* from 2 to 4, got 5"),
        (
            lambda: metrics.probe(FOUR, [0, 0, 1, 1], groups=["a", "b", "c", "c"], folds=2),
            "labels must each be in at least 2 groups.* 1 of 2 are in one, the first in row 2",
        ),
        (
            lambda: metrics.probe(FOUR, [0, 0, 1, 1], groups=["a", "b", None, "c"], folds=2),
            "groups must have a label for every track: 1 missing, the first in row 2",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
