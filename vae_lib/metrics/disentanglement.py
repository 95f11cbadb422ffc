"""How the latents stand to known factors, and how much of a label a supervised probe finds in them.

MIG, SAP and DCI ask whether each factor has a latent of its own. All grow by chance where tracks are few, so
`disentanglement_scores` gives each beside what it is when the factors are dealt anew to the tracks. A factor of floats
is continuous; strings, integers, booleans and categories are categories. `probe` is trained with the labels: it is a
ceiling for what a clustering of the same space can find, and no result of a method without labels.
"""

from collections.abc import Hashable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special, stats
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vae_lib import checks
from vae_lib.checks import ParameterError
from vae_lib.metrics.agreement import contingency, entropy, mutual_information
from vae_lib.metrics.base import Measure
from vae_lib.metrics.chance import Score

BINS = 20
TREES = 50

MEASURES: Mapping[str, Measure] = {
    "mig": Measure("MIG", 0.0, 1.0),
    "sap": Measure("SAP", 0.0, 1.0),
    "disentanglement": Measure("Disentanglement", 0.0, 1.0),
    "completeness": Measure("Completeness", 0.0, 1.0),
    "informativeness": Measure("Informativeness", -np.inf, 1.0),
    "probe_accuracy": Measure("Probe accuracy (ceiling)", 0.0, 1.0),
    "probe_balanced_accuracy": Measure("Probe balanced accuracy (ceiling)", 0.0, 1.0),
    "probe_r2": Measure("Probe R² (ceiling)", -np.inf, 1.0),
}
"""Every measure of this module by name, in the order in which tables show them."""

Factors = Mapping[Hashable, np.ndarray] | pd.DataFrame


