"""The one way from representations to result rows: cluster, score, hold against chance, compare.

`evaluate` clusters representations and scores the clusters; `score` scores clusters that are there already, such as a
consensus; `measured` makes rows of other scores, such as a reconstruction error. Each gives an `Evaluation`. `verdicts`
says of pairs of methods which does better, over seeds and tracks together. Labels serve the scores and nothing before.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vae_lib import checks, cluster, metrics
from vae_lib.checks import ParameterError
from vae_lib.corpus import Corpus
from vae_lib.metrics import Score

if TYPE_CHECKING:
    from vae_lib.train import Fits

FACTS = (
    "corpus", "n", "features", "model", "params", "clusterer", "k", "noise", "coverage", "target", "subset", "metric",
    "space",
)  # fmt: skip
COLUMNS = (
    *FACTS, "mean", "sd", "ci_low", "ci_high", "tracks_low", "tracks_high", "chance", "p_value", "seeds", "seconds",
    "values", "reason",
)  # fmt: skip
"""The columns of a result row, what was scored as far as `space` and then what came out.

`ci_low` to `ci_high` is over training seeds, `tracks_low` to `tracks_high` over draws of tracks; `values` holds one
number per seed; `reason` says why some are undefined.
"""

MARGIN = 0.02
"""Differences of scores up to this are none, unless a call says otherwise."""

Side = str | tuple[str, str] | Mapping[str, object]


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Scores of methods on one set of tracks.

    Attributes
    ----------
    rows : DataFrame
        One per measured value, columns as in `COLUMNS`.
    scores : list of Score
        The scores that the rows tell of, in their order, with null distributions.
    corpus : Corpus
        The whole whose tracks were scored, for the provenance.
    clusters : dict of (model, clusterer) to array of int, shape (seeds, n)
        −1 is noise. Empty where nothing was clustered.
    labels : DataFrame, shape (n, targets)
        What the clusters were compared with.
    """

    rows: pd.DataFrame
    scores: list[Score]
    corpus: Corpus
    clusters: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    labels: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __repr__(self) -> str:
        return f"Evaluation({self.corpus.name}: {len(self.clusters)} clusterings, {len(self.rows)} rows)"

    @property
    def corpora(self) -> dict[str, dict[str, str]]:
        """Content hash and source of the corpus by its name, for the provenance."""
        return {self.corpus.name: {"hash": self.corpus.hash, "source": self.corpus.source}}

    def score(self, **where: object) -> Score:
        """Give the one score whose row has these values, such as ``model="vae", metric="ari"``."""
        return self.scores[_only(self.rows, where)]


