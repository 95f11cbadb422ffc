"""What a reader of the book can hover over, slide through and listen to.

Each of these stands beside a static figure of the same numbers, for print and for readers without scripts. The outputs
carry their data and no library: in the book its own script (``book/_html/live.js``) draws the maps, with the script of
the installed plotly, and in JupyterLab plotly's extension does.
"""

import html
import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from IPython.display import HTML
from matplotlib.colors import to_hex
from scipy.linalg import orthogonal_procrustes

from companion import report
from companion.text import embedded, number
from vae_lib import checks, plots

_NAMES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x"]
_NAMES += ["triangle-left", "triangle-right", "star"]
SYMBOLS = dict(zip(plots.MARKERS, _NAMES, strict=True))
"""The markers of the static figures, by the names that plotly has for them."""

FACTS = ("artist", "genre", "language")  # told of a track on hovering, below its title, where the corpus has them
HOVER = "%{text}<extra></extra>", "%{text}<br>cluster: %{customdata}<extra></extra>"
LINE = 40  # characters to a line of the hover, which must fit a phone
AXIS = (-0.1, 1.0)  # of `sliders`
MARGIN = 0.05  # around the points, as a share of their range

HINT = "The points of the figure above: hover over or touch one to see its track."

# One handler for all controls. It and the style need nothing from outside, so that they work in JupyterLab too.
_SLIDE = """
const { sizes, axis: [low, high], values } = JSON.parse(this.dataset.moves);
const controls = [...this.querySelectorAll('select, input')];
const at = controls.reduce((at, control, level) => at * sizes[level] + Number(control.value), 0);
for (const input of this.querySelectorAll('input')) {
  const told = JSON.parse(input.dataset.steps)[input.value];
  input.setAttribute('aria-valuetext', told);
  input.nextElementSibling.textContent = told;
}
[...this.querySelectorAll('output')].forEach((output, measure) => {
  const draws = values[at][measure];
  const mean = draws.reduce((sum, draw) => sum + draw, 0) / draws.length;
  output.textContent = (Math.round(100 * mean) / 100 || 0).toFixed(2).replace('-', '−');
  output.parentElement.nextElementSibling.querySelectorAll('b').forEach((dot, draw) => {
    dot.style.left = 100 * ((draws[draw] ?? mean) - low) / (high - low) + '%';
  });
});
"""
_SLIDERS = """
.live-sliders { max-width: 40rem; }
.live-sliders label {
  align-items: center; display: grid; gap: 0.25rem 1rem;
  grid-template-columns: minmax(6em, 10em) minmax(5em, 1fr) 2.5em;
}
.live-sliders input { min-width: 0; width: 100%; }
.live-sliders select { justify-self: start; }
.live-sliders p { margin: 0.75rem 0 0; }
.live-sliders output { display: inline; font-weight: bold; padding: 0; }
.live-sliders > div[aria-hidden] {
  border-bottom: 1px solid currentColor; height: 1.6rem; margin: 0 0.5rem 1.2rem; position: relative;
}
.live-sliders :is(i, b, small) { position: absolute; transform: translateX(-50%); }
.live-sliders i { bottom: -0.2rem; font-style: normal; line-height: 1.6rem; }
.live-sliders b {
  background: #c2410c; border-radius: 50%; bottom: 0.5rem; height: 0.4rem; opacity: 0.5; width: 0.4rem;
  transition: left 0.3s;
}
.live-sliders b:last-of-type { bottom: 0.25rem; height: 0.9rem; opacity: 1; width: 0.9rem; }
.live-sliders small { top: 100%; }
"""


class View(NamedTuple):
    """One way to look at tracks: where they lie, and the groups that give them colour and marker.

    ``plots.scatter(view.points, view.groups, ax, title=…, legend=view.by)`` draws the same without a script.
    """

    points: np.ndarray  # shape (n, 2)
    groups: Sequence  # shape (n,)
    by: str  # what the groups are: "genre", "cluster" …
    clusters: Sequence | None = None  # shape (n,), to be told on hovering


class Output(HTML):
    """An HTML output that JupyterLab may show in a form of its own."""

    def __init__(self, data: str, *, figure: go.Figure) -> None:
        super().__init__(data)
        self.figure = figure

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        return {"text/html": self.data, "application/vnd.plotly.v1+json": json.loads(self.figure.to_json())}


