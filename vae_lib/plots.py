"""Figures: axes in, axes out; nothing is saved or shown here.

Colours come from one palette that survives colour blindness; groups also differ in marker, so that no reading rests
on colour alone.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from vae_lib import checks
from vae_lib.features import Frames
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
    """Colours of `count` groups: Okabe and Ito's in seaborn's version up to ten, evenly spaced hues beyond.

    Examples
    --------
    >>> from vae_lib import plots
    >>> len(plots.palette(3)), len(set(plots.palette(30)))
    (3, 30)
    """
    return list(sns.color_palette("colorblind" if count <= 10 else "husl", count))


MODELS = {
    "told": 3, "conditional": 3, "CVAE": 3, "β-VAE": 9, "VAE": 0, "VaDE": 9, "autoencoder": 1, "untrained": 7,
    "whitened": 4, "PCA": 2, "projection": 8, "spectral": 6, "DEC": 5, "DCN": 5,
}  # fmt: skip
"""Place in the palette of the first of these words that a method's name holds; features and the rest are dark grey."""


def color(name: str) -> tuple[float, float, float]:
    """Give the colour of a method, the same in every figure.

    Examples
    --------
    >>> from vae_lib import plots
    >>> plots.color("VAE, consensus") == plots.color("VAE") != plots.color("features")
    True
    """
    place = next((place for word, place in MODELS.items() if word in name), None)
    return (0.3, 0.3, 0.3) if place is None else palette(10)[place]


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


def divergences(divergence: np.ndarray, ax: Axes, *, title: str, color: object = None) -> Axes:
    """Draw the KL divergence of each latent, sorted within each seed: bars are means over seeds, whiskers the range.

    Parameters
    ----------
    divergence : array, shape (seeds, latent)
        In nats, as from ``train.diagnose``.
    ax : Axes
    title : str
    color : matplotlib colour, optional
    """
    ordered = -np.sort(-np.asarray(divergence), axis=1)
    mean, ranks = ordered.mean(axis=0), np.arange(1, ordered.shape[1] + 1)
    reach = np.stack([mean - ordered.min(axis=0), ordered.max(axis=0) - mean])
    ax.bar(ranks, mean, yerr=reach, color=color or palette(1)[0], ecolor="0.4", error_kw={"linewidth": 0.8})
    ax.set(xlabel="latents, sorted in each seed", ylabel="KL divergence (nats)", title=title)
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
    for row, (name, score) in enumerate(by_method.items()):
        hue = color(name)
        if len(score.null):
            low, high = np.quantile(score.null, [0.025, 0.975])
            ax.fill_betweenx([row - 0.4, row + 0.4], low, high, color="0.85", linewidth=0)
            ax.plot([score.chance] * 2, [row - 0.4, row + 0.4], color="0.5", linewidth=1)
        offsets = row + np.linspace(-0.2, 0.2, len(score.values))
        ax.plot(score.values, offsets, MARKERS[row % len(MARKERS)], color=hue, alpha=0.6, markersize=4)
        ax.plot([score.mean] * 2, [row - 0.35, row + 0.35], color=hue, linewidth=2.5)
    ax.set(yticks=range(len(by_method)), yticklabels=list(by_method), ylim=(len(by_method) - 0.5, -0.5))
    ax.set_xlabel(f"{metric.title} ({'higher' if metric.greater_is_better else 'lower'} is better)")
    return ax