def evaluate(
    representations: "Mapping[str, np.ndarray | Fits]",
    corpus: Corpus,
    *,
    k: int,
    seeds: int | Sequence[int] = 10,
    target: str | Sequence[str] | None = "genre",
    clusterers: Sequence[str] | Mapping[str, Mapping[str, object]] = ("kmeans",),
    features: str | Mapping[str, str] = "audio summary",
    common: np.ndarray | None = None,
    subset: str = "all",
    whole: Corpus | None = None,
    permutations: int = 1000,
    clouds: int = 500,
    subsamples: int = 1000,
    params: Mapping[str, Mapping[str, object]] | None = None,
    seconds: Mapping[str, float] | None = None,
) -> Evaluation:
    """Cluster representations of the tracks of a corpus and score the clusters, each score beside chance.

    Parameters
    ----------
    representations : mapping of model to array, shape (n, d) or (seeds, n, d), or to Fits
        What to cluster, by the name that the rows give it. Fits stand for their latents, and bring their seeds, their
        settings and the seconds that they took.
    corpus : Corpus
        The tracks, n in number.
    k : int
        Number of clusters, for clusterers that are told it.
    seeds : int or sequence of int
        Seeds of the clusterer where all share one table (n, d). Where each seed has its own, it is clustered once:
        with the seed of its training, or else with its number.
    target : str, several or None
        Columns of ``corpus.tracks`` with the classes to compare with; the same clusters serve for all.
    clusterers : sequence of str, or mapping of str to options
        From `cluster.CLUSTERERS`. DBSCAN's noise counts twice, as singletons and as one cluster.
    features : str or mapping of model to str
        What the representations were made from, for the rows.
    common : array, shape (n, d) or (seeds, n, d), optional
        The one space in which shapes of clusters compare between representations; without it they are measured in
        the representation's own, "native", only.
    subset : str
        What to call the tracks, if they are part of a corpus.
    whole : Corpus, optional
        That corpus: representations and `common` then have its rows, of which those of `corpus` are taken.
    permutations, clouds, subsamples : int
        Draws behind the chance levels of label and of space metrics, and behind intervals over tracks. Without
        `clouds` there are no scores of shape, without `subsamples` no intervals over tracks.
    params, seconds : mapping of model to settings, and to seconds of training, optional
        For the rows, where a representation is no Fits that brings them.

    Returns
    -------
    Evaluation

    Raises
    ------
    ParameterError
        If a representation has another number of rows than there are tracks, or an argument is unknown.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from vae_lib import cluster, corpus, protocol
    >>> music = corpus.load("gtzan-mini")
    >>> x = StandardScaler().fit_transform(music.features)
    >>> spaces = {"raw": x, "pca": cluster.pca(x, 8)}
    >>> found = protocol.evaluate(spaces, music, k=10, seeds=2, common=x, permutations=99, clouds=9, subsamples=100)
    >>> found.rows.groupby(["space", "model"], sort=False)["metric"].count().unstack().loc["native"].to_dict()
    {'raw': 3, 'pca': 3}
    >>> found.score(model="raw", metric="ari").p_value  # no permutation of the genres does as well
    0.01
    """
    rows, labels = _rows(corpus, whole), _labels(corpus, target)
    spaces = {model: _table(of, model, rows, whole or corpus) for model, of in representations.items()}
    common = None if common is None else _table(common, "common", rows, whole or corpus)
    ways = clusterers if isinstance(clusterers, Mapping) else {name: {} for name in clusterers}
    nulls = {}

    def shape(name: str, space: str, model: str, x: np.ndarray) -> list[Score]:
        """Score the clusters of a model in a space; the clouds of the common space serve all models."""
        where = (name, None if common is not None and np.array_equal(x, common) else model)
        if where not in nulls:
            nulls[where] = metrics.gaussian_null(x, partial(_in_cloud, name, k, ways[name]), draws=clouds)
        return metrics.internal_scores(x, clusters[model, name], space=space, null=nulls[where], noise="cluster")

    entries, clusters = [], {}
    for model, of in representations.items():
        x, own = spaces[model], getattr(of, "seeds", None)
        starts = own if own is not None else range(len(x)) if x.ndim == 3 and isinstance(seeds, int) else seeds
        for name, options in ways.items():
            started = time.perf_counter()
            found = clusters[model, name] = cluster.per_seed(name, x, k, seeds=starts, **options)
            took = time.perf_counter() - started
            finds_k = not cluster.CLUSTERERS[name].takes_k
            about = {
                "features": _of(features, model),
                "model": model,
                "params": {**getattr(of, "settings", {}), **(params or {}).get(model, {}), **options},
                "clusterer": name,
                "k": float(np.mean(found.max(axis=1) + 1)) if finds_k else k,
                "subset": subset,
                "seconds": took + getattr(of, "seconds", 0.0) + (seconds or {}).get(model, 0.0),
            }
            shapes = shape(name, "native", model, x) if clouds else []
            if clouds and common is not None:
                shapes += shape(name, "common", model, common)
            entries += _external(found, labels, about, permutations, subsamples, noisy=finds_k, shapes=shapes)
    return _evaluation(entries, corpus, whole, clusters, labels)


def _in_cloud(name: str, k: int, options: Mapping[str, object], cloud: np.ndarray, draw: int) -> np.ndarray:
    return metrics.without_noise(cluster.fit_predict(name, cloud, k, seed=draw, **options), noise="cluster")