def latent_map(views: Mapping[str, View], tracks: pd.DataFrame) -> go.Figure:
    """Draw views of the same tracks, one at a time, with colours and markers as in ``plots.scatter``.

    Parameters
    ----------
    views : mapping of str to View
        By title, in the order of the menu; the first is shown first. Where every "a, b" of some a and b is there, a
        page has a menu for each. Between views of the same groups the points move: see `aligned`.
    tracks : pandas.DataFrame
        A row per track, in the order of the points. Of its columns `title`, `artist`, `genre` and `language` those that
        are there are told on hovering; a track without a title goes by its id.

    Returns
    -------
    plotly.graph_objects.Figure
        A trace per view and group, with a menu of the views. Coordinates have five significant digits.

    Raises
    ------
    ParameterError
        If there is no view, or one has not a point in the plane and a group for every track.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from companion.interactive import View, latent_map
    >>> tracks = pd.DataFrame({"title": ["A", "B"], "genre": ["pop", "rock"]}, index=["a", "b"])
    >>> view = View(np.array([[0.0, 1.0], [2.0, 3.0]]), tracks["genre"], "genre")
    >>> figure = latent_map({"PCA, by genre": view}, tracks)
    >>> [(trace.name, trace.x, trace.text) for trace in figure.data]
    [('pop', (0.0,), ('<b>A</b><br>genre: pop',)), ('rock', (2.0,), ('<b>B</b><br>genre: rock',))]
    """
    if not views:
        raise checks.ParameterError("views must have at least one view, got none")
    traces, of, frames = [], [], {}  # per view its traces, and what its entry of the menu changes besides
    for title, view in views.items():
        points = checks.matrix(view.points, f"the points of {title!r}", rows=len(tracks))
        if points.shape[1] != 2:
            raise checks.ParameterError(f"the points of {title!r} must have 2 columns, got {points.shape[1]}")
        checks.labels(view.groups, f"the groups of {title!r}", length=len(tracks))
        drawn = _traces(view._replace(points=points), tracks)
        traces, of = traces + drawn, of + [title] * len(drawn)
        pad = MARGIN * (np.ptp(points, axis=0) + 1e-9)
        x, y = (_short(ends) for ends in zip(points.min(axis=0) - pad, points.max(axis=0) + pad, strict=True))
        frames[title] = {"legend.title.text": _escape(view.by), "xaxis.range": x, "yaxis.range": y}
    shown = {title: [each == title for each in of] for title in frames}
    buttons = [
        {"label": _escape(title), "method": "update", "args": [{"visible": shown[title]}, frame]}
        for title, frame in frames.items()
    ]
    axis = {"showticklabels": False, "showgrid": False, "zeroline": False, "ticks": "", "title": ""}
    axis |= {"showline": True, "mirror": True, "linecolor": "#808080"}
    figure = go.Figure(
        [trace.update(visible=each == of[0]) for trace, each in zip(traces, of, strict=True)],
        {
            "template": "none",
            "updatemenus": [{"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}],
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"l": 8, "r": 8, "t": 40, "b": 8},
            "hovermode": "closest",
            "showlegend": True,
        },
    )
    figure.plotly_relayout(frames[of[0]])
    return figure


def _traces(view: View, tracks: pd.DataFrame) -> list[go.Scatter]:
    """One trace per group that has tracks."""
    groups, told = pd.Categorical(view.groups), np.array(_told(tracks), dtype=object)
    traces = []
    for code, (group, color) in enumerate(zip(groups.categories, plots.palette(len(groups.categories)), strict=True)):
        chosen = groups.codes == code
        marker = {
            "color": to_hex(color),
            "symbol": SYMBOLS[plots.MARKERS[code % len(plots.MARKERS)]],
            "size": 9,
            "line": {"width": 0.5, "color": "#808080"},  # an edge for what is pale on white or dark on black
        }
        if chosen.any():
            x, y = (_short(column) for column in view.points[chosen].T)
            about = {
                "name": _escape(str(group)),
                "text": told[chosen].tolist(),
                "hovertemplate": "%{text}<extra></extra>",
            }
            if view.clusters is not None:
                about["customdata"] = np.asarray(view.clusters)[chosen].tolist()
                about["hovertemplate"] = "%{text}<br>cluster: %{customdata}<extra></extra>"
            traces.append(go.Scatter(x=x, y=y, mode="markers", marker=marker, **about))
    return traces


def _told(tracks: pd.DataFrame) -> list[str]:
    """What the hover says of each track: lines of plain text, escaped, because plotly reads some HTML."""
    titles = tracks["title"] if "title" in tracks else pd.Series(None, index=tracks.index, dtype=object)
    facts = [[] for _ in titles]
    for name in reversed([name for name in FACTS if name in tracks]):
        facts = [
            [f"{name}: {'unknown' if pd.isna(value) else value}", *more]
            for value, more in zip(tracks[name], facts, strict=True)
        ]
    texts = []
    for (track_id, title), about in zip(titles.items(), facts, strict=True):
        heading = (textwrap.wrap(str(title), LINE) if pd.notna(title) else []) or [str(track_id)]
        lines = [line for fact in about for line in textwrap.wrap(fact, LINE)]
        texts.append("<br>".join([*(f"<b>{_escape(line)}</b>" for line in heading), *map(_escape, lines)]))
    return texts


def _escape(text: str) -> str:
    """Plain text for plotly, which reads some HTML but leaves escaped quotation marks as they are."""
    return html.escape(text, quote=False)


def _short(values: np.ndarray, *, digits: int = 5) -> list[float]:
    return [float(f"{value:.{digits}g}") for value in values]


def aligned(points: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Shift, turn and mirror points in the plane so that they lie as near as can be to others of the same tracks.

    Their distances stay (Schönemann 1966): what a projection leaves to chance goes, what it found does not.

    Examples
    --------
    >>> import numpy as np
    >>> from companion.interactive import aligned
    >>> like = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> bool(np.allclose(aligned(5 - like[:, ::-1], like), like))
    True
    """
    centred, target = points - points.mean(axis=0), like - like.mean(axis=0)
    return centred @ orthogonal_procrustes(centred, target)[0] + like.mean(axis=0)


def show(figure: go.Figure, *, name: str, label: str) -> Output:
    """Give a figure with a menu as an output of a page, to be drawn when a reader comes to it.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        As from `latent_map`.
    name : str
        The id of the element, one of a kind on its page.
    label : str
        What it shows, a phrase.

    Returns
    -------
    Output
        Equal figures give equal HTML, and no text in them can end its script element. Print and
        browsers without scripts show nothing of it.
    """
    name, label = html.escape(name), html.escape(label)
    drawn = json.loads(figure.to_json())
    told = {text: None for trace in drawn["data"] for text in trace["text"]}  # once, for all views of a track
    numbers = dict(zip(told, range(len(told)), strict=True))
    data = [trace | {"text": [numbers[text] for text in trace["text"]]} for trace in drawn["data"]]
    content = embedded({"data": data, "layout": drawn["layout"], "told": list(told)})
    return Output(
        f'<figure class="live live-map" id="{name}" aria-label="{label}"><figcaption>{label}. {HINT}</figcaption>'
        f'<script type="application/json">{content}</script></figure>',
        figure=figure,
    )


def sliders(values: pd.DataFrame, marks: pd.DataFrame, *, start: Sequence, name: str, label: str, caption: str) -> HTML:
    """Move controls and see measures move on an axis, beside marks that stay; everything was computed before.

    Parameters
    ----------
    values : pandas.DataFrame
        A line per setting. The levels of its index are the controls, by name, and every combination is there: numbers
        get a slider, texts a menu. The columns are the measures, their cells sequences of draws, all of one length.
    marks : pandas.DataFrame
        The values that stay, a column per measure, a line for what each is.
    start : sequence
        The setting to begin with, a key of the lines.
    name : str
        The id of the element, one of a kind on its page.
    label : str
        What it shows, a phrase.
    caption : str

    Raises
    ------
    ParameterError
        If a combination is missing or twice there, or the marks are of other measures.

    Examples
    --------
    >>> import pandas as pd
    >>> from companion.interactive import sliders
    >>> index = pd.MultiIndex.from_product([[2, 10], ["no", "yes"]], names=["clusters k", "shuffled"])
    >>> values = pd.DataFrame({"NMI": [[0.0, 0.1], [0.0, 0.0], [0.3, 0.4], [0.3, 0.3]]}, index=index)
    >>> marks = pd.DataFrame({"NMI": {"VAE": 0.2}})
    >>> page = sliders(values, marks, start=(2, "no"), name="m", label="Noise", caption="").data
    >>> page.count("<input"), page.count("<select")
    (1, 1)
    """
    levels = [list(dict.fromkeys(level)) for level in map(values.index.get_level_values, values.index.names)]
    every = pd.MultiIndex.from_product(levels, names=values.index.names)
    if not values.index.is_unique or len(every) != len(values):
        raise checks.ParameterError(f"values must have each of {len(every)} combinations once, got {len(values)} lines")
    if list(marks) != list(values):
        raise checks.ParameterError(f"marks must be of {', '.join(values)}, got {', '.join(marks)}")
    values, escape = values.loc[every], html.escape
    controls = rows = ""
    for title, steps, first in zip(values.index.names, levels, start, strict=True):
        now = steps.index(first)
        told = [step if isinstance(step, str) else f"{step:g}" for step in steps]
        if isinstance(steps[0], str):
            entries = "".join(
                f'<option value="{at}"{" selected" if at == now else ""}>{escape(entry)}</option>'
                for at, entry in enumerate(told)
            )
            controls += f"<label>{escape(title)} <select>{entries}</select></label>"
        else:
            controls += (
                f'<label>{escape(title)} <input type="range" min="0" max="{len(steps) - 1}" value="{now}" '
                f'aria-valuetext="{told[now]}" data-steps="{escape(json.dumps(told))}"><span>{told[now]}</span></label>'
            )
    ticks = "".join(f'<small style="{_left(tick)}">{tick:g}</small>' for tick in (0, 0.5, 1))
    for measure, draws in values.loc[tuple(start)].items():
        stay = "".join(
            f'<i style="{_left(value)}" title="{escape(f"{of}: {value:.3f}")}">◆</i>'
            for of, value in marks[measure].dropna().items()
        )
        move = "".join(f'<b style="{_left(draw)}"></b>' for draw in [*draws, np.mean(draws)])
        rows += (
            f"<p>{escape(measure)} <output>{number(np.mean(draws), 2)}</output></p>"
            f'<div aria-hidden="true">{stay}{move}{ticks}</div>'
        )
    data = {
        "sizes": [len(steps) for steps in levels],
        "axis": AXIS,
        "values": [[_short(draws, digits=3) for draws in line] for line in values.to_numpy()],
    }
    return HTML(
        f'<figure class="live live-sliders" id="{escape(name)}" role="group" aria-label="{escape(label)}" '
        f'data-moves="{escape(json.dumps(data, separators=(",", ":")))}" '
        f'oninput="{escape(" ".join(_SLIDE.split()))}"><style>{" ".join(_SLIDERS.split())}</style>'
        f"{controls}{rows}<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _left(value: float) -> str:
    """Where a value lies on the axis of `sliders`, as CSS."""
    return f"left:{100 * (value - AXIS[0]) / (AXIS[1] - AXIS[0]):.4g}%"


def players(signals: Mapping[str, np.ndarray], *, sample_rate: int, label: str, across: int = 2) -> HTML:
    """Give players for several signals side by side, each with what one hears below it, as from ``report.player``.

    Parameters
    ----------
    signals : mapping of str to array, shape (samples,)
        By caption. Full scale is −1 to 1.
    sample_rate : int
        In Hz.
    label : str
        What the signals have to do with each other, for screen readers.
    across : int
        How many stand in a line where the page is wide enough.
    """
    if not signals:
        raise checks.ParameterError("signals must have at least one signal, got none")
    checks.count(across, "across")
    each = (report.player(y, sample_rate=sample_rate, caption=caption).data for caption, y in signals.items())
    opening = f'<div class="live-players" role="group" aria-label="{html.escape(label)}" style="--across: {across}">'
    return HTML(f"{opening}{''.join(each)}</div>")
