"""The protocol says what was clustered and how well; on noise it finds nothing more often than its level.

The published figures that this companion stands beside are those of noise; a protocol that could have printed them as a
finding would be worthless, however right each of its formulas is.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vae_lib import cluster, metrics, protocol
from vae_lib.checks import ParameterError
from vae_lib.corpus import Corpus
from vae_lib.metrics import LABEL_METRICS, SPACE_METRICS, Score

LEVEL, TRACKS, K = 0.05, 60, 4


def corpus_of(genres, **columns):
    ids = pd.Index([f"track{row:04d}" for row in range(len(genres))], name="track_id")
    columns = {name: pd.Categorical(list(map(str, values))) for name, values in {"genre": genres, **columns}.items()}
    table = pd.DataFrame(np.zeros((len(ids), 1)), index=ids, columns=["a"])
    return Corpus(
        name="made", tracks=pd.DataFrame(columns, index=ids), features=table, source="Made up.", licence="None needed."
    )


@pytest.fixture(scope="module")
def music():
    return corpus_of(np.arange(TRACKS) % K, language=np.arange(TRACKS) // 30)


@pytest.fixture(scope="module")
def x(music):
    rng = np.random.default_rng(0)
    genres = music.tracks["genre"].cat.codes.to_numpy()
    return rng.normal(size=(TRACKS, 5)) + 4 * rng.normal(size=(K, 5))[genres]


FEW = {"permutations": 19, "clouds": 9, "subsamples": 100}


def test_rows_tell_what_was_clustered_and_how_and_scores_are_those_of_the_metrics(music, x):
    found = protocol.evaluate({"raw": x, "half": x[:, :2]}, music, k=K, seeds=[3, 4], features="audio", common=x, **FEW)
    rows = found.rows
    assert list(rows.columns) == list(protocol.COLUMNS)
    assert rows["metric"].tolist() == 2 * [*LABEL_METRICS, *SPACE_METRICS, *SPACE_METRICS]
    assert rows["space"].tolist() == 2 * (5 * ["labels"] + 3 * ["native"] + 3 * ["common"])
    same = {"corpus": "made", "n": 60, "features": "audio", "clusterer": "kmeans", "k": 4, "noise": "none", "seeds": 2}
    assert all((rows[name] == value).all() for name, value in {**same, "coverage": 1.0, "subset": "all"}.items())
    assert (rows["target"] == np.where(rows["space"] == "labels", "genre", "none")).all()
    assert (rows["seconds"] > 0).all()

    clusters = cluster.per_seed("kmeans", x[:, :2], K, seeds=[3, 4])
    np.testing.assert_array_equal(found.clusters["half", "kmeans"], clusters)
    by_hand = metrics.external_scores(music.tracks["genre"], clusters, permutations=19, subsamples=100)
    null = {
        space: metrics.gaussian_null(
            of, lambda cloud, draw: cluster.fit_predict("kmeans", cloud, K, seed=draw), draws=9
        )
        for space, of in {"native": x[:, :2], "common": x}.items()
    }
    by_hand += metrics.internal_scores(x[:, :2], clusters, space="native", null=null["native"])
    by_hand += metrics.internal_scores(x, clusters, space="common", null=null["common"])
    for score, (_, row) in zip(by_hand, rows[rows["model"] == "half"].iterrows(), strict=True):
        told = ("mean", "sd", "ci_low", "ci_high", "tracks_low", "tracks_high", "chance", "p_value")
        numbers = (score.mean, score.sd, *score.interval, *score.tracks, score.chance, score.p_value)
        assert row[list(told)].tolist() == pytest.approx(numbers, nan_ok=True), score.metric
        assert row["values"] == pytest.approx(list(score.values))
    assert found.score(model="half", metric="ari").mean == pytest.approx(by_hand[0].mean)


def test_fits_bring_their_latents_seeds_seconds_and_settings(music, x):
    latents = np.stack([x + seed for seed in range(2)])
    fits = SimpleNamespace(latents=latents, seeds=[7, 8], seconds=100.0, settings={"beta": 4.0})
    found = protocol.evaluate(
        {"vae": fits, "told": latents, "raw": x}, music, k=K, seeds=3, clusterers={"kmeans": {"n_init": 1}},
        params={"told": {"condition": "language"}}, seconds={"told": 50.0},
        features={"vae": "a", "told": "b", "raw": "c"}, **FEW | {"clouds": 0},
    )  # fmt: skip
    rows = found.rows[found.rows["metric"] == "ari"].set_index("model")
    assert rows["params"].to_dict() == {
        "vae": {"beta": 4.0, "n_init": 1}, "told": {"condition": "language", "n_init": 1}, "raw": {"n_init": 1}
    }  # fmt: skip
    assert (rows["seeds"].tolist(), rows["features"].tolist()) == ([2, 2, 3], ["a", "b", "c"])
    assert np.floor(rows["seconds"]).tolist() == [100, 50, 0]
    expected = [
        cluster.fit_predict("kmeans", of, K, seed=seed, n_init=1) for of, seed in zip(latents, (7, 8), strict=True)
    ]
    np.testing.assert_array_equal(found.clusters["vae", "kmeans"], expected)
    assert set(found.rows["space"]) == {"labels"}


def test_the_same_clusters_are_held_against_several_targets_or_none(music, x):
    found = protocol.evaluate({"raw": x}, music, k=K, seeds=1, target=["genre", "language"], **FEW)
    assert found.rows["target"].tolist() == 5 * ["genre"] + 5 * ["language"] + 3 * ["none"]
    assert found.score(metric="ari", target="genre").mean > 0.5 > found.score(metric="ari", target="language").mean
    assert list(found.labels) == ["genre", "language"]
    assert set(protocol.evaluate({"raw": x}, music, k=K, seeds=1, target=None, **FEW).rows["space"]) == {"native"}


def test_the_noise_of_dbscan_counts_twice_and_its_clusters_are_counted(music, x):
    far = np.vstack([x[:50], 100 * np.eye(10, 5)])
    found = protocol.evaluate({"raw": far}, music, k=K, seeds=2, clusterers=["dbscan"], **FEW)
    rows = found.rows
    labels = found.clusters["raw", "dbscan"]
    assert (labels[:, 50:] == -1).any()
    assert rows["noise"].tolist() == 5 * ["singletons"] + 5 * ["cluster"] + 3 * ["cluster"]
    assert rows["coverage"].unique() == pytest.approx([(labels != -1).mean()])
    assert rows["k"].unique() == pytest.approx([labels.max() + 1])
    for noise in metrics.NOISE:
        alone = metrics.ari(music.tracks["genre"], metrics.without_noise(labels[0], noise=noise))
        assert found.score(metric="ari", noise=noise).mean == pytest.approx(alone)


def test_a_part_of_a_corpus_is_clustered_anew_or_scored_as_it_was(music, x):
    part = music.select(np.arange(TRACKS) % 3 > 0)
    rows = np.arange(TRACKS) % 3 > 0
    anew = protocol.evaluate({"raw": x}, part, k=K, seeds=2, whole=music, subset="two thirds", **FEW | {"clouds": 0})
    np.testing.assert_array_equal(anew.clusters["raw", "kmeans"], cluster.per_seed("kmeans", x[rows], K, seeds=2))
    assert (anew.rows["n"] == 40).all()
    assert (anew.rows["subset"] == "two thirds").all()
    assert anew.corpus is music
    whole = cluster.per_seed("kmeans", x, K, seeds=2)
    kept = protocol.score(
        {"raw": whole}, part, k=K, whole=music, subset="two thirds", clusterer="kmeans", permutations=19
    )
    by_hand = metrics.external_scores(part.tracks["genre"], whole[:, rows], permutations=19)
    assert kept.rows["mean"].tolist() == pytest.approx([score.mean for score in by_hand])
    assert kept.rows["p_value"].tolist() == pytest.approx([score.p_value for score in by_hand])


def test_measured_scores_get_rows_without_a_target_where_they_compare_with_none(music):
    scores = [
        Score("kl", "native", np.array([1.0, 3.0])),
        Score("mig", "labels", np.array([0.5, np.nan]), reason="flat"),
    ]
    rows = protocol.measured(scores, music, model="vae", target="factor", params={"beta": 1.0}, seconds=2.0).rows
    assert rows[["model", "metric", "target", "mean", "reason"]].to_numpy().tolist()[0] == [
        "vae",
        "kl",
        "none",
        2.0,
        "",
    ]
    assert rows[["target", "reason", "seconds", "clusterer"]].iloc[1].tolist() == ["factor", "flat", 2.0, "none"]


def test_without_the_labels_nothing_but_the_scores_against_them_changes(music, x):
    mixed = music.tracks["genre"].sample(frac=1, random_state=0).set_axis(music.tracks.index)
    shuffled = replace(music, tracks=music.tracks.assign(genre=mixed))
    known, blind = (
        protocol.evaluate({"raw": x}, of, k=K, seeds=2, clusterers=list(cluster.CLUSTERERS), common=x, **FEW)
        for of in (music, shuffled)
    )
    for where, labels in known.clusters.items():
        np.testing.assert_array_equal(labels, blind.clusters[where])
    apart = known.rows["space"] != "labels"
    assert known.rows.loc[apart, "values"].tolist() == blind.rows.loc[apart, "values"].tolist()
    assert (known.rows.loc[~apart, "mean"] != blind.rows.loc[~apart, "mean"]).mean() > 0.9


# Verdicts.


def method(rng, genres, right, *, seeds=10):
    return np.where(rng.random((seeds, len(genres))) < right, genres, rng.integers(0, K, (seeds, len(genres))))


@pytest.fixture(scope="module")
def methods():
    rng, music = np.random.default_rng(4), corpus_of(np.arange(400) % K)
    genres = np.arange(400) % K
    made = {"good": method(rng, genres, 0.9), "fair": method(rng, genres, 0.6), "other": method(rng, genres, 0.6)}
    made["same"] = made["good"].copy()
    made["same"][:, 0] = 0
    both = (made, "kmeans"), ({"alone": method(rng, genres, 0.6, seeds=1)}, "gmm")
    return music, [protocol.score(of, music, k=K, clusterer=name, permutations=1) for of, name in both]


def test_verdicts_say_above_below_equal_and_not_decided(methods):
    _, evaluations = methods
    pairs = {"more": "fair", "less": "good", "equal": "same", "open": "other"}
    table = protocol.verdicts(evaluations, ["good", "fair", "good", "fair"], pairs)
    assert table.index.tolist() == list(pairs)
    assert table["verdict"].tolist() == ["above", "below", "equal within ±.02", "not decided"]
    assert table["p_holm"].to_numpy() == pytest.approx(metrics.holm(table["p_value"]))
    assert table["at_floor"].tolist() == [True, True, False, False]
    assert (table["low"] > 0).tolist() == [True, False, False, False]
    one = protocol.verdicts(evaluations, "good", "fair")
    assert one.index.tolist() == ["good against fair"]
    assert one["p_holm"].to_numpy() == pytest.approx(one["p_value"].to_numpy())  # alone in its family


def test_a_single_clustering_is_held_against_every_seed_of_the_other(methods):
    table = protocol.verdicts(methods[1], "good", [("alone", "gmm"), "fair"])
    assert table.index.tolist() == ["good against alone, gmm", "good against fair"]
    assert table["verdict"].tolist() == ["above", "above"]


def test_three_seeds_decide_nothing_and_p_says_that_it_is_at_its_floor(methods):
    music, _ = methods
    rng, genres = np.random.default_rng(5), np.arange(400) % K
    found = protocol.score({"a": method(rng, genres, 0.9, seeds=3), "b": method(rng, genres, 0.3, seeds=3)}, music, k=K)
    table = protocol.verdicts(found, "a", "b")
    assert table[["verdict", "at_floor"]].to_numpy().tolist() == [["not decided", True]]


def on_noise(draws):
    """Verdicts on representations of noise: tables of three lines."""
    music, tables = corpus_of(np.arange(TRACKS) % K), []
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        x = rng.normal(size=(TRACKS, 8))
        spaces = {"raw": x, "pca": cluster.pca(x, 3), "latents": rng.normal(size=(5, TRACKS, 3))}
        found = protocol.evaluate(
            spaces, music, k=K, seeds=5, clusterers={"kmeans": {"n_init": 1}, "agglomerative": {}}, permutations=1,
            clouds=0, subsamples=0,
        )  # fmt: skip
        sides = [("raw", "kmeans"), ("pca", "agglomerative"), ("raw", "agglomerative")]
        tables.append(protocol.verdicts(found, ("latents", "kmeans"), sides, draws=200))
    return tables


def most(draws):
    """A rate that one in a thousand protocols which err at the level exceeds in so many draws."""
    return stats.binom.ppf(0.999, draws, LEVEL) / draws


@pytest.mark.parametrize("draws", [25, pytest.param(80, marks=pytest.mark.slow)])
def test_representations_of_noise_are_told_apart_no_more_often_than_the_level(draws):
    found = [table["verdict"].isin(["above", "below"]).any() for table in on_noise(draws)]
    assert np.mean(found) <= most(draws)


# Chance.


@pytest.mark.slow
def test_on_noise_no_method_is_above_chance_more_often_than_the_level_nor_is_a_corrected_table():
    rng, genres, draws = np.random.default_rng(0), np.arange(TRACKS) % K, 100
    p_values, away = [], []
    for draw in range(draws):
        x = rng.normal(size=(TRACKS, 10))
        scores = []
        for name, options in {"kmeans": {"n_init": 1}, "agglomerative": {}, "gmm": {"n_init": 1}}.items():
            labels = cluster.per_seed(name, x, K, seeds=3, **options)
            # 15 scores can pass after correction: 15 / 320 < 0.05
            scores += metrics.external_scores(genres, labels, permutations=319, subsamples=0, seed=draw)
        p_values.append([score.p_value for score in scores])
        away.append([score.mean - score.chance for score in scores])
    p_values, away = np.array(p_values), np.array(away)
    assert ((p_values <= LEVEL).mean(0) <= most(draws)).all()
    assert (p_values <= LEVEL).mean() > LEVEL / 3  # nor is the protocol blind
    corrected = np.array([metrics.holm(table) for table in p_values])
    assert (corrected <= LEVEL).any(1).mean() <= most(draws) < LEVEL * 3 < (p_values <= LEVEL).any(1).mean() * 1.5
    assert (np.abs(away.mean(0)) < 4 * away.std(0) / np.sqrt(draws)).all()  # chance is where the scores are


@pytest.mark.slow
def test_on_noise_shapes_are_those_of_gaussian_clouds():
    rng, found = np.random.default_rng(2), []

    def kmeans(cloud, draw):
        return cluster.fit_predict("kmeans", cloud, K, seed=draw, n_init=1)

    for draw in range(40):
        x = rng.normal(size=(TRACKS, 10))
        null = metrics.gaussian_null(x, kmeans, draws=19, seed=draw)
        found.append([score.p_value <= LEVEL for score in metrics.internal_scores(x, kmeans(x, draw), null=null)])
    assert (np.mean(found, axis=0) <= most(40)).all()


def test_planted_genres_are_found_by_every_method_and_metric_after_correction(music, x):
    found = protocol.evaluate(
        {"raw": x}, music, k=K, seeds=3, clusterers=["kmeans", "agglomerative", "gmm"], permutations=599, clouds=0,
        subsamples=0,
    )  # fmt: skip
    assert (metrics.holm(found.rows["p_value"]) <= LEVEL).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda music, x: protocol.evaluate({"raw": x[1:]}, music, k=4),
            r"raw must have a row for each of 60 .*\(59, 5\)",
        ),
        (lambda music, x: protocol.evaluate({"raw": x}, music, k=4, common=x.T), r"common must have .*\(5, 60\)"),
        (
            lambda music, x: protocol.evaluate({"raw": x}, music, k=4, target="mood"),
            "target must be one of genre, lang",
        ),
        (
            lambda music, x: protocol.evaluate({"raw": x}, music, k=4, clusterers=["birch"]),
            "name must be one of kmeans",
        ),
        (lambda music, x: protocol.evaluate({"raw": x}, music, k=1), "k must be a whole number from 2 to 60, got 1"),
        (
            lambda music, x: protocol.evaluate({"raw": x[:9]}, music, k=4, whole=music.select(np.arange(60) < 9)),
            "corpus must be part of whole, which has no track 'track0009'",
        ),
        (lambda music, x: protocol.score({"a": np.zeros((2, 9), int)}, music, k=4), "a must have a row for each of 60"),
    ],
)
def test_bad_input_is_one_clear_error(music, x, call, message):
    with pytest.raises(ParameterError, match=message):
        call(music, x)


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        (("good", "bad"), "0 rows have metric='ari', space='labels', model='bad'; there must be exactly one"),
        (("good", {"clusterer": "kmeans"}), "4 rows have .*; they differ in model"),
        ((["good", "fair"], ["fair"]), "as many sides, got 2 and 1"),
        (("good", [{"singer": "x"}]), "column must be one of corpus, n, .*, got 'singer'"),
        (("good", []), "as many sides, got 0 and 0"),
    ],
)
def test_a_side_of_a_verdict_is_exactly_one_row(methods, sides, message):
    first, against = sides
    against = [against] if isinstance(against, dict) else against
    with pytest.raises(ParameterError, match=message):
        protocol.verdicts(methods[1], first, against)


def test_verdicts_compare_only_what_was_measured_on_the_same_tracks(methods, music, x):
    other = protocol.score({"elsewhere": np.arange(TRACKS) % K}, music, k=K, permutations=1)
    with pytest.raises(ParameterError, match=r"same tracks and target.* not good against elsewhere"):
        protocol.verdicts([*methods[1], other], "good", "elsewhere")
