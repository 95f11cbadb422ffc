"""Two runs side by side: which of their result rows belong together, and how they differ.

``python -m companion compare`` is what ``make compare A=book B=book+beta=8`` calls; `beside` shows what a tweak of a
notebook did.
"""

import html
import io
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from companion import report
from companion.text import number, plus_minus
from vae_lib import metrics, plots
from vae_lib.checks import ParameterError

WHAT = ["notebook", "corpus", "features", "model", "clusterer", "target", "subset", "noise", "metric", "space"]
"""Columns in which two rows must agree to stand side by side; `n`, `k` and `params` are what a tweak may change."""

DEFAULT = ("ari", "ami", "silhouette")
"""The metrics that are compared unless others are asked for."""

ORDINARY = ("none", "all", "labels", "")  # target, subset, noise and space that go without saying
LINES = 15  # of a notebook, in a terminal


class Results(NamedTuple):
    """The rows of a run and where they come from, as from `report.collect`."""

    name: str
    rows: pd.DataFrame
    provenance: dict[str, dict[str, object]]


class Comparison(NamedTuple):
    """Two runs, row by row."""

    names: tuple[str, str]
    """What the runs A and B are called."""
    table: pd.DataFrame
    """A line per row that both have, those of a notebook together, the largest difference first: `WHAT`, `label`, which
    puts it in words, `mean_a`, `sd_a`, `chance_a`, the same of B, `difference` (B minus A), `equal` (every value is the
    same) and `p_value`, corrected over the table after Holm (1979), NaN for equal values, other tracks, the native
    space, or where nothing varies."""
    only: pd.DataFrame
    """How many rows one run has alone: `run` (A or B), `notebook`, `method`, `rows`."""
    notes: list[str]
    """What a reader must know first: corpora of other content, parameters that differ, commits."""


def read(run: str) -> Results:
    """Read the rows of a run.

    Parameters
    ----------
    run : str
        Name of a build (``book``, ``scratch``, ``book+beta=8``), or a folder of result files such as ``paper/results``.

    Raises
    ------
    ParameterError
        If there is no such build or folder, or its files are broken; the message lists the builds that there are.
    """
    builds = sorted({path.parents[1].name for path in (report.ROOT / "_build").glob("*/results/*.json")})
    if run in builds:
        return Results(run, *report.collect(run))
    if run and Path(run).is_dir():
        inside = Path(run) / "results"
        return Results(run.rstrip("/"), *report.collect(source=inside if inside.is_dir() else run))
    raise ParameterError(
        f"A and B must each be a build or a folder of result files, got {run!r}; "
        f"there are the builds {', '.join(builds) or '(none yet)'}"
    )


def match(first: pd.DataFrame, second: pd.DataFrame) -> list[tuple[int, int]]:
    """Find the rows of two runs that stand for the same thing: their positions, in the order of `first`.

    They agree in `WHAT`. Where a run has several such rows, `n`, `k` and the settings in `params` tell them apart, as
    far as some value occurs in both runs: a sweep is matched value by value, while a setting that was changed, or a
    number that was measured, keeps no rows apart. What remains ambiguous is not matched.
    """
    groups: dict[tuple, tuple[dict, dict]] = {}
    for side, rows in enumerate((first, second)):
        for place, (key, settings) in enumerate(zip(_keys(rows), _settings(rows), strict=True)):
            groups.setdefault(key, ({}, {}))[side][place] = settings
    return sorted(pair for a, b in groups.values() for pair in _pairs(a, b))


def _keys(rows: pd.DataFrame) -> list[tuple]:
    return list(rows[WHAT].itertuples(index=False, name=None))


def _settings(rows: pd.DataFrame) -> list[dict[str, str]]:
    """What may tell apart rows that agree in `WHAT`, as text that can be compared."""
    return [
        {name: json.dumps(value) for name, value in {"n": n, "k": k, **params}.items()}
        for n, k, params in zip(rows["n"], rows["k"], rows["params"], strict=True)
    ]