def score(
    clusters: Mapping[str, np.ndarray],
    corpus: Corpus,
    *,
    k: int,
    clusterer: str | Mapping[str, str] = "consensus",
    target: str | Sequence[str] = "genre",
    features: str | Mapping[str, str] = "audio summary",
    subset: str = "all",
    whole: Corpus | None = None,
    permutations: int = 1000,
    subsamples: int = 1000,
    params: Mapping[str, Mapping[str, object]] | None = None,
    seconds: Mapping[str, float] | None = None,
) -> Evaluation:
    """Score clusters that are there already, such as a consensus, or those of all tracks on a part of them.

    Parameters
    ----------
    clusters : mapping of model to array of int, shape (n,) or (seeds, n)
        −1 is noise, which then counts twice, as singletons and as one cluster.
    clusterer : str or mapping of model to str
        What to call the way in which they came about.
    corpus, k, target, features, subset, whole, permutations, subsamples, params, seconds
        As in `evaluate`.

    Returns
    -------
    Evaluation
        With label metrics only.

    Examples
    --------
    >>> from vae_lib import corpus, protocol
    >>> music = corpus.load("gtzan-mini")
    >>> guess = music.tracks["genre"].cat.codes.to_numpy() // 2  # of ten genres, two in each cluster
    >>> found = protocol.score({"guess": guess}, music, k=5, clusterer="by hand", permutations=99)
    >>> round(found.score(metric="accuracy").mean, 2), round(found.score(metric="accuracy").chance, 1)
    (0.5, 0.2)
    """
    rows, labels, entries, kept = _rows(corpus, whole), _labels(corpus, target), [], {}
    for model, of in clusters.items():
        about = {
            "features": _of(features, model),
            "model": model,
            "params": dict((params or {}).get(model, {})),
            "clusterer": _of(clusterer, model),
            "k": k,
            "subset": subset,
            "seconds": (seconds or {}).get(model, np.nan),
        }
        table = _table(np.atleast_2d(checks.array(of, model))[..., None], model, rows, whole or corpus)
        found = kept[model, about["clusterer"]] = table[..., 0].astype(int)
        entries += _external(found, labels, about, permutations, subsamples, noisy=bool((found == -1).any()))
    return _evaluation(entries, corpus, whole, kept, labels)


def measured(
    scores: Iterable[Score],
    corpus: Corpus,
    *,
    model: str,
    features: str = "audio summary",
    clusterer: str = "none",
    k: float = 0,
    target: str = "none",
    subset: str = "all",
    params: Mapping[str, object] | None = None,
    seconds: float = np.nan,
) -> Evaluation:
    """Make rows of scores that come from elsewhere: of training, of disentanglement, of a probe.

    Parameters
    ----------
    scores : iterable of Score
    target : str
        What scores in the space "labels" compare with: "genre", "factor" …
    corpus, model, features, clusterer, k, subset, params, seconds
        As in `evaluate`, of one model.

    Returns
    -------
    Evaluation

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import corpus, metrics, protocol
    >>> kl = metrics.Score("kl", "native", np.array([9.5, 10.5]))
    >>> found = protocol.measured([kl], corpus.load("gtzan-mini"), model="vae")
    >>> found.rows[["model", "metric", "mean", "seeds"]].to_dict("records")
    [{'model': 'vae', 'metric': 'kl', 'mean': 10.0, 'seeds': 2}]
    """
    about = {
        "features": features, "model": model, "params": dict(params or {}), "clusterer": clusterer, "k": k,
        "noise": "none", "coverage": 1.0, "subset": subset, "seconds": seconds,
    }  # fmt: skip
    return _evaluation([(about | {"target": target}, score) for score in scores], corpus, None)


