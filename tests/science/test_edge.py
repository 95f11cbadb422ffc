"""The library's edge: whatever is given, a clear error or a finite result of the documented shape."""

from collections import Counter
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from vae_lib import cluster, corpus, features, metrics, models, protocol, synth, train
from vae_lib.checks import ParameterError
from vae_lib.features import lyrics, sound

CLEAR = (ParameterError, train.DivergenceError, InvalidParameterError)  # the last names an option of scikit-learn
NUMBERS = (-1, 0, 1, 2.5, np.nan, np.inf, -np.inf, 1e308, 1e-320, 2**31, 2**32, 2**64, 10**400, True, None, "3", [3])
TEXTS = ("", "nope", "\n", None, 3, ["x"])
X = np.random.default_rng(0).normal(size=(24, 5))
GENRE, FOUND = np.repeat(["a", "b", "c"], 8), np.stack([np.repeat([0, 1, 2], 8), np.tile([0, 1, 2], 8)])
WORDS = ["rain on the river", "rain on the roof", "dance all night", "dance till morning", None]
SECOND = np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050)
SMALL = {"seed": 0, "epochs": 1, "latent_dim": 2, "hidden": [4]}


def score(values):
    return metrics.Score("ari", "labels", values)


def like(*names):
    """Check that a result is finite, with as many rows as the arguments of these names have, or are."""

    def check(result, given):
        sizes = [given[name] if isinstance(given[name], int) else len(given[name]) for name in names]
        return result.shape[: len(sizes)] == tuple(sizes) and np.isfinite(result).all()

    return check


def finite(result, _):
    return bool(np.isfinite(result).all())


def means(result, _):
    """Check that scores are finite, or say why not."""
    scores = result if isinstance(result, list) else result.scores
    return all(np.isfinite(of.mean) or of.reason for of in scores)