def scatter(
    points: np.ndarray,
    labels: Sequence,
    ax: Axes,
    *,
    title: str,
    legend: str | None = None,
    axes: tuple[str, str] | None = None,
) -> Axes:
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
    axes : tuple of str, optional
        What the two axes mean; a projection has none, and is drawn without ticks.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from vae_lib import plots
    >>> fig, ax = plt.subplots()
    >>> plots.scatter(np.eye(2), ["jazz", "pop"], ax, title="two tracks", legend="genre").get_title()
    'two tracks'
    >>> plt.close(fig)
    """
    points = checks.matrix(points, "points")
    groups = pd.Categorical(labels)
    checks.labels(labels, "labels", length=len(points))
    for code, (group, color) in enumerate(zip(groups.categories, palette(len(groups.categories)), strict=True)):
        chosen = groups.codes == code
        marker = MARKERS[code % len(MARKERS)]
        ax.scatter(*points[chosen].T, s=22, color=color, marker=marker, label=group, linewidth=0, alpha=0.9)
    if axes is None:
        ax.set(title=title, xticks=[], yticks=[])
    else:
        ax.set(title=title, xlabel=axes[0], ylabel=axes[1])
    if legend:
        ax.legend(title=legend, bbox_to_anchor=(1, 1), loc="upper left", fontsize="small")
    return ax


def counts(
    tracks: pd.DataFrame, ax: Axes, *, by: str, hue: str | None = None, hues: Sequence[str] | None = None
) -> Axes:
    """Draw a bar per group with its number of tracks, divided by a second label.

    Parameters
    ----------
    tracks : pandas.DataFrame
        With the columns `by` and `hue`.
    ax : Axes
    by : str
        Column whose groups get a bar each.
    hue : str, optional
        Column that divides the bars; it gets a legend above them.
    hues : sequence of str, optional
        All groups of `hue` in any axes of the figure, so that a colour means the same in each.
    """
    table = pd.crosstab(tracks[by], tracks[hue] if hue else pd.Series("", index=tracks.index))
    hues = list(hues or table.columns) if hue else [""]
    left = np.zeros(len(table))
    for name, column in table.items():
        color = palette(len(hues))[hues.index(name)] if hue else "0.6"
        ax.barh(range(len(table)), column, left=left, color=color, edgecolor="white", label=name)
        left += column.to_numpy()
    ax.set(yticks=range(len(table)), yticklabels=table.index, xlabel="tracks", ylabel=by)
    ax.invert_yaxis()
    if hue:
        ax.legend(title=hue, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), ncols=len(hues))
    return ax


def features_over_time(frames: Frames, axes: Sequence[Axes], *, seconds: float) -> Sequence[Axes]:
    """Draw one track as its features hear it, from the spectrum down to the onsets, over a common time axis.

    Parameters
    ----------
    frames : Frames
        From ``features.frame_features``.
    axes : sequence of seven Axes
        For mel spectrum, chroma, MFCC, contrast, spectral shape, levels (loudness, zero crossings, flatness), onsets.
    seconds : float
        Length of the track.
    """
    if len(axes) != 7:
        raise checks.ParameterError(f"axes must be seven, one per group of features, got {len(axes)}")
    mel, chroma, mfcc, contrast, shape, level, onset = axes
    time = np.linspace(0, seconds, len(frames.rms))
    colors = palette(3)

    def image(ax: Axes, values: np.ndarray, label: str, cmap: str, ticks: Mapping[int, str]) -> None:
        ax.imshow(values, origin="lower", aspect="auto", cmap=cmap, extent=(0, seconds, 0, len(values)))
        ax.set(ylabel=label, yticks=[position + 0.5 for position in ticks], yticklabels=list(ticks.values()))

    decibels = 10 * np.log10(np.maximum(frames.mel, frames.mel.max() * 1e-8))
    image(mel, decibels, "mel band", "magma", {0: "1", 63: "64", 127: "128"})
    image(chroma, frames.chroma, "chroma", "magma", {0: "C", 4: "E", 7: "G", 9: "A"})
    spread = frames.mfcc[1:] / frames.mfcc[1:].std(axis=1, keepdims=True)
    image(mfcc, spread, "MFCC", "RdBu_r", {0: "2", 9: "11", 18: "20"})

    bands = len(frames.contrast)
    image(
        contrast, frames.contrast, "contrast", "magma", {0: "1", bands // 2: f"{bands // 2 + 1}", bands - 1: f"{bands}"}
    )

    shape.plot(time, frames.rolloff, color=colors[2], label="roll-off")
    shape.plot(time, frames.spectral_centroid, color=colors[0], label="centroid")
    low, high = (frames.spectral_centroid + sign * frames.spectral_bandwidth / 2 for sign in (-1, 1))
    shape.fill_between(time, low, high, color=colors[0], alpha=0.2, linewidth=0, label="bandwidth")
    shape.set(ylabel="Hz", ylim=(0, 1.4 * frames.rolloff.max()))
    shape.legend(fontsize="small", ncols=3, loc="upper right")

    level.plot(time, frames.rms, color=colors[0], label="RMS (full scale)")
    level.plot(time, frames.zero_crossing_rate, color=colors[1], label="zero crossings (per sample)")
    level.plot(time, frames.flatness, color=colors[2], label="flatness")
    level.set(ylim=(0, 1.5 * max(frames.rms.max(), frames.zero_crossing_rate.max(), frames.flatness.max())))
    level.legend(fontsize="small", ncols=3, loc="upper right")

    onset.plot(time, frames.onset_strength, color=colors[0], label="onset strength (dB per frame)")
    beats = np.arange(0, seconds, 60 / frames.tempo) if frames.tempo else []
    onset.vlines(
        beats, 0, frames.onset_strength.max(), color="0.6", linewidth=0.7, label=f"spacing of {frames.tempo:.0f} BPM"
    )
    onset.set(xlabel="time (s)", ylim=(0, 1.4 * frames.onset_strength.max() + 1e-9))
    onset.legend(fontsize="small", ncols=2, loc="upper right")
    for ax in axes:
        ax.set_xlim(0, seconds)
        ax.label_outer()
    return axes


def correlations(table: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the correlations between the columns of a table, in their order.

    Parameters
    ----------
    table : pandas.DataFrame
        One column per feature; at most a few dozen can be read.
    ax : Axes
    """
    limits = {"vmin": -1, "vmax": 1, "cmap": "RdBu_r"}
    sns.heatmap(table.corr(), ax=ax, square=True, cbar_kws={"label": "correlation", "shrink": 0.7}, **limits)
    ax.tick_params(labelsize=6)
    return ax