def _pairs(a: dict[int, dict[str, str]], b: dict[int, dict[str, str]]) -> list[tuple[int, int]]:
    """Match places by their settings, those left out on which none of the remaining places agree."""
    if len(a) == len(b) == 1:
        return [(*a, *b)]
    found: dict[int, int] = {}
    while True:
        names = sorted(set().union(*a.values(), *b.values()))
        shared = [n for n in names if n == "n" or {s.get(n) for s in a.values()} & {s.get(n) for s in b.values()}]
        in_a, in_b = (_unique({place: tuple(map(s.get, shared)) for place, s in side.items()}) for side in (a, b))
        new = {in_a[key]: in_b[key] for key in in_a.keys() & in_b.keys()}
        if not new:
            return [*found.items()]
        found |= new
        a = {place: s for place, s in a.items() if place not in new}
        b = {place: s for place, s in b.items() if place not in new.values()}


def _unique(keys: dict[int, tuple]) -> dict[tuple, int]:
    all_keys = list(keys.values())
    return {key: place for place, key in keys.items() if all_keys.count(key) == 1}


def compare(first: Results, second: Results, *, measures: Sequence[str] = ()) -> Comparison:
    """Put two runs side by side; seeds are compared one by one where both have as many, else as two groups.

    Parameters
    ----------
    first, second : Results
        As from `read`.
    measures : sequence of str
        Names in the column `metric`; by default `DEFAULT`, or all if neither run has these.

    Raises
    ------
    ParameterError
        If neither run has a metric that was asked for.
    """
    there = list(dict.fromkeys([*first.rows["metric"], *second.rows["metric"]]))
    unknown = [name for name in measures if name not in there]
    if unknown:
        raise ParameterError(f"METRIC must be one of {', '.join(there)}, got {unknown[0]!r}")
    measures = measures or [name for name in DEFAULT if name in there] or there
    rows_a, rows_b = (run.rows[run.rows["metric"].isin(measures)].reset_index(drop=True) for run in (first, second))
    pairs = match(rows_a, rows_b)
    at_a, at_b = [place for place, _ in pairs], [place for _, place in pairs]
    a, b = rows_a.iloc[at_a].reset_index(drop=True), rows_b.iloc[at_b].reset_index(drop=True)
    table = a[WHAT].assign(label=labels(a), difference=b["mean"] - a["mean"])
    for column in ("mean", "sd", "chance"):
        table[f"{column}_a"], table[f"{column}_b"] = a[column], b[column]
    same = [np.array_equal(x, y, equal_nan=True) for x, y in zip(a["values"], b["values"], strict=True)]
    other = _other_content(first, second)
    tested = [
        np.nan if equal or (row["notebook"], row["corpus"]) in other else _p_value(row, theirs)
        for equal, (_, row), (_, theirs) in zip(same, a.iterrows(), b.iterrows(), strict=True)
    ]
    table = table.assign(
        equal=np.array(same, dtype=bool), p_value=metrics.holm(tested), away=-table["difference"].abs()
    )
    order = pd.CategoricalIndex(table["notebook"].unique())
    table["place"] = order.get_indexer(table["notebook"])
    table = table.sort_values(["place", "away"], kind="stable", ignore_index=True).drop(columns=["place", "away"])
    alone = [
        rows.drop(index=at).assign(run=run, method=[_method(row) for row in rows.drop(index=at).to_dict("records")])
        for run, rows, at in (("A", rows_a, at_a), ("B", rows_b, at_b))
    ]
    counted = pd.concat(alone).groupby(["run", "notebook", "method"], sort=False).size().rename("rows").reset_index()
    notes = _notes(first, second)
    commits = [" and ".join(sorted({about["commit"] for about in run.provenance.values()})) for run in (first, second)]
    if commits[0] != commits[1]:
        notes.append(f"The code differs, commit {commits[0]} in {first.name}, {commits[1]} in {second.name}.")
    return Comparison((first.name, second.name), table, counted, notes)


def _p_value(a: pd.Series, b: pd.Series) -> float:
    """Test the difference over seeds; NaN where there is nothing to test or no sense in it."""
    try:
        return report.compare(a, b, paired=len(a["values"]) == len(b["values"])).p_value
    except ParameterError:  # other tracks, the native space, a single seed or an undefined score
        return np.nan