def calls():
    """Every function by name with arguments that are right, and what its result must be."""
    music, fit = corpus.load("gtzan-mini"), train.fit("vae", X, **SMALL)
    told = train.fit("cvae", X, condition=GENRE, **SMALL)
    factors = {"genre": GENRE, "tempo": X[:, 0]}
    mel = features.frame_features(SECOND).mel
    song = synth.factors(1).iloc[0].to_dict()
    tables = {"x": X, "k": 3, "seed": 0}
    drawn = {"labels_true": GENRE, "permutations": 9, "subsamples": 100, "seed": 0}
    named = {"metric": "ari", "paired": True, "draws": 100, "seed": 0}
    return {
        "extract": (features.extract, {"y": SECOND, "sample_rate": 22_050}, lambda r, _: finite(r[0], _)),
        "log_mel_image": (features.log_mel_image, {"mel": mel}, lambda r, _: r.shape == (64, 128) and finite(r, _)),
        "band_statistics": (features.band_statistics, {"images": X.reshape(5, 4, 6)}, like("images")),
        "outliers": (features.outliers, {"table": pd.DataFrame(X), "limit": 5.0, "top": 3}, lambda r, _: len(r) > 0),
        "standardised": (lambda columns: features.standardised(music, columns=columns), {"columns": ["tempo"]}, finite),
        "lyrics.clean": (lyrics.clean, {"text": "la la"}, lambda r, _: isinstance(r, str)),
        "lyrics.embed": (
            lyrics.embed,
            {"texts": WORDS, "method": "lsa", "dimensions": 2, "seed": 0, "ngrams": (2, 4)},
            lambda r, given: r.shape == (len(given["texts"]), given["dimensions"]),
        ),
        "lyrics.missing": (lyrics.missing, {"vectors": X}, like("vectors")),
        "lyrics.centre_by": (lyrics.centre_by, {"vectors": X, "groups": GENRE}, lambda r, _: not np.isinf(r).any()),
        "from_log_mel": (
            sound.from_log_mel,
            {"image": -np.abs(X[:16]), "seconds": 1, "sample_rate": 16_000, "iterations": 1, "seed": 0},
            finite,
        ),
        "kmeans": (partial(cluster.fit_predict, "kmeans"), tables, like("x")),
        "gmm": (partial(cluster.fit_predict, "gmm"), tables, like("x")),
        "spectral": (partial(cluster.fit_predict, "spectral"), tables | {"neighbours": 5}, like("x")),
        "ward": (
            partial(cluster.fit_predict, "agglomerative"),
            tables | {"linkage": "ward"},
            like("x"),
        ),
        "dbscan": (cluster.fit_predict, {"name": "dbscan", "x": X, "k": None, "neighbours": 3, "eps": 1.0}, like("x")),
        "per_seed": (cluster.per_seed, {"name": "kmeans", "x": X, "k": 3, "seeds": 2}, finite),
        "k_distances": (cluster.k_distances, {"x": X, "neighbours": 3}, like("x")),
        "knee": (cluster.knee, {"curve": np.array([1.0, 1.1, 1.2, 9.0])}, finite),
        "co_association": (cluster.co_association, {"clusterings": FOUND}, finite),
        "consensus": (cluster.consensus, {"clusterings": FOUND, "k": 3, "seed": 0}, finite),
        "stability": (cluster.stability, {"clusterings": FOUND}, finite),
        "k_scores": (
            cluster.k_scores,
            {"x": X, "candidates": [2, 3], "clusterer": "kmeans", "seeds": 2, "share": 0.8},
            lambda r, _: all(np.isfinite(row["stability"]) for row in r),
        ),
        "pca": (cluster.pca, {"x": X, "components": 2}, like("x", "components")),
        "tsne": (cluster.project, {"x": X, "method": "tsne", "seed": 0, "neighbours": 5}, like("x")),
        **{
            name: (getattr(metrics, name), {"labels_true": GENRE, "labels_pred": FOUND[0]}, finite)
            for name in ("ari", "ami", "nmi", "purity", "accuracy")
        },
        **{
            name: (getattr(metrics, name), {"x": X, "labels_pred": FOUND[0]}, finite)
            for name in ("silhouette", "calinski_harabasz", "davies_bouldin")
        },
        "ari_solutions": (
            metrics.ari_solutions,
            {"value": 0.2, "purity": 0.4, "n": 20, "classes": 4, "clusters": 4},
            lambda r, _: isinstance(r, list),
        ),
        "external_scores": (metrics.external_scores, drawn | {"clusterings": FOUND, "noise": None}, means),
        "internal_scores": (metrics.internal_scores, {"x": X, "clusterings": FOUND, "noise": None}, means),
        "gaussian_null": (
            metrics.gaussian_null,
            {"x": X, "clusterer": lambda x, _: np.arange(len(x)) % 3, "draws": 3, "seed": 0},
            lambda r, given: all(len(of) == given["draws"] for of in r.values()),
        ),
        "holm": (metrics.holm, {"p_values": [0.1, 0.2, np.nan]}, lambda r, given: len(r) == len(given["p_values"])),
        "vargha_delaney_a": (metrics.vargha_delaney_a, {"first": [0.1, 0.2], "second": [0.2, 0.3]}, finite),
        "compare": (
            lambda first, second, **given: metrics.compare(score(first), score(second), **given),
            {"first": [0.1, 0.2, 0.4], "second": [0.2, 0.3, 0.1], "paired": True, "draws": 99, "seed": 0},
            lambda r, _: np.isfinite(r.difference),
        ),
        "compare_clusterings": (
            metrics.compare_clusterings,
            {"labels_true": GENRE, "first": FOUND, "second": FOUND[::-1]} | named,
            lambda r, _: np.isfinite([r.difference, r.low, r.high]).all(),
        ),
        "coverage": (metrics.coverage, {"labels_pred": FOUND}, finite),
        "without_noise": (metrics.without_noise, {"labels_pred": FOUND, "noise": "singletons"}, finite),
        "mig": (metrics.mig, {"latents": X, "factors": factors, "bins": 4}, finite),
        "sap": (metrics.sap, {"latents": X, "factors": factors, "bins": 4}, finite),
        "probe": (metrics.probe, {"x": X, "labels": GENRE, "groups": None, "folds": 2, "seed": 0}, means),
        "evaluate": (
            lambda of, **given: protocol.evaluate({"x": of}, music, clusterers=["kmeans"], clouds=0, **given),
            {"of": features.standardised(music), "k": 3, "seeds": 2, "target": "genre", "permutations": 9}
            | {"subsamples": 0},
            means,
        ),
        "score": (
            lambda of, **given: protocol.score({"x": of}, music, **given),
            {"of": np.arange(100) % 3, "k": 3, "target": "genre", "permutations": 9, "subsamples": 0},
            means,
        ),
        "synth.factors": (synth.factors, {"count": 3, "seed": 0}, lambda r, given: len(r) == given["count"]),
        "synth.render": (lambda **row: synth.render(row, seconds=1, sample_rate=16_000), song, finite),
        "corpus.load": (corpus.load, {"name": "gtzan-mini"}, lambda r, _: len(r) > 0),
        "select": (music.select, {"which": [*music.tracks.index[:3]]}, lambda r, _: len(r) > 0),
        "compose": (
            models.compose,
            {"shapes": {"audio": (5,)}, "categories": 0, "latent_dim": 2, "hidden": [4], "channels": [2]}
            | {"dropout": 0.1, "normalisation": "layer", "input_noise": 0.1, "components": 0, "errors": None},
            lambda r, _: isinstance(r, models.VAE),
        ),
        "fit": (
            lambda **given: train.fit(pretrain_epochs=1, **given).latents,
            {"recipe": "vae", "arrays": X, "seed": 0, "epochs": 1, "condition": None, "batch_size": 16}
            | {"learning_rate": 1e-3, "weight_decay": 0.01, "beta": 1.0, "warmup": 1, "free_bits": 0.0}
            | {"validation": 0.1, "patience": None, "device": "auto", "latent_dim": 2, "hidden": [4], "dropout": 0.1},
            like("arrays", "latent_dim"),
        ),
        "fit_seeds": (
            lambda **given: train.fit_seeds("vae", X, cache=False, progress=False, epochs=0, **given).latents,
            {"seeds": 1, "workers": 1, "latent_dim": 2},
            finite,
        ),
        "embed": (lambda **given: train.embed(fit, **given), {"arrays": X}, like("arrays")),
        "embed, told": (lambda **given: train.embed(told, **given), {"arrays": X, "condition": GENRE}, like("arrays")),
        "decode": (lambda latents: train.decode(fit, latents)["audio"], {"latents": fit.latents}, like("latents")),
        "bound": (lambda **given: train.bound(fit, **given), {"arrays": X, "samples": 2, "variance": "own"}, finite),
    }


