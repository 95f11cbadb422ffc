"""Two runs side by side: which of their result rows belong together, and how they differ.

``python -m companion compare`` is what ``make compare A=book B=book+beta=8`` calls. A notebook ends with `beside`,
which shows what a tweak did.
"""

import html
import io
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from companion import report
from vae_lib import metrics, plots
from vae_lib.checks import ParameterError

WHAT = ("notebook", "corpus", "features", "model", "clusterer", "target", "subset", "noise", "metric", "space")
"""Columns in which two rows must agree to stand side by side; `n`, `k` and `params` are what a tweak may change."""

DEFAULT = ("ari", "ami", "silhouette")
"""The metrics that are compared unless others are asked for."""

ORDINARY = ("none", "all", "labels", "")  # target, subset, noise and space that go without saying
SCRATCH = "scratch"  # the build of notebooks that are run by hand
LINES = 15  # of a notebook, in a terminal


class Results(NamedTuple):
    """The rows of a run and where they come from, as from `report.collect`."""

    name: str
    rows: pd.DataFrame
    provenance: dict[str, dict[str, object]]


class Comparison(NamedTuple):
    """Two runs, row by row.

    Attributes
    ----------
    names : tuple of str
        What the runs A and B are called.
    table : pandas.DataFrame
        A line per row that both have, those of a notebook together, largest difference first. Columns: `WHAT`,
        `label`, which puts it in words, `mean_a`, `sd_a`, `chance_a`, the same of B, `difference` (B minus A), `equal`
        (every value is the same) and `p_value`, corrected over the table after Holm (1979). There is no p-value for
        equal values, other tracks, the native space, or where nothing varies.
    only : tuple of pandas.DataFrame
        The result rows that A or B has alone.
    notes : list of str
        What a reader must know first: corpora of other content, parameters that differ, commits.
    """

    names: tuple[str, str]
    table: pd.DataFrame
    only: tuple[pd.DataFrame, pd.DataFrame]
    notes: list[str]


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
    """Find the rows of two runs that stand for the same thing.

    They agree in `WHAT`. Where a run has several such rows, `n`, `k` and the settings in `params` tell them apart, as
    far as some value occurs in both runs: a sweep is matched value by value, while a setting that was changed, or a
    number that was measured, keeps no rows apart. What remains ambiguous is not matched.

    Parameters
    ----------
    first, second : pandas.DataFrame
        Result rows, columns as in `report.COLUMNS`.

    Returns
    -------
    list of tuple of int
        Positions in `first` and in `second`, in the order of `first`.
    """
    groups: dict[tuple, tuple[dict, dict]] = {}
    for side, rows in enumerate((first, second)):
        keys = zip(*(rows[name] for name in WHAT), strict=True)
        for place, (key, settings) in enumerate(zip(keys, _settings(rows), strict=True)):
            groups.setdefault(key, ({}, {}))[side][place] = settings
    return sorted(pair for a, b in groups.values() for pair in _pairs(a, b))


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
    found: list[tuple[int, int]] = []
    while True:
        names = sorted(set().union(*a.values(), *b.values()))
        shared = [n for n in names if n == "n" or {s.get(n) for s in a.values()} & {s.get(n) for s in b.values()}]
        in_a, in_b = (_unique({place: tuple(map(s.get, shared)) for place, s in side.items()}) for side in (a, b))
        new = [(in_a[key], in_b[key]) for key in in_a if key in in_b]
        if not new:
            return found
        found += new
        a = {place: s for place, s in a.items() if place not in dict(new)}
        b = {place: s for place, s in b.items() if place not in dict(new).values()}


def _unique(keys: Mapping[int, tuple]) -> dict[tuple, int]:
    all_keys = list(keys.values())
    return {key: place for place, key in keys.items() if all_keys.count(key) == 1}