def labels(rows: pd.DataFrame) -> list[str]:
    """Put in words what each row scores, but for the metric: corpus, method, and what is out of the ordinary.

    Settings are named where rows would look the same without them.
    """
    keys, settings = _keys(rows), _settings(rows)
    alike: dict[tuple, list[dict[str, str]]] = {}
    for key, own in zip(keys, settings, strict=True):
        alike.setdefault(key, []).append(own)
    found = []
    for key, own in zip(keys, settings, strict=True):
        row = dict(zip(WHAT, key, strict=True))
        noise = "" if row["noise"] == "none" else f"noise as {row['noise']}"
        extra = [text for text in (row["target"], row["subset"], noise, row["space"]) if text not in ORDINARY]
        differ = [name for name, text in own.items() if any(each.get(name) != text for each in alike[key])]
        found.append(", ".join([_method(row), *extra, *(f"{name} {_told(json.loads(own[name]))}" for name in differ)]))
    return found


def _method(row: dict[str, object]) -> str:
    return f"{row['corpus']}: " + " · ".join(
        row[name] for name in ("model", "features", "clusterer") if row[name] != "none"
    )


def _other_content(first: Results, second: Results) -> dict[tuple[str, str], tuple[str, str]]:
    """Give the two hashes of each corpus, by notebook and name, that is not the same in both runs."""
    found = {}
    for notebook in sorted(first.provenance.keys() & second.provenance.keys()):
        a, b = (run.provenance[notebook]["corpora"] for run in (first, second))
        found |= {(notebook, name): (a[name]["hash"], b[name]["hash"]) for name in sorted(a.keys() & b.keys())}
    return {key: hashes for key, hashes in found.items() if hashes[0] != hashes[1]}


def _notes(first: Results, second: Results) -> list[str]:
    notes = [
        f"{notebook}: the corpus {corpus} has other content in {first.name} ({a[:12]}) than in {second.name} "
        f"({b[:12]}): scores of other tracks stand side by side, they are not tested."
        for (notebook, corpus), (a, b) in _other_content(first, second).items()
    ]
    for notebook, about in first.provenance.items():
        changed = changed_parameters(about, second.provenance.get(notebook, about))
        notes += [f"{notebook}: {', '.join(changed)}."] if changed else []
    return notes


