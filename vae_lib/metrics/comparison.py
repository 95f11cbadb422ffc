"""Whether one method does better than another: over seeds alone, or over seeds and tracks together."""

from math import comb
from typing import NamedTuple

import numpy as np
from scipy import stats

from vae_lib import checks
from vae_lib.checks import ParameterError
from vae_lib.metrics import agreement, base
from vae_lib.metrics.chance import LABEL_METRICS, Score, direction, subsamples_of, track_scatter


class Comparison(NamedTuple):
    """How one method's scores differ from another's; a positive difference speaks for the first.

    Attributes
    ----------
    metric, space : str
        As in `Score`.
    difference : float
        Mean of the first minus mean of the second, with the sign turned for a metric of which lower is better.
    low, high : float
        95 % interval of the difference.
    p_value : float
        Two-sided; NaN where there is nothing to test.
    superiority : float
        From 0 to 1, 0.5 being no effect: how often a seed of the first does better, ties counting half; of equal seeds
        if these are paired, else `vargha_delaney_a`.
    seeds : tuple of int
        Of the first and the second method.
    floor : float
        The least `p_value` that so many seeds and draws can give.
    """

    metric: str
    space: str
    difference: float
    low: float
    high: float
    p_value: float
    superiority: float
    seeds: tuple[int, int]
    floor: float = np.nan


def vargha_delaney_a(first: np.ndarray, second: np.ndarray) -> float:
    """How often a value of the first exceeds one of the second, ties counting half (Vargha & Delaney 2000).

    Over all pairs of values; from 0 to 1, 0.5 being no difference. Differences below 1e-12 are ties.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> metrics.vargha_delaney_a([0.3, 0.4], [0.1, 0.3])
    0.875
    """
    first, second = (checks.finite(checks.numbers(of, "values", "seeds"), "values") for of in (first, second))
    return _superiority(first[:, None] - second)


def _superiority(differences: np.ndarray) -> float:
    return float(((1 + np.sign(np.round(differences, 12))) / 2).mean())


def compare(first: Score, second: Score, *, paired: bool = True, draws: int = 9999, seed: int = 0) -> Comparison:
    """Compare two methods over seeds by a permutation test of their mean difference.

    Paired, the signs of the seeds' differences are flipped; unpaired, as for ensembles whose members are drawn anew,
    seeds are dealt anew to the two methods. Every way is tried where there are at most `draws` (13 paired seeds),
    else as many random ones. The test says whether training luck explains the difference, not whether other tracks
    would give it too; for that see `compare_clusterings`.

    Parameters
    ----------
    first, second : Score
        Of one metric in one space, on the same tracks. Not "native", which is another space for every method.
    paired : bool
        Whether equal positions in `values` belong together.
    draws, seed : int
        Most permutations to try, and the seed of random ones.

    Returns
    -------
    Comparison
        With a t interval over seeds, Welch's if they are not paired. Where neither method varies over its seeds, and
        they differ, there is nothing to test: interval and p are NaN.

    Raises
    ------
    ParameterError
        If metric or space differ or are of no use, a value is undefined, or the numbers of seeds do not allow it.

    Examples
    --------
    A method that is ahead on each of ten seeds, by as little as it may be:

    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> values = np.linspace(0.1, 0.3, 10)
    >>> found = metrics.compare(*(metrics.Score("ari", "labels", v) for v in (values + 0.01, values)))
    >>> round(found.difference, 6), found.superiority, found.p_value == found.floor == 2 / 2**10
    (0.01, 1.0, True)
    """
    for name in ("metric", "space"):
        one, other = getattr(first, name), getattr(second, name)
        if one != other:
            raise ParameterError(f"first and second must have the same {name}, got {one!r} and {other!r}")
    if first.space == "native":
        raise ParameterError("first and second must be of one space for all methods, got 'native': compare in 'common'")
    a, b = (
        direction(first.metric) * checks.numbers(score.values, name, "seeds")
        for name, score in (("first", first), ("second", second))
    )
    for name, values, score in (("first", a, first), ("second", b, second)):
        if len(values) < 2:
            raise ParameterError(f"{name} must have at least 2 seeds, got {len(values)}")
        if np.isnan(values).any():
            raise ParameterError(f"{name} must have a value for every seed: {score.reason or 'some are NaN'}")
        checks.finite(values, name)
    if paired and len(a) != len(b):
        raise ParameterError(f"first and second must have as many seeds to be paired, got {len(a)} and {len(b)}")
    checks.count(draws, "draws", low=99, high=checks.DRAWS)
    rng = np.random.default_rng(checks.count(seed, "seed", low=0))

    difference = float(a.mean() - b.mean())
    superiority = _superiority(a - b) if paired else vargha_delaney_a(a, b)
    floor = 2 / min(2 ** len(a) if paired else comb(len(a) + len(b), len(a)), draws + 1)
    if np.allclose([np.ptp(a), np.ptp(b)], 0) and abs(difference) > 1e-12:
        low = high = p_value = np.nan
    else:
        if np.ptp(a - b if paired else [*(a - a.mean()), *(b - b.mean())]) < 1e-12:
            low = high = difference
        else:
            test = stats.ttest_rel(a, b) if paired else stats.ttest_ind(a, b, equal_var=False)
            low, high = test.confidence_interval()
        p_value = stats.permutation_test(
            (a, b),
            lambda u, v, axis: u.mean(axis) - v.mean(axis),
            permutation_type="samples" if paired else "independent",
            vectorized=True,
            n_resamples=draws,
            rng=rng,
        ).pvalue
    numbers = (difference, float(low), float(high), float(p_value), superiority)
    return Comparison(first.metric, first.space, *numbers, (len(a), len(b)), floor)