def instead_of(value):
    """What may be given instead of a right value, by mistake or malice."""
    if isinstance(value, str):
        return TEXTS
    if isinstance(value, bool | int | float | None):
        return NUMBERS
    if isinstance(value, dict):
        return [{}, *({**value, name: bad} for name in value for bad in instead_of(value[name]))]
    if not isinstance(value, list | tuple | np.ndarray | pd.DataFrame):
        return [value]
    whole = np.array(value, dtype=None if all(of is not None for of in value) else object)
    bad = [[], whole[:1], whole[:2], whole[:-1], whole[None], whole[..., 0], [[1, 2], [3]], [*value]]
    bad += [np.concatenate([whole, whole[:1]]), np.repeat(whole[:1], len(whole), axis=0), np.full(whole.shape, "x")]
    if whole.dtype.kind in "if":
        floats = whole.astype(float)
        for odd in (np.nan, np.inf, -np.inf, 1e300, 1e18, 1e-300, -1):
            bad.append(floats.copy())
            bad[-1].flat[0] = odd
        bad += [floats * factor for factor in (1e300, 1e30, 1e-30, 1e-300, 0, np.nan)]
        bad += [floats + 1e12, floats.astype(np.float16), np.where(floats == floats.flat[0], None, floats)]
        bad.append(np.repeat(floats[:1], len(floats), axis=0))
        bad[-1].flat[-1] += 1e-12  # nearly the same
    if isinstance(value, pd.DataFrame):
        return [pd.DataFrame(of) for of in bad if isinstance(of, np.ndarray) and of.ndim == 2]
    return bad


def campaign(most):
    """Give each function so many calls, in each of which one argument is wrong; count what comes of it."""
    told, counted, generator = [], Counter(), np.random.default_rng(0)
    for name, (function, right, holds) in calls().items():
        assert holds(function(**right), right), name
        wrong = [(argument, bad) for argument, value in right.items() for bad in instead_of(value)]
        for place in generator.permutation(len(wrong))[:most]:
            argument, bad = wrong[place]
            if argument in EFFORT and isinstance(bad, int) and bad > 10**6:
                continue  # it is allowed, and takes for ever
            given = right | {argument: bad}
            try:
                outcome = "right" if holds(function(**given), given) else "silent"
            except CLEAR:
                outcome = "clear errors"
            except Exception as error:
                outcome = f"raw errors, {error!r}"
            counted[outcome.partition(",")[0]] += 1
            if outcome not in ("right", "clear errors"):
                told.append(f"{name}({argument}={bad!r}): {outcome}")
    return told, counted


EFFORT = {"epochs", "samples", "iterations"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("most", [10, pytest.param(1000, marks=pytest.mark.slow)])
def test_wrong_arguments_are_clear_errors_or_give_what_is_documented(most, capsys):
    told, counted = campaign(most)
    with capsys.disabled():
        print(f"\nedge: {counted.total()} cases,", ", ".join(f"{count} {what}" for what, count in counted.items()))
    assert not told, "\n".join(told)


# Projections: what t-SNE and UMAP cannot lay out ended the process.


@pytest.mark.parametrize("method", cluster.PROJECTIONS)
@pytest.mark.parametrize(
    "x",
    [np.ones((24, 5)), X * 1e-140, X * 1e140, X[:, :1], np.vstack([X[:-1], np.full((1, 5), 1e18)]), 1 + X * 1e-12],
    ids=["identical", "tiny", "huge", "one column", "one far away", "nearly identical"],
)
def test_any_table_is_laid_out(x, method):
    points = cluster.project(x, method=method, seed=0, neighbours=5)
    assert points.shape == (24, 2)
    assert np.isfinite(points).all()
    assert np.ptp(points) > 0 or (x == 1).all()