def changed_parameters(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """Tell which parameters differ between two provenances.

    Examples
    --------
    >>> from companion import compare
    >>> before, after = ({"parameters": {"beta": beta, "seeds": 10}} for beta in (1.0, 8.0))
    >>> compare.changed_parameters(before, after)
    ['beta 1 → 8']
    """
    a, b = before["parameters"], after["parameters"]
    pairs = {name: (a.get(name, "–"), b.get(name, "–")) for name in dict.fromkeys([*a, *b])}
    return [f"{name} {_told(was)} → {_told(now)}" for name, (was, now) in pairs.items() if was != now]


def _told(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _scores(rows: pd.DataFrame, side: str = "") -> list[str]:
    columns = {f"mean{side}": "mean", f"sd{side}": "sd"}
    return [plus_minus(row) for row in rows[[*columns]].rename(columns=columns).to_dict("records")]


def lines(table: pd.DataFrame) -> pd.DataFrame:
    """Lay lines of `Comparison.table` out as text."""
    return pd.DataFrame(
        {
            "what": table["label"],
            "metric": table["metric"].map(report.title),
            "A": _scores(table, "_a"),
            "B": _scores(table, "_b"),
            "B − A": table["difference"].map(number),
            "chance": table["chance_b"].map(number),
            "p (Holm)": np.where(table["equal"], "equal", table["p_value"].map(number)),
        }
    )


def _summary(comparison: Comparison) -> str:
    equal, alone = comparison.table["equal"].sum(), comparison.only.groupby("run")["rows"].sum()
    return (
        f"{len(comparison.table)} rows are in both, {equal} of them equal in every value; "
        f"{alone.get('A', 0)} are only in A, {alone.get('B', 0)} only in B."
    )


def as_text(comparison: Comparison) -> str:
    """Lay a comparison out for a terminal: the largest differences of each notebook; equal rows are only counted."""
    parts = [f"A is {comparison.names[0]}, B is {comparison.names[1]}", *comparison.notes, _summary(comparison)]
    for notebook, table in comparison.table[~comparison.table["equal"]].groupby("notebook", sort=False):
        shown = lines(table.head(LINES))
        shown["what"] = shown["what"].str.ljust(shown["what"].str.len().max())
        parts += ["", notebook, shown.to_string(index=False, header=["", *shown.columns[1:]])]
        if len(table) > LINES:
            parts.append(f"{len(table) - LINES} rows of {notebook} that differ less are on the page")
    for (run, notebook), methods in comparison.only.groupby(["run", "notebook"], sort=False):
        named = "; ".join(methods["method"].head(5)) + (f"; {len(methods) - 5} more" if len(methods) > 5 else "")
        parts += ["", f"only {run} has {methods['rows'].sum()} rows of {notebook}: {named}"]
    return "\n".join(parts)


def figure(comparison: Comparison) -> Figure:
    """Draw B against A: a panel per metric, a mark per row, grey where both are equal, and crosses at chance."""
    table = comparison.table.dropna(subset=["mean_a", "mean_b"])
    table = table.assign(kind=table["notebook"].mask(table["equal"], "equal in both"))
    kinds = [kind for kind in table["notebook"].unique() if kind in {*table["kind"]}]
    styles = {
        kind: {"color": color, "marker": marker, "markersize": 5, "zorder": 2}
        for kind, color, marker in zip(kinds, plots.palette(len(kinds)), itertools.cycle(plots.MARKERS), strict=False)
    } | {"equal in both": {"color": "0.75", "marker": "o", "markersize": 3, "zorder": 1}}
    panels = list(table.groupby(["metric", "space"], sort=False))
    wide, high = min(4, len(panels)), -(-len(panels) // 4)
    fig = Figure(figsize=(3.4 * wide + 1.6, 3.6 * high))
    for place, ((metric, space), part) in enumerate(panels):
        ax = fig.add_subplot(high, wide, place + 1)
        for kind, style in styles.items():
            rows = part[part["kind"] == kind]
            ax.plot(rows["mean_a"], rows["mean_b"], linestyle="", label=kind, **style)
        ax.plot(part["chance_a"], part["chance_b"], "+", color="black", label="chance")
        ax.axline((part["mean_a"].iloc[0],) * 2, slope=1, color="grey", lw=0.8, zorder=0)
        title = report.title(metric) + ("" if space == "labels" else f", {space} space")
        ax.set(title=title, xlabel="score in A", ylabel="" if place % wide else "score in B")
    fig.axes[wide - 1].legend(bbox_to_anchor=(1, 1), loc="upper left", fontsize="small")
    return fig


STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
body { color: #222; background: #fff; }
h1 { overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
td, th { border-bottom: 1px solid #ccc; padding: .25rem .5rem; text-align: left; vertical-align: top; }
figure { margin: 1rem 0; }
svg { max-width: 100%; min-width: 45rem; height: auto; background: #fff; }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818; } td, th { border-color: #555; } }
"""


def page(comparison: Comparison) -> str:
    """Lay a comparison out as an HTML page that needs no other file; all its rows are there."""
    title = html.escape(f"{comparison.names[0]} and {comparison.names[1]}")
    parts = [f"<h1>{title}</h1>", f"<p>A is the first, B the second. {_summary(comparison)}</p>"]
    if comparison.notes:
        parts.append("<ul>" + "".join(f"<li>{html.escape(note)}</li>" for note in comparison.notes) + "</ul>")
    if comparison.table[["mean_a", "mean_b"]].notna().all(axis=1).any():
        parts.append(
            '<figure><div class="wide" tabindex="0" role="img" aria-label="Scores of B against scores of A">'
            f"{_svg(comparison)}</div><figcaption>The mean over seeds in B against that in A, a panel per metric, a "
            "mark per row, small and grey where both are equal. On the line both agree. Crosses are chance levels."
            "</figcaption></figure>"
        )
    parts.append(
        "<p>Scores are mean ± standard deviation over seeds. p-values are of the difference over seeds, one by one "
        "where both runs have as many, and corrected over all lines after Holm (1979). There is none for other tracks, "
        "for the native space, which is another one in each run, and where nothing varies over seeds.</p>"
    )
    for notebook, table in comparison.table.groupby("notebook", sort=False):
        differ, equal = lines(table[~table["equal"]]), lines(table[table["equal"]])
        parts.append(f"<h2>{html.escape(notebook)}</h2>")
        if len(differ):
            parts.append(_table(differ, f"{len(differ)} rows that differ, the largest difference first"))
        if len(equal):
            told = f"{len(equal)} rows that are equal in every value"
            parts.append(f"<details><summary>{told}</summary>{_table(equal, told)}</details>")
    if len(comparison.only):
        parts += ["<h2>Rows that only one run has</h2>", _table(comparison.only, "Number of such rows, by method")]
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n<main>\n" + "\n".join(parts) + "\n</main>\n</html>\n"
    )


def _svg(comparison: Comparison) -> str:
    drawn = io.StringIO()
    with mpl.rc_context(plots.STYLE | {"svg.hashsalt": "compare"}):  # equal comparisons give equal pages
        figure(comparison).savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()[drawn.getvalue().index("<svg") :]


def _table(frame: pd.DataFrame, caption: str) -> str:
    # Names come from files: what would be markup in them is shown as it is written.
    table = report.styled(frame, caption=caption).format(escape="html").hide().to_html()
    return f'<div class="wide" tabindex="0">{table}</div>'


def beside(run: report.Run, *, most: int = 12) -> Styler | Markdown | None:
    """Show what a tweak did: the headline scores of a run beside those of the book and of the released run.

    Parameters
    ----------
    run : report.Run
        Whose rows have been written.
    most : int
        Lines to show, the largest differences first.

    Returns
    -------
    Styler, Markdown or None
        A table of ARI and AMI, or of the first two metrics of a notebook that has neither; a sentence where nothing
        can stand beside this run; nothing unless a notebook was run by hand or in a variation.
    """
    if run.base is None:
        return None
    rows, provenance = report.read(run.path)
    this = Results("this run", _headline(rows), {run.notebook: provenance})
    shown = pd.DataFrame({"what": labels(this.rows), "metric": this.rows["metric"].map(report.title)})
    shown["this run"] = _scores(this.rows)
    away, notes = None, []
    for name, folder in (
        (run.base, report.results_path(run.notebook, profile=run.base).parent),
        ("released run", report.PAPER),
    ):
        try:
            other = Results(name, *report.collect(source=folder, notebooks=[run.notebook]))
        except ParameterError:
            notes.append(f"There are no rows of the {name} to put beside it.")
            continue
        theirs = _headline(other.rows)
        pairs = match(this.rows, theirs)
        if not pairs:
            notes.append(f"The {name} has no such rows, it is of other corpora or methods.")
            continue
        theirs = theirs.iloc[[place for _, place in pairs]].set_axis([place for place, _ in pairs])
        shown[name] = pd.Series(_scores(theirs), theirs.index)
        if away is None:
            away = this.rows["mean"][theirs.index] - theirs["mean"]
            shown["difference"] = away.map(number)
            notes += _notes(other, this) or [f"The parameters are those of the {name}."]
    if away is None:
        return Markdown(html.escape(" ".join(notes)))
    order = away.abs().sort_values(ascending=False, kind="stable").index
    caption = f"This run beside others, {min(most, len(order))} of {len(order)} rows, the largest differences first. "
    caption += html.escape(" ".join(notes))
    return report.styled(shown.loc[order[:most]].fillna("–"), caption=caption).format(escape="html").hide()


def _headline(rows: pd.DataFrame) -> pd.DataFrame:
    """Choose the rows that tell most: agreement with labels on all tracks, noise counted as singletons."""
    measures = [name for name in DEFAULT[:2] if name in {*rows["metric"]}] or rows["metric"].unique()[:2]
    chosen = rows["metric"].isin(measures) & (rows["subset"] == "all") & rows["noise"].isin(["none", "singletons"])
    return rows[chosen].reset_index(drop=True)