def differences(relative: pd.Series, ax: Axes, *, limit: float) -> Axes:
    """Draw relative differences on a logarithmic axis, one dot per column, and the limit they must keep.

    Parameters
    ----------
    relative : pandas.Series
        At least 0; an exact zero is drawn at the left edge.
    ax : Axes
    limit : float
        Drawn as a line.
    """
    smallest = relative[relative > 0].min() if (relative > 0).any() else limit * 1e-3
    shown = relative.clip(lower=smallest / 3)
    ax.plot(shown, range(len(shown)), "o", color=palette(1)[0], markersize=4)
    ax.axvline(limit, color="0.4", linestyle="--", label=f"limit {limit:.0%}")
    ax.set(xscale="log", xlabel="median relative difference", yticks=range(len(shown)), yticklabels=shown.index)
    ax.tick_params(axis="y", labelsize=6)
    ax.legend(loc="lower right")
    ax.invert_yaxis()
    return ax


def lines(
    table: pd.DataFrame, ax: Axes, *, xlabel: str, ylabel: str, log: bool = False, spread: pd.DataFrame | None = None
) -> Axes:
    """Draw a line with markers per column over the index.

    Parameters
    ----------
    table : pandas.DataFrame
        Index of numbers; each column is a line and its name stands in the legend.
    ax : Axes
    xlabel, ylabel : str
    log : bool
        Whether the horizontal axis is logarithmic.
    spread : pandas.DataFrame, optional
        Same shape; drawn as a band of this half-width around each line.
    """
    for marker, color, name in zip(itertools.cycle(MARKERS), palette(table.shape[1]), table.columns):
        ax.plot(table.index, table[name], marker=marker, color=color, label=name, markersize=5)
        if spread is not None:
            ax.fill_between(
                table.index, table[name] - spread[name], table[name] + spread[name], color=color, alpha=0.2, lw=0
            )
    if log:
        ax.set_xscale("log")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def ablation(
    mean: pd.DataFrame, ax: Axes, *, title: str, sd: pd.DataFrame | None = None, found: pd.DataFrame | None = None
) -> Axes:
    """Draw scores as a heat map whose cells say them, those that chance would give hatched.

    Parameters
    ----------
    mean : pandas.DataFrame
        Scores from 0, which is chance, to 1; the names of its index and columns label the axes.
    ax : Axes
    title : str
    sd : pandas.DataFrame, optional
        Their standard deviations over seeds, written below them.
    found : pandas.DataFrame of bool, optional
        Whether a score is above chance; where it is not, the cell is hatched.
    """
    text = mean.map(lambda score: f"{score if abs(score) >= 0.005 else 0:.2f}".replace("-", "−"))
    if sd is not None:
        text = text + sd.map(lambda value: f"\n± {value:.2f}")
    sns.heatmap(mean, annot=text, fmt="", cmap="Blues", vmin=0, vmax=1, linewidths=0.5, cbar=False, ax=ax)
    if found is not None:
        for row, column in zip(*np.nonzero(~found.to_numpy(dtype=bool)), strict=True):
            ax.fill([column, column + 1, column + 1, column], [row, row, row + 1, row + 1], fill=False,
                    hatch="///", edgecolor="0.75", linewidth=0, zorder=2)  # fmt: skip
    for label in ax.texts:
        label.set(zorder=3, fontsize="small")
    ax.tick_params(axis="both", length=0)
    ax.tick_params(axis="x", rotation=0)
    ax.tick_params(axis="y", rotation=0)
    ax.set_title(title)
    return ax


def placed(draws: Mapping[str, np.ndarray], marks: Mapping[str, float], ax: Axes, *, xlabel: str) -> Axes:
    """Draw where single values fall among many draws: per group faint dots, their middle 95 % as a bar, a diamond.

    Parameters
    ----------
    draws : mapping of str to array, shape (draws,)
        At least one finite draw per group.
    marks : mapping of str to float
        The value to place, for the groups that have one.
    ax : Axes
    xlabel : str
    """
    unknown = [name for name in marks if name not in draws]
    if unknown:
        raise checks.ParameterError(f"marks must be of groups in draws, {', '.join(draws)}; got {', '.join(unknown)}")
    for row, (name, values) in enumerate(draws.items()):
        hue = color(name)
        values = np.asarray(values, dtype=float)
        values = values[np.isfinite(values)]
        ax.plot(values, row + np.linspace(-0.3, 0.3, len(values)), "o", color=hue, alpha=0.2, markersize=2, mew=0)
        ax.plot(np.quantile(values, [0.025, 0.975]), [row, row], color=hue, linewidth=2)
        ax.plot([np.median(values)] * 2, [row - 0.3, row + 0.3], color=hue, linewidth=2)
        if name in marks:
            ax.plot(marks[name], row, "D", color="black", mec="white", markersize=7, zorder=3)
    ax.set(yticks=range(len(draws)), yticklabels=list(draws), ylim=(len(draws) - 0.5, -0.5), xlabel=xlabel)
    return ax
