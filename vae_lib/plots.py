"""Figures: axes in, axes out; nothing is saved or shown here.

Colours come from one palette that survives colour blindness; groups also differ in marker, so that no reading rests
on colour alone.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from vae_lib import checks
from vae_lib.metrics import METRICS, Score

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 120,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "legend.frameon": False,
}
"""Settings for ``matplotlib.rcParams``; a notebook applies them, importing this module does not."""


def palette(count: int) -> list[tuple[float, float, float]]:
    """Colours of `count` groups: Okabe and Ito's in seaborn's version up to ten, evenly spaced hues beyond."""
    return list(sns.color_palette("colorblind" if count <= 10 else "husl", count))


def log_mel(image: np.ndarray, ax: Axes, *, title: str, seconds: float) -> Axes:
    """Draw a log-mel image, low bands at the bottom.

    Parameters
    ----------
    image : array, shape (bands, frames)
        In decibels below the loudest point.
    ax : Axes
    title : str
    seconds : float
        What the frames span.
    """
    ax.imshow(
        image, origin="lower", aspect="auto", cmap="magma", interpolation="nearest", extent=(0, seconds, 0, len(image))
    )
    ax.set(title=title, xlabel="time (s)", ylabel="mel band")
    return ax


def artists_per_genre(tracks: pd.DataFrame, ax: Axes) -> Axes:
    """Draw a bar per genre: its tracks, split into one block per artist, tracks of unknown artist in white.

    Parameters
    ----------
    tracks : pandas.DataFrame
        With columns `genre` and `artist`.
    ax : Axes
    """
    for row, (_, group) in enumerate(tracks.groupby("genre", observed=True)):
        counts = group["artist"].value_counts()
        ends = np.cumsum([*counts, group["artist"].isna().sum()])
        for block, (end, width) in enumerate(zip(ends, np.diff(ends, prepend=0), strict=True)):
            known = block < len(counts)
            shade = palette(1)[0] if known else "white"
            ax.barh(row, width, left=end - width, color=shade, edgecolor="white" if known else "grey", linewidth=1.5)
    genres = tracks["genre"].astype("category").cat.categories
    ax.set(yticks=range(len(genres)), yticklabels=genres, xlabel="tracks, one block per artist", ylabel="genre")
    ax.invert_yaxis()
    return ax


def training_curves(history: pd.DataFrame, column: str, ax: Axes, *, label: str, color: object = None) -> Axes:
    """Draw `column` of a training history: mean over seeds, and the range from the least to the greatest.

    Parameters
    ----------
    history : pandas.DataFrame
        As in ``train.Fit``.
    column : {"loss", "reconstruction", "kl", "active_units"}
    ax : Axes
    label : str
        For the legend.
    color : matplotlib colour, optional
    """
    units = {"loss": "nats per track", "reconstruction": "nats per track", "kl": "nats per track"}
    titles = {"kl": "KL divergence"}
    over_seeds = history.groupby("epoch")[column]
    mean = over_seeds.mean()
    (line,) = ax.plot(mean.index, mean, label=label, color=color)
    ax.fill_between(mean.index, over_seeds.min(), over_seeds.max(), color=line.get_color(), alpha=0.2, linewidth=0)
    ax.set(xlabel="epoch", ylabel=units.get(column, "latents"), title=titles.get(column, column.replace("_", " ")))
    return ax


def scores(by_method: Mapping[str, Score], ax: Axes) -> Axes:
    """Draw one metric of several methods: a dot per seed, a bar at the mean, and chance as a grey band.

    Parameters
    ----------
    by_method : mapping of str to Score
        All of one metric.
    ax : Axes
    """
    metric = METRICS[checks.one_of(next(iter({score.metric for score in by_method.values()})), "metric", METRICS)]
    colors = palette(len(by_method))
    for row, (score, color) in enumerate(zip(by_method.values(), colors, strict=True)):
        if len(score.null):
            low, high = np.quantile(score.null, [0.025, 0.975])
            ax.fill_betweenx([row - 0.4, row + 0.4], low, high, color="0.85", linewidth=0)
            ax.plot([score.chance] * 2, [row - 0.4, row + 0.4], color="0.5", linewidth=1)
        offsets = row + np.linspace(-0.2, 0.2, len(score.values))
        ax.plot(score.values, offsets, MARKERS[row % len(MARKERS)], color=color, alpha=0.6, markersize=4)
        ax.plot([score.mean] * 2, [row - 0.35, row + 0.35], color=color, linewidth=2.5)
    ax.set(yticks=range(len(by_method)), yticklabels=list(by_method), ylim=(len(by_method) - 0.5, -0.5))
    ax.set_xlabel(f"{metric.title} ({'higher' if metric.greater_is_better else 'lower'} is better)")
    return ax


def scatter(points: np.ndarray, labels: Sequence, ax: Axes, *, title: str, legend: str | None = None) -> Axes:
    """Draw a two-dimensional map, a colour and a marker per group.

    Parameters
    ----------
    points : array, shape (n, 2)
    labels : sequence, shape (n,)
        The groups.
    ax : Axes
    title : str
    legend : str, optional
        Title of the legend; none is drawn without it.
    """
    points = checks.matrix(points, "points")
    groups = pd.Categorical(labels)
    checks.labels(labels, "labels", length=len(points))
    for code, (group, color) in enumerate(zip(groups.categories, palette(len(groups.categories)), strict=True)):
        chosen = groups.codes == code
        marker = MARKERS[code % len(MARKERS)]
        ax.scatter(*points[chosen].T, s=22, color=color, marker=marker, label=group, linewidth=0, alpha=0.9)
    ax.set(title=title, xticks=[], yticks=[])
    if legend:
        ax.legend(title=legend, bbox_to_anchor=(1, 1), loc="upper left", fontsize="small")
    return ax


def contingency(table: pd.DataFrame, ax: Axes) -> Axes:
    """Draw counts of tracks as a heat map, one row per class, one column per cluster; zeros are left blank.

    Parameters
    ----------
    table : pandas.DataFrame
        Counts; the names of its index and columns label the axes.
    ax : Axes
    """
    text = table.astype(str).where(table > 0, "")
    sns.heatmap(table, annot=text, fmt="", cmap="Blues", linewidths=0.5, ax=ax, cbar_kws={"label": "tracks"})
    ax.tick_params(axis="y", rotation=0)
    return ax