def compare(first: Results, second: Results, *, measures: Sequence[str] | None = None) -> Comparison:
    """Put two runs side by side; seeds are compared one by one where both have as many, else as two groups.

    Parameters
    ----------
    first, second : Results
        As from `read`.
    measures : sequence of str, optional
        Names in the column `metric`; by default `DEFAULT`, or all if neither run has these.

    Raises
    ------
    ParameterError
        If neither run has a metric that was asked for.
    """
    there = list(dict.fromkeys([*first.rows["metric"], *second.rows["metric"]]))
    unknown = [name for name in measures or () if name not in there]
    if unknown:
        raise ParameterError(f"METRIC must be one of {', '.join(there)}, got {unknown[0]!r}")
    measures = measures or [name for name in DEFAULT if name in there] or there
    rows_a, rows_b = (run.rows[run.rows["metric"].isin(measures)].reset_index(drop=True) for run in (first, second))
    pairs = match(rows_a, rows_b)
    at_a, at_b = [place for place, _ in pairs], [place for _, place in pairs]
    a, b = rows_a.iloc[at_a].reset_index(drop=True), rows_b.iloc[at_b].reset_index(drop=True)
    other = _other_content(first, second)
    table = a[list(WHAT)].copy()
    table["label"] = labels(a)
    for column in ("mean", "sd", "chance"):
        table[f"{column}_a"], table[f"{column}_b"] = a[column], b[column]
    table["difference"] = b["mean"] - a["mean"]
    equal = [np.array_equal(x, y, equal_nan=True) for x, y in zip(a["values"], b["values"], strict=True)]
    table["equal"] = np.array(equal, dtype=bool)
    p_values = [
        np.nan if same or (row["notebook"], row["corpus"]) in other else _p_value(row, theirs)
        for same, (_, row), (_, theirs) in zip(equal, a.iterrows(), b.iterrows(), strict=True)
    ]
    table["p_value"] = metrics.holm(p_values)
    notebooks = list(dict.fromkeys(table["notebook"]))
    rank = pd.DataFrame({"notebook": table["notebook"].map(notebooks.index), "away": -table["difference"].abs()})
    return Comparison(
        (first.name, second.name),
        table.loc[rank.sort_values(["notebook", "away"], kind="stable").index].reset_index(drop=True),
        (rows_a.drop(index=at_a), rows_b.drop(index=at_b)),
        _notes(first, second, other) + _commits(first, second),
    )


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
    keys, settings = list(zip(*(rows[name] for name in WHAT), strict=True)), _settings(rows)
    alike: dict[tuple, list[dict[str, str]]] = {}
    for key, own in zip(keys, settings, strict=True):
        alike.setdefault(key, []).append(own)
    found = []
    for key, own in zip(keys, settings, strict=True):
        row = dict(zip(WHAT, key, strict=True))
        noise = "" if row["noise"] == "none" else f"noise as {row['noise']}"
        extra = [text for text in (row["target"], row["subset"], noise, row["space"]) if text not in ORDINARY]
        extra += [
            f"{name} {_plain(json.loads(text))}"
            for name, text in own.items()
            if any(each.get(name) != text for each in alike[key])
        ]
        found.append(", ".join([_method(row), *extra]))
    return found


def _method(row: Mapping[str, object]) -> str:
    named = [row[name] for name in ("model", "features", "clusterer") if row[name] != "none"]
    return f"{row['corpus']}: {' · '.join(named)}"


def _other_content(first: Results, second: Results) -> dict[tuple[str, str], tuple[str, str]]:
    """Give the two hashes of each corpus, by notebook and name, that is not the same in both runs."""
    found = {}
    for notebook in first.provenance.keys() & second.provenance.keys():
        a, b = (run.provenance[notebook]["corpora"] for run in (first, second))
        for corpus in a.keys() & b.keys():
            if a[corpus]["hash"] != b[corpus]["hash"]:
                found[notebook, corpus] = (a[corpus]["hash"], b[corpus]["hash"])
    return found


def _notes(first: Results, second: Results, other: Mapping[tuple[str, str], tuple[str, str]]) -> list[str]:
    notes = [
        f"{notebook}: the corpus {corpus} has other content in {first.name} ({a[:12]}) than in {second.name} "
        f"({b[:12]}): scores of other tracks stand side by side, they are not tested."
        for (notebook, corpus), (a, b) in sorted(other.items())
    ]
    for notebook in first.provenance:
        if notebook in second.provenance:
            changed = changed_parameters(first.provenance[notebook], second.provenance[notebook])
            if changed:
                notes.append(f"{notebook}: {', '.join(changed)}.")
    return notes