def compare_clusterings(
    labels_true: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    metric: str = "ari",
    paired: bool = True,
    draws: int = 1000,
    noise: tuple[str | None, str | None] = (None, None),
    seed: int = 0,
) -> Comparison:
    r"""Compare two methods over seeds and tracks together.

    Each draw takes half of the tracks without replacement, the same for both methods, and as many seeds as there are
    with replacement, the same for both if they are paired. The scatter of the difference over tracks is that of
    `subsample_interval`; that over seeds, around the difference on all tracks, is stretched by
    :math:`\sqrt{s / (s - 1)}` and the ratio of the quantiles of t and normal, so that few seeds give the t interval.
    The sum of both is laid around the difference, and p is the least level at which that interval leaves 0 out. A
    difference must also be more than training luck on these tracks: p is never below that of `compare`, where seeds
    vary.

    Parameters
    ----------
    labels_true : array-like, shape (n,)
    first, second : array-like, shape (seeds, n) or (n,)
        One clustering per seed. A method with a single one is held against every seed of the other.
    metric : str
        One of `LABEL_METRICS`.
    paired : bool
        Whether equal seeds belong together.
    draws, seed : int
        Number of draws, at least 100, and their seed.
    noise : tuple
        What tracks with label −1 count as in `first` and in `second`, as in `external_scores`.

    Returns
    -------
    Comparison

    Examples
    --------
    Of ten seeds, each puts nine tracks of ten right, or seven of ten:

    >>> import numpy as np
    >>> from vae_lib import metrics
    >>> rng, genre = np.random.default_rng(0), np.arange(200) % 4
    >>> luck, wrong = rng.random((2, 10, 200)), rng.integers(0, 4, (2, 10, 200))
    >>> found = metrics.compare_clusterings(
    ...     genre, np.where(luck[0] < 0.9, genre, wrong[0]), np.where(luck[1] < 0.7, genre, wrong[1])
    ... )
    >>> 0 < found.low < found.difference < found.high, found.p_value == found.floor
    (True, True)
    """
    checks.one_of(metric, "metric", LABEL_METRICS)
    classes = checks.labels(labels_true, "labels_true")
    methods = [
        base.clusterings(of, length=len(classes), noise=counted)
        for of, counted in zip((first, second), noise, strict=True)
    ]
    most = max(map(len, methods))
    methods = [np.repeat(of, most, axis=0) if len(of) == 1 else of for of in methods]
    if paired and len(methods[0]) != len(methods[1]):
        raise ParameterError(f"first and second must have as many seeds to be paired, got {[*map(len, methods)]}")
    chosen = subsamples_of(len(classes), draws=draws, seed=seed)
    rng = np.random.default_rng([seed, 1])

    def score(true: np.ndarray, pred: np.ndarray) -> np.ndarray:
        return agreement.over_draws(true, pred, names=[metric])[0]

    values, over_tracks, over_seeds, picked = [], [], [], None
    for of in methods:
        values.append(score(classes, of))
        varied = of if (of != of[0]).any() else of[:1]
        parts = np.mean([score(classes[chosen], clusters[chosen]) for clusters in varied], axis=0)
        over_tracks.append(track_scatter(parts, n=len(classes), m=chosen.shape[1]))
        if picked is None or not paired:
            picked = rng.integers(len(of), size=(draws, len(of)))
        over_seeds.append(_seed_scatter(values[-1], picked))
    scatter = np.subtract(*over_tracks) + np.subtract(*over_seeds)
    difference = float(values[0].mean() - values[1].mean())
    high, low = difference - np.quantile(scatter, [0.025, 0.975])
    beyond = min((scatter >= difference - 1e-12).sum(), (scatter <= difference + 1e-12).sum())
    p_value, floor = min(1.0, 2 * (1 + beyond) / (1 + draws)), 2 / (1 + draws)
    superiority = _superiority(np.subtract(*values)) if paired else vargha_delaney_a(*values)
    if most > 1:
        luck = compare(*(Score(metric, "labels", of) for of in values), paired=paired, seed=seed)
        if not np.isnan(luck.p_value):
            p_value, floor = max(p_value, luck.p_value), max(floor, luck.floor)
    numbers = (difference, float(low), float(high), float(p_value), superiority)
    return Comparison(metric, "labels", *numbers, (len(methods[0]), len(methods[1])), floor)


def _seed_scatter(values: np.ndarray, picked: np.ndarray) -> np.ndarray:
    """Scatter of the mean over seeds for picks of seeds (draws, seeds); see `compare_clusterings`."""
    s = len(values)
    if s == 1:
        return np.zeros(len(picked))
    stretch = np.sqrt(s / (s - 1)) * stats.t.ppf(0.975, s - 1) / stats.norm.ppf(0.975)
    return stretch * (values - values.mean())[picked].mean(1)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Correct p-values for their number, step by step from the smallest (Holm 1979); NaN stays NaN.

    Below a level α, the chance of even one false finding among them all is at most α.

    Examples
    --------
    >>> from vae_lib import metrics
    >>> metrics.holm([0.01, 0.04, 0.03]).round(6).tolist()
    [0.03, 0.06, 0.06]
    """
    p_values = checks.listed(p_values, "p_values", of="numbers")
    corrected = checks.numbers(p_values, "p_values", "tests") if p_values else np.array([])
    known = np.flatnonzero(~np.isnan(corrected))
    for value in corrected[known]:
        checks.in_range(value, "p_values", low=0, high=1)
    order = known[np.argsort(corrected[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(corrected[order] * factors), 1.0)
    return corrected
