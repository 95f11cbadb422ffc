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

SYMBOLS = dict(
    zip(
        plots.MARKERS,
        [
            "circle",
            "square",
            "triangle-up",
            "diamond",
            "triangle-down",
            "cross",
            "x",
            "triangle-left",
            "triangle-right",
            "star",
        ],
        strict=True,
    )
)
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
    # A trace per view and group, and per view what its entry of the menu changes.
    figure, traces, frames = go.Figure(), [], {}
    for title, view in views.items():
        points = checks.matrix(view.points, f"the points of {title!r}", rows=len(tracks))
        if points.shape[1] != 2:
            raise checks.ParameterError(f"the points of {title!r} must have 2 columns, got {points.shape[1]}")
        checks.labels(view.groups, f"the groups of {title!r}", length=len(tracks))
        traces += [(title, trace) for trace in _traces(view._replace(points=points), tracks)]
        pad = MARGIN * (np.ptp(points, axis=0) + 1e-9)
        x, y = (_short(ends) for ends in zip(points.min(axis=0) - pad, points.max(axis=0) + pad, strict=True))
        frames[title] = {"legend.title.text": _escape(view.by), "xaxis.range": x, "yaxis.range": y}
    first = next(iter(views))
    for title, trace in traces:
        figure.add_trace(trace.update(visible=title == first))
    buttons = [
        {
            "label": _escape(title),
            "method": "update",
            "args": [{"visible": [of == title for of, _ in traces]}, frame],
        }
        for title, frame in frames.items()
    ]
    empty = {"showticklabels": False, "showgrid": False, "zeroline": False, "ticks": "", "title": ""}
    figure.update_layout(
        template="none",
        updatemenus=[{"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}],
        xaxis=empty | {"showline": True, "mirror": True, "linecolor": "#808080"},
        yaxis=empty | {"showline": True, "mirror": True, "linecolor": "#808080"},
        margin={"l": 8, "r": 8, "t": 40, "b": 8},
        hovermode="closest",
        showlegend=True,
    )
    figure.plotly_relayout(frames[first])
    return figure


def _traces(view: View, tracks: pd.DataFrame) -> list[go.Scatter]:
    """One trace per group that has tracks."""
    groups, told = pd.Categorical(view.groups), _told(tracks, view.clusters)
    traces = []
    for code, (group, color) in enumerate(zip(groups.categories, plots.palette(len(groups.categories)), strict=True)):
        chosen = np.flatnonzero(groups.codes == code)
        marker = {
            "color": to_hex(color),
            "symbol": SYMBOLS[plots.MARKERS[code % len(plots.MARKERS)]],
            "size": 9,
            "line": {"width": 0.5, "color": "#808080"},  # an edge for what is pale on white or dark on black
        }
        if len(chosen):
            x, y = (_short(column) for column in view.points[chosen].T)
            text = [told[at] for at in chosen]
            name = _escape(str(group))
            traces.append(go.Scatter(x=x, y=y, mode="markers", name=name, marker=marker, text=text, hoverinfo="text"))
    return traces


def _told(tracks: pd.DataFrame, clusters: Sequence | None) -> list[str]:
    """What the hover says of each track: lines of plain text, escaped, because plotly reads some HTML."""
    known = [name for name in FACTS if name in tracks]
    titles = tracks["title"] if "title" in tracks else pd.Series(None, index=tracks.index, dtype=object)
    texts = []
    for place, (track_id, title) in enumerate(titles.items()):
        lines = textwrap.wrap(str(title), LINE) if pd.notna(title) else []
        lines = [f"<b>{_escape(line)}</b>" for line in lines or [str(track_id)]]
        for name in known:
            value = tracks[name].iloc[place]
            fact = f"{name}: {value if pd.notna(value) else 'unknown'}"
            lines += map(_escape, textwrap.wrap(fact, LINE))
        if clusters is not None:
            lines.append(_escape(f"cluster: {clusters[place]}"))
        texts.append("<br>".join(lines))
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
    return Output(
        f'<figure class="live live-map" id="{html.escape(name)}" aria-label="{html.escape(label)}">'
        f"<figcaption>{html.escape(label)}. {HINT}</figcaption>"
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
    middle = len(steps) // 2
    entries = "".join(f'<option value="{at}">{html.escape(entry)}</option>' for at, entry in enumerate(images))
    picture = (
        f"background-image: url(data:image/png;base64,{_sprite(np.stack(list(images.values())))}); "
        f"background-size: {100 * len(steps)}% {100 * len(images)}%; "
        f"background-position: {_place('--step', len(steps))} {_place('--row', len(images))}; "
        "image-rendering: pixelated; aspect-ratio: 2; width: 100%"
    )
    text = {"name": name, "menu": menu, "slider": slider, "label": label, "caption": caption, "now": steps[middle]}
    text |= {"steps": json.dumps(list(steps), ensure_ascii=False), "slide": " ".join(_SLIDE.split())}
    text = {key: html.escape(value) for key, value in text.items()}
    return HTML(
        f'<figure class="live live-slider" id="{text["name"]}" style="--row: 0; --step: {middle}" '
        f'data-steps="{text["steps"]}" oninput="{text["slide"]}"><div class="live-controls">'
        f"<label{' hidden' if len(images) == 1 else ''}>{text['menu']} <select>{entries}</select></label>"
        f'<label>{text["slider"]} <input type="range" min="0" max="{len(steps) - 1}" value="{middle}" '
        f'aria-valuetext="{text["now"]}"></label><output>{text["now"]}</output></div>'
        f'<div role="img" aria-label="{text["label"]}" style="{picture}"></div>'
        f"<figcaption>{text['caption']}</figcaption></figure>"
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