def _commits(first: Results, second: Results) -> list[str]:
    a, b = (" and ".join(sorted({about["commit"] for about in run.provenance.values()})) for run in (first, second))
    return [] if a == b else [f"The code differs, commit {a} in {first.name}, {b} in {second.name}."]


def changed_parameters(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Tell which parameters differ between two provenances.

    Examples
    --------
    >>> from companion import compare
    >>> before, after = ({"parameters": {"beta": beta, "seeds": 10}} for beta in (1.0, 8.0))
    >>> compare.changed_parameters(before, after)
    ['beta 1 → 8']
    """
    a, b = before["parameters"], after["parameters"]
    return [
        f"{name} {_plain(a.get(name, '–'))} → {_plain(b.get(name, '–'))}"
        for name in dict.fromkeys([*a, *b])
        if a.get(name, "–") != b.get(name, "–")
    ]


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _title(metric: str) -> str:
    known = report.MEASURES.get(metric)
    return f"{known.title} {'↑' if known.greater_is_better else '↓'}" if known else metric


def _scores(means: pd.Series, sds: pd.Series) -> list[str]:
    """Write mean ± standard deviation over seeds; one seed has none."""
    pairs = zip(means, sds, strict=True)
    return [report.number(mean) + ("" if np.isnan(sd) else f" ± {report.number(sd)}") for mean, sd in pairs]


def lines(table: pd.DataFrame) -> pd.DataFrame:
    """Lay lines of `Comparison.table` out as text."""
    return pd.DataFrame(
        {
            "what": table["label"],
            "metric": table["metric"].map(_title),
            "A": _scores(table["mean_a"], table["sd_a"]),
            "B": _scores(table["mean_b"], table["sd_b"]),
            "B − A": table["difference"].map(report.number),
            "chance": table["chance_b"].map(report.number),
            "p (Holm)": np.where(table["equal"], "equal", table["p_value"].map(report.number)),
        }
    )


def alone(comparison: Comparison) -> pd.DataFrame:
    """Count the rows that one run has alone: columns `run`, `notebook`, `method`, `rows`."""
    columns = ["run", "notebook", "method"]
    found = [
        (run, row["notebook"], _method(row))
        for run, rows in zip("AB", comparison.only, strict=True)
        for row in rows.to_dict("records")
    ]
    return pd.DataFrame(found, columns=columns).groupby(columns, sort=False).size().rename("rows").reset_index()


def _summary(comparison: Comparison) -> str:
    both, equal, (only_a, only_b) = len(comparison.table), comparison.table["equal"].sum(), map(len, comparison.only)
    return f"{both} rows are in both, {equal} of them equal in every value; {only_a} are only in A, {only_b} only in B."


def as_text(comparison: Comparison) -> str:
    """Lay a comparison out for a terminal: the largest differences of each notebook; equal rows are only counted."""
    parts = [f"A is {comparison.names[0]}, B is {comparison.names[1]}", *comparison.notes, _summary(comparison)]
    for notebook, table in comparison.table[~comparison.table["equal"]].groupby("notebook", sort=False):
        shown = lines(table.head(LINES)).rename(columns={"what": notebook})
        width = shown[notebook].str.len().max()
        shown[notebook] = shown[notebook].str.ljust(width)
        parts += ["", shown.rename(columns={notebook: notebook.ljust(width)}).to_string(index=False)]
        if len(table) > LINES:
            parts.append(f"{len(table) - LINES} rows of {notebook} that differ less are on the page")
    for (run, notebook), methods in alone(comparison).groupby(["run", "notebook"], sort=False):
        named, more = "; ".join(methods["method"].head(5)), len(methods) - 5
        parts += [
            "",
            f"only {run} has {methods['rows'].sum()} rows of {notebook}: {named}{f'; {more} more' if more > 0 else ''}",
        ]
    return "\n".join(parts)


def figure(comparison: Comparison) -> Figure:
    """Draw B against A: a panel per metric, a mark per row, grey where both are equal, and crosses at chance."""
    table = comparison.table.dropna(subset=["mean_a", "mean_b"])
    table = table.assign(kind=table["notebook"].mask(table["equal"], "equal in both"))
    kinds = [*(kind for kind in table["notebook"].unique() if kind in set(table["kind"])), "equal in both"]
    colours = dict(zip(kinds, plots.palette(len(kinds) - 1), strict=False)) | {"equal in both": "0.75"}
    panels = list(table.groupby(["metric", "space"], sort=False))
    wide, high = min(4, len(panels)), -(-len(panels) // 4)
    fig = Figure(figsize=(3.4 * wide + 1.6, 3.6 * high))
    for place, ((metric, space), part) in enumerate(panels):
        ax = fig.add_subplot(high, wide, place + 1)
        title = _title(metric) + ("" if space == "labels" else f", {space} space")
        for marker, kind in zip(itertools.cycle(plots.MARKERS), kinds, strict=False):
            rows, equal = part[part["kind"] == kind], kind == "equal in both"
            style = {
                "color": colours[kind],
                "label": kind,
                "markersize": 3 if equal else 5,
                "zorder": 1 if equal else 2,
            }
            ax.plot(rows["mean_a"], rows["mean_b"], marker, **style)
        ax.plot(part["chance_a"], part["chance_b"], "+", color="black", label="chance")
        ax.axline((part["mean_a"].iloc[0],) * 2, slope=1, color="grey", lw=0.8, zorder=0)
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
    if any(map(len, comparison.only)):
        parts += ["<h2>Rows that only one run has</h2>", _table(alone(comparison), "Number of such rows, by method")]
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
    """Show what a tweak did: the headline scores of a run beside those of the book and of the paper run.

    Only a notebook that was run by hand, or in a variation, has something to show: the pages of the book itself stay
    as they are.

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
        can stand beside this run; nothing in a build that is no variation.
    """
    base = "book" if run.profile == SCRATCH else run.profile.partition("+")[0]
    if base == run.profile:
        return None
    rows, provenance = report.read(run.path)
    this = Results("this run", _headline(rows), {run.notebook: provenance})
    shown = pd.DataFrame({"what": labels(this.rows), "metric": this.rows["metric"].map(_title)})
    shown["this run"] = _scores(this.rows["mean"], this.rows["sd"])
    away, notes = None, []
    for name, folder in ((base, report.results_path(run.notebook, profile=base).parent), ("paper run", report.PAPER)):
        try:
            other = Results(name, *report.collect(source=folder, notebooks=[run.notebook]))
        except ParameterError:
            notes.append(f"There are no rows of the {name} to put beside it.")
            continue
        other = other._replace(rows=_headline(other.rows))
        pairs = match(this.rows, other.rows)
        if not pairs:
            notes.append(f"The {name} has no such rows, it is of other corpora or methods.")
            continue
        mine = [place for place, _ in pairs]
        theirs = other.rows.iloc[[place for _, place in pairs]].set_axis(mine)
        shown[name] = pd.Series(_scores(theirs["mean"], theirs["sd"]), mine)
        if away is None:
            away = this.rows["mean"][mine] - theirs["mean"]
            shown["difference"] = away.map(report.number)
            notes += _notes(other, this, _other_content(other, this)) or [f"The parameters are those of the {name}."]
    if away is None:
        return Markdown(" ".join(notes))
    order = away.abs().sort_values(ascending=False, kind="stable").index
    caption = f"This run beside others, {min(most, len(order))} of {len(order)} rows, the largest differences first. "
    return report.styled(shown.loc[order[:most]].fillna("–"), caption=caption + " ".join(notes)).hide()


def _headline(rows: pd.DataFrame) -> pd.DataFrame:
    """Choose the rows that tell most: agreement with labels on all tracks, noise counted as singletons."""
    measures = [name for name in DEFAULT[:2] if name in set(rows["metric"])] or list(rows["metric"].unique()[:2])
    chosen = rows["metric"].isin(measures) & (rows["subset"] == "all") & rows["noise"].isin(["none", "singletons"])
    return rows[chosen].reset_index(drop=True)