def verdicts(
    evaluations: Evaluation | Sequence[Evaluation],
    first: Side | list[Side],
    against: Side | list[Side] | Mapping[str, Side],
    *,
    metric: str = "ari",
    paired: bool = True,
    margin: float = MARGIN,
    level: float = 0.05,
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Say of pairs of methods which does better: one line per pair, and all lines one family of tests.

    A difference is *above* or *below* if its p, corrected over the lines after Holm, is at most `level`; p is that of
    `metrics.compare_clusterings`, for which the difference must outlast an exchange of seeds and tracks together, and
    of seeds alone. Else it is *equal within* the margin if its whole 95 % interval is, each line by itself. Else it is
    *not decided*: that is no finding of equality. Where p sits at its floor, more seeds or draws could lower it.

    Parameters
    ----------
    evaluations : Evaluation or sequence of Evaluation
        Where the methods are found.
    first : str, (str, str) or mapping, or a list of these
        A model, a model and a clusterer, or columns of its row that single it out; one for all lines, or a list of one
        for each.
    against : the same, or mapping of title to such
        The other side of each line.
    metric : str
        One of `metrics.LABEL_METRICS`.
    paired : bool
        Whether equal seeds belong together, as in `metrics.compare_clusterings`.
    margin : float
        Differences up to this are none.
    level : float
        Chance of even one false finding among the lines, between 0 and 1.
    draws, seed : int
        As in `metrics.compare_clusterings`. With m lines, more than 2 m / `level` draws are needed to decide one.

    Returns
    -------
    DataFrame
        A line per pair: `difference` (first minus other), `low` and `high` of its 95 % interval over seeds and tracks
        together, `superiority` over seeds, `p_value`, `p_holm`, whether p is `at_floor`, and the `verdict`.

    Raises
    ------
    ParameterError
        If a side is not exactly one row, the sides of a line are not of the same tracks and target, or an argument is
        out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import corpus, protocol
    >>> music, rng = corpus.load("gtzan-mini"), np.random.default_rng(0)
    >>> genre = music.tracks["genre"].cat.codes.to_numpy()
    >>> def method(right):
    ...     return np.where(rng.random((10, 100)) < right, genre, rng.integers(0, 10, (10, 100)))
    >>> made = {"good": method(0.9), "fair": method(0.6), "as fair": method(0.6)}
    >>> found = protocol.score(made, music, k=10, permutations=99)
    >>> protocol.verdicts(found, ["good", "fair"], ["fair", "as fair"])["verdict"].tolist()
    ['above', 'not decided']
    """
    checks.one_of(metric, "metric", metrics.LABEL_METRICS)
    checks.in_range(margin, "margin", low=0, open_low=True)
    checks.in_range(level, "level", low=0, high=1, open_low=True)
    evaluations = [evaluations] if isinstance(evaluations, Evaluation) else evaluations
    named, others = isinstance(against, Mapping), against
    if not isinstance(against, list):
        others = list(against.values()) if named else [against]
    firsts = first if isinstance(first, list) else [first] * len(others)
    if len(firsts) != len(others) or not others:
        raise ParameterError(f"first and against must give as many sides, got {len(firsts)} and {len(others)}")
    titles, found = [], []
    for one, other in zip(firsts, others, strict=True):
        titles.append(f"{_title(one)} against {_title(other)}")
        clusters, labels, noise = zip(*(_side(evaluations, side, metric) for side in (one, other)), strict=True)
        if not labels[0].equals(labels[1]):
            raise ParameterError(f"the sides of a line must be of the same tracks and target, not {titles[-1]}")
        options = {"metric": metric, "paired": paired, "draws": draws, "noise": noise, "seed": seed}
        found.append(metrics.compare_clusterings(labels[0], *clusters, **options))
    table = pd.DataFrame(found, index=list(against) if named else titles)
    table = table[["difference", "low", "high", "superiority", "p_value"]]
    table["p_holm"] = metrics.holm(table["p_value"])
    table["at_floor"] = [of.p_value <= of.floor * (1 + 1e-9) for of in found]
    decided, small = table["p_holm"] <= level, (table["low"] >= -margin) & (table["high"] <= margin)
    words = ["above", "below", f"equal within ±{margin:g}".replace("±0.", "±.")]
    cases = [decided & (table["difference"] > 0), decided, small]
    return table.assign(verdict=np.select(cases, words, "not decided"))


def _side(evaluations: Sequence[Evaluation], side: Side, metric: str) -> tuple[np.ndarray, pd.Series, str | None]:
    """Clusters and labels that a side of a line means, and what noise counts as there."""
    where = side if isinstance(side, Mapping) else {"model": side}
    if isinstance(side, tuple):
        where = dict(zip(("model", "clusterer"), side, strict=True))
    evaluations = [of for of in evaluations if of.clusters]
    rows = pd.concat([of.rows.assign(place=place) for place, of in enumerate(evaluations)], ignore_index=True)
    row = rows.iloc[_only(rows, {"metric": metric, "space": "labels", **where})]
    of = evaluations[row["place"]]
    noise = None if row["noise"] == "none" else row["noise"]
    return of.clusters[row["model"], row["clusterer"]], of.labels[row["target"]], noise


def _title(side: Side) -> str:
    return side if isinstance(side, str) else ", ".join(map(str, side.values() if isinstance(side, Mapping) else side))


def _only(rows: pd.DataFrame, where: Mapping[str, object]) -> int:
    """Place of the one row in which every column has the value asked for."""
    for name in where:
        checks.one_of(name, "column", COLUMNS)
    fits = np.ones(len(rows), dtype=bool)
    for name, value in where.items():
        fits &= [cell == value for cell in rows[name]]
    if fits.sum() != 1:
        asked = ", ".join(f"{name}={value!r}" for name, value in where.items())
        differ = [name for name in FACTS if len(set(map(str, rows.loc[fits, name]))) > 1]
        hint = f"; they differ in {', '.join(differ)}" if differ else ""
        raise ParameterError(f"{fits.sum()} rows have {asked}; there must be exactly one{hint}")
    return int(fits.argmax())


def _rows(corpus: Corpus, whole: Corpus | None) -> np.ndarray:
    """Rows that the tracks of a corpus are in the whole of which it is a part."""
    rows = (whole or corpus).tracks.index.get_indexer(corpus.tracks.index)
    if (rows < 0).any():
        raise ParameterError(f"corpus must be part of whole, which has no track {corpus.tracks.index[rows.argmin()]!r}")
    return rows


def _table(of: "np.ndarray | Fits", name: str, rows: np.ndarray, whole: Corpus) -> np.ndarray:
    """Rows of a representation, shape (rows, d) or (seeds, rows, d)."""
    of = getattr(of, "latents", of)
    tables = checks.spaces(of, name)
    x = np.stack(tables) if checks.array(of, name).ndim == 3 else tables[0]
    if x.shape[-2] != len(whole):
        raise ParameterError(f"{name} must have a row for each of {len(whole)} tracks, got shape {x.shape}")
    return x[..., rows, :]


def _labels(corpus: Corpus, target: str | Sequence[str] | None) -> pd.DataFrame:
    target = [target] if isinstance(target, str) else target
    targets = [] if target is None else checks.listed(target, "target", of="columns")
    for name in targets:
        checks.one_of(name, "target", corpus.tracks.columns)
    return corpus.tracks[targets]


def _of(value: str | Mapping[str, str], model: str) -> str:
    return value if isinstance(value, str) else value[model]


def _external(
    found: np.ndarray,
    labels: pd.DataFrame,
    about: Mapping[str, object],
    permutations: int,
    subsamples: int,
    *,
    noisy: bool,
    shapes: Sequence[Score] = (),
) -> list[tuple[dict[str, object], Score]]:
    """Score clusterings against every target, for each way to count their noise, and add the scores of shape."""
    entries = []
    for noise in metrics.NOISE if noisy else (None,):
        facts = {**about, "noise": noise or "none", "coverage": float(metrics.coverage(found).mean())}
        for target in labels:
            scores = metrics.external_scores(
                labels[target], found, permutations=permutations, subsamples=subsamples, noise=noise
            )
            entries += [(facts | {"target": target}, score) for score in scores]
        if noise != "singletons":  # which have no shape
            entries += [(facts, score) for score in shapes]
    return entries


def _evaluation(
    entries: list[tuple[dict[str, object], Score]], corpus: Corpus, whole: Corpus | None, *more: object
) -> Evaluation:
    rows = []
    for facts, score in entries:
        of_tracks = {"corpus": corpus.name, "n": len(corpus)}
        found = {
            "target": facts["target"] if score.space == "labels" else "none",
            "metric": score.metric,
            "space": score.space,
            "mean": score.mean,
            "sd": score.sd,
            **dict(zip(("ci_low", "ci_high"), score.interval, strict=True)),
            **dict(zip(("tracks_low", "tracks_high"), score.tracks, strict=True)),
            "chance": score.chance,
            "p_value": score.p_value,
            "seeds": len(score.values),
            "values": list(score.values),
            "reason": score.reason,
        }
        rows.append({**of_tracks, **facts, **found})
    return Evaluation(
        pd.DataFrame(rows, columns=list(COLUMNS)), [score for _, score in entries], whole or corpus, *more
    )
