"""What a reader of the book can hover over, slide through and listen to.

Each of these stands beside a static figure of the same numbers, for print and for readers without scripts. The outputs
carry their data and no library: in the book its own script (``book/_html/live.js``) draws the maps, with the script of
the installed plotly, and in JupyterLab plotly's extension does.
"""

import html
import io
import json
import textwrap
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from IPython.display import HTML
from matplotlib.colors import to_hex

from companion import report
from vae_lib import checks, plots

_NAMES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x"]
_NAMES += ["triangle-left", "triangle-right", "star"]
SYMBOLS = dict(zip(plots.MARKERS, _NAMES, strict=True))
"""The markers of the static figures, by the names that plotly has for them."""

FACTS = ("artist", "genre", "language")  # told of a track on hovering, below its title, where the corpus has them
LINE = 40  # characters to a line of the hover, which must fit a phone
MARGIN = 0.05  # around the points, as a share of their range

HINT = "The points of the figure above: hover over or touch one to see its track, drag to zoom, click twice for all."

# One handler for all controls of a slider. It needs nothing from outside, so that it works in JupyterLab too.
_SLIDE = """
const [row, step] = [...this.querySelectorAll('select, input')].map(control => Number(control.value));
this.style.setProperty('--row', row);
this.style.setProperty('--step', step);
const told = JSON.parse(this.dataset.steps)[step];
this.querySelector('output').value = told;
this.querySelector('input').setAttribute('aria-valuetext', told);
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
        By title, in the order of the menu; the first is shown first.
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
    groups, told = pd.Categorical(view.groups), np.array(_told(tracks, view.clusters), dtype=object)
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
            about = {"name": _escape(str(group)), "text": told[chosen].tolist(), "hoverinfo": "text"}
            traces.append(go.Scatter(x=x, y=y, mode="markers", marker=marker, **about))
    return traces


def _told(tracks: pd.DataFrame, clusters: Sequence | None) -> list[str]:
    """What the hover says of each track: lines of plain text, escaped, because plotly reads some HTML."""
    titles = tracks["title"] if "title" in tracks else pd.Series(None, index=tracks.index, dtype=object)
    facts = [[f"cluster: {found}"] for found in clusters] if clusters is not None else [[] for _ in titles]
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


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


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
    return Output(
        f'<figure class="live live-map" id="{name}" aria-label="{label}"><figcaption>{label}. {HINT}</figcaption>'
        f'<script type="application/json">{figure.to_json()}</script></figure>',
        figure=figure,
    )


def traversal(
    images: Mapping[str, np.ndarray],
    *,
    steps: Sequence[str],
    name: str,
    menu: str,
    slider: str,
    label: str,
    caption: str,
) -> HTML:
    """Show one of many small log-mel images at a time, chosen by a menu and a slider.

    All are in one picture, of which the controls move the part that is seen: that is a tenth of what plotly would load.

    Parameters
    ----------
    images : mapping of str to array, shape (steps, bands, frames)
        By the entries of the menu; all of one shape. They are drawn as ``plots.log_mel`` draws them, with one scale of
        colours for all.
    steps : sequence of str
        What each step is called.
    name : str
        The id of the element, one of a kind on its page.
    menu, slider : str
        What the menu and the slider choose; a menu of one entry is left out.
    label : str
        What the images show, for screen readers.
    caption : str

    Raises
    ------
    ParameterError
        If there are no images, or not one per step in each row.
    """
    if not images:
        raise checks.ParameterError("images must have at least one row, got none")
    shapes = {np.shape(each) for each in images.values()}
    if len(shapes) > 1 or len(shape := shapes.pop()) != 3 or shape[0] != len(steps) or len(steps) < 2:
        told = ", ".join(f"{entry!r} {np.shape(each)}" for entry, each in images.items())
        raise checks.ParameterError(f"images must all have shape ({len(steps)}, bands, frames), got {told}")
    middle, escape = len(steps) // 2, html.escape
    entries = "".join(f'<option value="{at}">{escape(entry)}</option>' for at, entry in enumerate(images))
    picture = (
        f"background-image: url(data:image/png;base64,{_sprite(np.stack(list(images.values())))}); "
        f"background-size: {100 * len(steps)}% {100 * len(images)}%; "
        f"background-position: {_place('--step', len(steps))} {_place('--row', len(images))}; "
        "image-rendering: pixelated; aspect-ratio: 2; width: 100%"
    )
    told, now = escape(json.dumps(list(steps), ensure_ascii=False)), escape(steps[middle])
    return HTML(
        f'<figure class="live live-slider" id="{escape(name)}" style="--row: 0; --step: {middle}" '
        f'data-steps="{told}" oninput="{escape(" ".join(_SLIDE.split()))}"><div class="live-controls">'
        f"<label{' hidden' if len(images) == 1 else ''}>{escape(menu)} <select>{entries}</select></label>"
        f'<label>{escape(slider)} <input type="range" min="0" max="{len(steps) - 1}" value="{middle}" '
        f'aria-valuetext="{now}"></label><output>{now}</output></div>'
        f'<div role="img" aria-label="{escape(label)}" style="{picture}"></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _place(variable: str, count: int) -> str:
    """Where in a sheet of `count` images the one lies whose number a CSS variable holds."""
    return f"calc(var({variable}) * {100 / max(count - 1, 1):.6g}%)"


def _sprite(images: np.ndarray) -> str:
    """All images in one PNG, as base64: a row per row, a column per step, low bands at the bottom."""
    from PIL import Image  # comes with matplotlib

    rows, steps, bands, columns = images.shape
    low, high = images.min(), images.max()
    level = np.uint8(np.rint(255 * (images - low) / max(high - low, 1e-9)))
    sheet = level[:, :, ::-1].transpose(0, 2, 1, 3).reshape(rows * bands, steps * columns)
    picture = Image.fromarray(sheet, mode="P")
    picture.putpalette(np.uint8(255 * matplotlib.colormaps["magma"](np.arange(256))[:, :3]).ravel().tolist())
    png = io.BytesIO()
    picture.save(png, "png", optimize=True)
    return b64encode(png.getvalue()).decode()


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