class DCI(NamedTuple):
    """Disentanglement, completeness and informativeness, and what they are made of.

    Attributes
    ----------
    disentanglement : float
        From 0 to 1: whether a latent serves a single factor, latents weighted by their importance.
    completeness : float
        From 0 to 1: whether a factor is served by a single latent, mean over factors.
    informativeness : float
        At most 1: how well the factors are predicted for tracks left out, mean over `by_factor`.
    by_factor : dict of factor to float
        R² of a continuous factor, balanced accuracy of a category.
    importance : array of float, shape (latents, factors)
        Of each latent for predicting each factor; a column sums to 1, or is 0 where nothing predicts.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    by_factor: dict[Hashable, float]
    importance: np.ndarray


def mig(latents: np.ndarray, factors: Factors, *, bins: int = BINS) -> float:
    """Mutual information gap (Chen et al. 2018): how much more of a factor one latent knows than any other.

    The mutual information of a factor with the latent that knows most of it, minus that with the next, over the
    factor's entropy; mean over factors. From 0 to 1, higher is better.

    Parameters
    ----------
    latents : array-like, shape (n, d)
        At least 2 latents.
    factors : mapping of name to array-like, shape (n,), or DataFrame
        Without missing values, each with two different ones at least.
    bins : int
        Intervals into which latents and continuous factors are cut, as in Locatello et al. (2019) but equally filled,
        so that only the order of values matters and a far-out track does not empty the rest.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> key, mode = (values.ravel() for values in np.meshgrid(np.arange(12), [0, 1]))
    >>> factors = {"key": key, "mode": mode}
    >>> round(metrics.mig(np.c_[key, mode], factors), 2), round(metrics.mig(np.c_[key, key], factors), 2)
    (1.0, 0.0)
    """
    latents, factors = _latents(latents), _factors(factors, length=len(latents))
    return float(_mig(latents, {name: values[None] for name, values in factors.items()}, bins)[0])


def sap(latents: np.ndarray, factors: Factors, *, bins: int = BINS) -> float:
    """Separated attribute predictability (Kumar et al. 2018): how much better one latent predicts a factor than others.

    The score of the latent that predicts a factor best, minus that of the next, mean over factors: R² of a linear fit
    for a continuous factor, balanced accuracy of thresholds on the latent for a category. The thresholds are those
    between `bins` equally filled intervals, each of which votes for one category. From 0 to 1, higher is better; a
    category of c values adds at most 1 − 1/c, because guessing alone gives every latent 1/c. Arguments as in `mig`.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> tempo, loudness = (values.ravel() for values in np.meshgrid(np.linspace(60, 180, 10), np.linspace(0, 1, 10)))
    >>> round(metrics.sap(np.c_[tempo, loudness], {"tempo": tempo, "loudness": loudness}), 2)
    1.0
    """
    latents, factors = _latents(latents), _factors(factors, length=len(latents))
    return float(_sap(latents, {name: values[None] for name, values in factors.items()}, bins)[0])


def dci(latents: np.ndarray, factors: Factors, *, seed: int = 0) -> DCI:
    """Disentanglement, completeness and informativeness (Eastwood & Williams 2018), by forests of 50 trees.

    A forest predicts each factor from all latents; the importance of latents for factors is that of its splits.
    Disentanglement and completeness are one minus the entropy of a latent's importance over factors, and of a
    factor's over latents. Informativeness is measured on the tracks that a tree was not grown from. `latents` and
    `factors`, at least 2, are as in `mig`; `seed` is that of the forests.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> tempo, loudness = (values.ravel() for values in np.meshgrid(np.linspace(60, 180, 10), np.linspace(0, 1, 10)))
    >>> found = metrics.dci(np.c_[tempo, loudness], {"tempo": tempo, "loudness": loudness})
    >>> found.disentanglement > 0.9, found.completeness > 0.9, found.importance.round(1).tolist()
    (True, True, [[1.0, 0.0], [0.0, 1.0]])
    """
    latents, factors = _latents(latents), _factors(factors, length=len(latents))
    checks.count(seed, "seed", low=0)
    if len(factors) < 2:
        raise ParameterError("factors must be at least 2 for a latent to serve one of them, got 1")
    fits = {name: _forest(latents, values, seed=seed) for name, values in factors.items()}
    importance = np.stack([of for of, _ in fits.values()], axis=1)
    by_factor = {name: score for name, (_, score) in fits.items()}
    weights = importance.sum(1) / max(importance.sum(), np.finfo(float).tiny)
    return DCI(
        disentanglement=float(weights @ _concentration(importance)),
        completeness=float(_concentration(importance.T).mean()),
        informativeness=float(np.mean(list(by_factor.values()))),
        by_factor=by_factor,
        importance=importance,
    )


def disentanglement_scores(
    latents: np.ndarray,
    factors: Factors,
    *,
    permutations: int = 100,
    refits: int = 10,
    bins: int = BINS,
    seed: int = 0,
) -> list[Score]:
    """Score MIG, SAP and DCI over seeds, beside chance.

    For the chance level the rows of factors are permuted, all factors and all seeds alike: the factors keep what they
    have in common, and the latents lose what they know of them.

    Parameters
    ----------
    latents : array-like, shape (seeds, n, d) or (n, d)
    factors, bins
        As in `mig`; at least 2 factors.
    permutations, refits : int
        Draws of the null distribution of MIG and SAP, and of that of DCI, which grows all forests anew for each.
    seed : int
        Of permutations and forests.

    Returns
    -------
    list of Score
        "mig", "sap", "disentanglement", "completeness" and "informativeness", in the space "labels": what latents say
        of known labels.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> rng = np.random.default_rng(0)
    >>> factors = {"tempo": rng.uniform(60, 180, 60), "brightness": rng.uniform(0, 1, 60)}
    >>> scores = metrics.disentanglement_scores(rng.normal(size=(60, 4)), factors, permutations=20, refits=2)
    >>> [(score.metric, score.p_value > 0.05) for score in scores][:2]  # these latents know nothing
    [('mig', True), ('sap', True)]
    """
    spaces = [*map(_latents, checks.spaces(latents, "latents"))]
    n, factors = len(spaces[0]), _factors(factors, length=len(spaces[0]))
    checks.count(refits, "refits", high=checks.count(permutations, "permutations", high=checks.DRAWS))
    rng = np.random.default_rng(checks.count(seed, "seed", low=0))
    order = rng.permuted(np.broadcast_to(np.arange(n), (permutations, n)), axis=1)
    draws = {name: values[np.vstack([np.arange(n), order])] for name, values in factors.items()}  # the first as it is

    def by_forests(points: np.ndarray) -> list[tuple[float, float, float]]:
        return [dci(points, {name: of[at] for name, of in draws.items()}, seed=seed)[:3] for at in range(1 + refits)]

    found = {
        "mig": [_mig(points, draws, bins) for points in spaces],
        "sap": [_sap(points, draws, bins) for points in spaces],
    } | dict(zip(DCI._fields, np.moveaxis([by_forests(points) for points in spaces], 2, 0), strict=False))
    return [
        Score(name, "labels", np.array(values)[:, 0], np.array(values)[:, 1:].mean(0)) for name, values in found.items()
    ]


def probe(
    x: np.ndarray, labels: np.ndarray, *, groups: np.ndarray | None = None, folds: int = 5, seed: int = 0
) -> list[Score]:
    """Train a linear model to tell the labels from `x`: a ceiling, since it sees labels and a clustering does not.

    Logistic regression for categories and ridge regression for continuous labels, on standardised columns; every
    track is predicted by a model that was trained without its fold.

    Parameters
    ----------
    x : array-like, shape (seeds, n, d) or (n, d)
    labels : array-like, shape (n,)
        Floats are continuous, anything else categories.
    groups : array-like, shape (n,), optional
        Tracks of one group, such as an artist, are never on both sides. None may be missing: whether tracks of unknown
        artist stand apart or together is for the caller to say.
    folds, seed : int
        Number of folds, at least 2, and their seed; they are the same for every space.

    Returns
    -------
    list of Score
        In the space "labels", one value per space: "probe_accuracy" and "probe_balanced_accuracy", or "probe_r2". Their
        chance level is what the best guess without `x` scores: the share of the commonest category, one over the number
        of categories, or 0.

    Raises
    ------
    ParameterError
        If a category has fewer tracks than folds, or is by a single group, so that it cannot be learnt from others.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> language = np.repeat(["bangla", "english"], 20)
    >>> x = np.c_[language == "bangla", np.random.default_rng(0).normal(size=40)]
    >>> [(score.metric, score.mean, score.chance) for score in metrics.probe(x, language)]
    [('probe_accuracy', 1.0, 0.5), ('probe_balanced_accuracy', 1.0, 0.5)]
    """
    spaces = checks.spaces(x, "x")
    values = _factor(labels, "labels", length=len(spaces[0]))
    continuous = values.dtype.kind == "f"
    checks.count(seed, "seed", low=0)
    groups = None if groups is None else checks.labels(groups, "groups", length=len(values))
    several = len(values) if groups is None else groups.max() + 1
    checks.count(folds, "folds", low=2, high=several if continuous else min(several, np.bincount(values).min()))
    if groups is not None and not continuous:
        alone = [code for code in np.unique(values) if len(np.unique(groups[values == code])) < 2]
        if alone:
            raise ParameterError(
                f"labels must each be in at least 2 groups to be learnt from others: {len(alone)} of "
                f"{values.max() + 1} are in one, the first in row {int(np.argmax(values == alone[0]))}"
            )
    kinds = {(True, True): GroupKFold, (True, False): KFold, (False, True): StratifiedGroupKFold}
    split = kinds.get((continuous, groups is not None), StratifiedKFold)(folds, shuffle=True, random_state=seed)
    predictor = RidgeCV(np.logspace(-2, 4, 7)) if continuous else LogisticRegression(max_iter=1000)
    model = make_pipeline(StandardScaler(), predictor)
    predicted = [cross_val_predict(model, points, values, cv=split, groups=groups) for points in spaces]
    if continuous:
        return [Score("probe_r2", "labels", np.array([r2_score(values, of) for of in predicted]), np.zeros(1))]
    sizes = np.bincount(values)
    right = np.array([(values == of).mean() for of in predicted])
    balanced = np.array([balanced_accuracy_score(values, of) for of in predicted])
    return [
        Score("probe_accuracy", "labels", right, sizes.max(keepdims=True) / len(values)),
        Score("probe_balanced_accuracy", "labels", balanced, np.array([1 / len(sizes)])),
    ]


def _latents(latents: np.ndarray) -> np.ndarray:
    latents = checks.matrix(latents, "latents")
    if latents.shape[1] < 2:
        raise ParameterError("latents must have at least 2 columns to tell the best from the next, got 1")
    return latents


def _factors(factors: Factors, *, length: int) -> dict[Hashable, np.ndarray]:
    found = {name: _factor(factors[name], f"factors[{name!r}]", length=length) for name in factors}
    if not found:
        raise ParameterError("factors must have at least one factor, got none")
    return found


def _factor(values: np.ndarray, name: str, *, length: int) -> np.ndarray:
    """Floats if it is continuous, else integer codes."""
    array = checks.array(values, name)
    codes = checks.labels(array, name, length=length)
    if codes.max() == 0:
        raise ParameterError(f"{name} must have at least 2 different values, got one, {array.tolist()[0]!r}")
    return checks.matrix(array[:, None], name)[:, 0] if array.dtype.kind == "f" else codes


def _cut(values: np.ndarray, bins: int) -> np.ndarray:
    """Codes of equally filled intervals along the last axis; equal values stay together."""
    checks.count(bins, "bins", low=2, high=1000)
    return ((stats.rankdata(values, axis=-1) - 0.5) / values.shape[-1] * bins).astype(int)


# The two functions below take factors in m versions, each of shape (m, n), and give scores of shape (m,).


def _mig(latents: np.ndarray, factors: Mapping[Hashable, np.ndarray], bins: int) -> np.ndarray:
    codes, gaps = _cut(latents.T, bins), []
    for values in factors.values():
        values = _cut(values, bins) if values.dtype.kind == "f" else values
        information = [mutual_information(contingency(values, code))[0] for code in codes]
        gaps.append(_gap(np.array(information)) / entropy(np.bincount(values[0])))
    return np.mean(gaps, axis=0)


def _sap(latents: np.ndarray, factors: Mapping[Hashable, np.ndarray], bins: int) -> np.ndarray:
    codes, standard, gaps = _cut(latents.T, bins), _standardised(latents.T), []
    for values in factors.values():
        if values.dtype.kind == "f":
            gaps.append(_gap((standard @ _standardised(values).T) ** 2))
            continue
        recalls = [contingency(values, code) / np.bincount(values[0])[:, None] for code in codes]
        gaps.append(_gap(np.array([recall.max(1).sum(1) / recall.shape[1] for recall in recalls])))
    return np.mean(gaps, axis=0)


def _standardised(rows: np.ndarray) -> np.ndarray:
    """Centred rows of length 1, so that products are correlations; constant rows are zero."""
    centred = rows - rows.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    flat = length <= 1e-12 * np.abs(rows).max(initial=1.0)
    return np.where(flat, 0.0, centred / np.where(flat, 1.0, length))


def _gap(scores: np.ndarray) -> np.ndarray:
    """Greatest minus second greatest of the latents, shape (d, m) to (m,)."""
    second, first = np.sort(scores, axis=0)[-2:]
    return first - second


def _forest(latents: np.ndarray, values: np.ndarray, *, seed: int) -> tuple[np.ndarray, float]:
    """Importance of each latent (d,) for predicting a factor, and the score on tracks left out."""
    continuous = values.dtype.kind == "f"
    forest = (ExtraTreesRegressor if continuous else ExtraTreesClassifier)(
        TREES, min_samples_leaf=5, max_features=None, bootstrap=True, oob_score=True, random_state=seed
    ).fit(latents, values)
    if continuous:
        return forest.feature_importances_, float(r2_score(values, forest.oob_prediction_))
    predicted = forest.classes_[forest.oob_decision_function_.argmax(1)]
    return forest.feature_importances_, float(balanced_accuracy_score(values, predicted))


def _concentration(importance: np.ndarray) -> np.ndarray:
    """One minus the entropy of each row's shares, in units of the greatest possible; 0 for a row of zeros."""
    total = importance.sum(1, keepdims=True)
    share = np.where(total > 0, importance / np.where(total > 0, total, 1.0), 1 / importance.shape[1])
    return 1 - special.entr(share).sum(1) / np.log(importance.shape[1])
