"""Result rows: one tidy row per measured value, with the provenance that lets a reader trace it."""

import base64
import html
import inspect
import io
import json
import os
import platform
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from IPython import get_ipython
from IPython.display import HTML
from pandas.io.formats.style import Styler

from companion import NOTEBOOK, ROOT
from companion.text import between, number, plus_minus
from vae_lib import checks, metrics, protocol, store
from vae_lib.checks import ParameterError
from vae_lib.corpus import Corpus
from vae_lib.metrics import Comparison, Score

PAPER = ROOT / "paper" / "results"
"""Where the rows that the article prints are kept."""
PUBLISHED = ROOT / "data" / "evidence" / "published.csv"
SECOND = ROOT / "data" / "evidence" / "second_run.csv"
"""Verdicts of a second run on another machine."""
EXHIBITS = ROOT / "paper" / "exhibits.csv"
"""What each figure and table of the article is made by, as `companion.article.build` left it."""

MEASURES = (
    metrics.METRICS
    | metrics.MEASURES
    | {
        "seconds": metrics.Measure("Seconds", 0.0, np.inf, False),
        "mebibytes": metrics.Measure("Mebibytes", 0.0, np.inf, False),
    }
)
"""Everything that a row can measure, in the order in which tables show it."""

COLUMNS = ("notebook", *protocol.COLUMNS)
"""The columns of a result row, its page and then those of `protocol.COLUMNS`."""

NUMBERS = ("coverage", "mean", "sd", "ci_low", "ci_high", "tracks_low", "tracks_high", "chance", "p_value", "seconds")
SAME = ("corpus", "n", "target", "subset", "noise", "metric", "space")  # of rows that may be compared
TOLD = ("corpus", "clusterer", "noise", "target", "subset", "metric", "space")  # tables may rename a model, and drop k

VERDICT = ("difference", "low", "high", "superiority", "p_value", "p_holm", "at_floor", "verdict")
"""The columns of a verdict."""

SHORT = 24  # characters of a cell that is not broken into lines
SCRATCH = "scratch"  # the build of notebooks that are run by hand
PACKAGES = ("librosa", "numpy", "pandas", "scikit-learn", "scipy", "torch", "umap-learn")

Rows = TypeVar("Rows")


class Run:
    """Collects the rows of one notebook and writes them, once, to its result file.

    ``run = companion.Run(globals())`` reads the parameters of the page itself, the annotated names of its
    ``parameters`` cell; the one called `profile` says which build receives the rows:
    ``_build/<profile>/results/<notebook>.json``.

    Parameters
    ----------
    page : mapping
        The global names of the notebook.
    notebook : str, optional
        Its name, where neither the run nor the editor tells it.

    Raises
    ------
    ParameterError
        If there is no parameter `profile`, or nothing tells the name of the notebook.

    Examples
    --------
    >>> import companion
    >>> page = {"__annotations__": {"profile": str, "k": int}, "profile": "scratch", "k": 10, "other": 1}
    >>> run = companion.Run(page, notebook="easy")
    >>> run.notebook, run.profile, run.parameters
    ('easy', 'scratch', {'k': 10})
    """

    def __init__(self, page: Mapping[str, object], *, notebook: str | None = None) -> None:
        self.parameters, self.notebook = _parameters(page), notebook or _name(page)
        self.profile = str(self.parameters.pop("profile"))
        self.path = results_path(self.notebook, profile=self.profile)
        self.started = time.monotonic()
        self._rows: list[dict[str, object]] = []
        self._cells: list[int | None] = []  # which cell added each row: the first, second … that was executed
        self._verdicts: dict[str, dict[str, object]] = {}
        self._corpora: dict[str, dict[str, str]] = {}

    def add(self, given: Rows, *, corpus: Corpus | None = None) -> Rows:
        """Keep rows, and give back what was given.

        Parameters
        ----------
        given : protocol.Evaluation or pandas.DataFrame
            An object with such a table as `rows`, and with `corpus`, or with `corpora`, which maps the name of a corpus
            to its ``hash`` and ``source``; or the table itself, with the `COLUMNS` but for ``notebook``.
        corpus : Corpus, optional
            What a table was measured on.

        Raises
        ------
        ParameterError
            If columns are missing, or it is not known what the rows were measured on.
        """
        rows = getattr(given, "rows", given)
        missing = [name for name in COLUMNS[1:] if name not in getattr(rows, "columns", ())]
        if missing:
            raise ParameterError(f"what is added must have rows, a table with the columns {', '.join(missing)}")
        corpora = dict(getattr(given, "corpora", {}))
        if corpus is None and rows is not given:
            corpus = getattr(given, "corpus", None)
        if corpus is not None:
            corpora[corpus.name] = {"hash": corpus.hash, "source": corpus.source}
        untold = sorted({*rows["corpus"]} - corpora.keys() - self._corpora.keys())
        if untold:
            raise ParameterError(f"corpus must say what the rows of {', '.join(untold)} were measured on")
        whole = {*rows.loc[rows["subset"] == "all", "corpus"]}  # a subset has the name of the whole
        self._corpora |= {name: of for name, of in corpora.items() if name in whole or name not in self._corpora}
        self._rows += rows.assign(notebook=self.notebook)[[*COLUMNS]].to_dict("records")
        self._cells += [_cell()] * len(rows)
        return given

    def judge(self, verdicts: pd.DataFrame, *, caption: str) -> Styler:
        """Keep verdicts with the rows, by the name of their line, and lay them out as `verdict_table` does.

        Raises
        ------
        ParameterError
            If a line has the name of one that is there.
        """
        if twice := [line for line in verdicts.index if line in self._verdicts]:
            raise ParameterError(f"verdicts must have lines of their own; there is already {twice[0]!r}")
        self._verdicts |= verdicts.to_dict("index")
        return verdict_table(verdicts, caption=caption)

    @property
    def rows(self) -> pd.DataFrame:
        """The rows so far, one per measured value, columns as in `COLUMNS`."""
        return pd.DataFrame(self._rows, columns=list(COLUMNS))

    def write(self) -> Path:
        """Write rows and provenance, whole or not at all, and return the path.

        Raises
        ------
        ParameterError
            If there are no rows, two rows describe the same value, or the folder cannot be written to.
        """
        if not self._rows:
            raise ParameterError(f"notebook {self.notebook!r} has no rows to write: add scores first")
        rows = [{name: _plain(value) for name, value in row.items()} for row in self._rows]
        counts = Counter(json.dumps([row[name] for name in COLUMNS[: COLUMNS.index("mean")]]) for row in rows)
        if twice := [identity for identity, count in counts.items() if count > 1]:
            raise ParameterError(f"{len(twice)} row(s) were added twice, the first: {twice[0]}")
        lines = [
            {"line": line} | {name: _plain(value) for name, value in found.items()}
            for line, found in self._verdicts.items()
        ]
        store.write_json(self.path, {"provenance": self._provenance(), "rows": rows, "verdicts": lines})
        return self.path

    @property
    def base(self) -> str | None:
        """The build that a variation, or a notebook run by hand, stands beside; None where this is no such run."""
        base = "book" if self.profile == SCRATCH else self.profile.partition("+")[0]
        return None if base == self.profile else base

    def beside(self) -> object:
        """Show the rows that were written beside those of other runs, as `compare.beside` does."""
        if self.base is None:
            return None
        from companion import compare  # what a book does not use makes none of its pages stale

        return compare.beside(self)

    def _provenance(self) -> dict[str, object]:
        parameters = {name: _plain(value) for name, value in self.parameters.items()}
        return {
            "notebook": self.notebook,
            "corpora": self._corpora,
            "parameters": parameters,
            "parameter_hash": store.content_hash(parameters),
            "cells": self._cells,
            "commit": commit(),
            "packages": {name: metadata.version(name) for name in PACKAGES},
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "python": platform.python_version(),
            "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
            "seconds": round(time.monotonic() - self.started, 1),
        }


def _parameters(page: Mapping[str, object]) -> dict[str, object]:
    """Give the annotated names of a page and their values."""
    kinds = page.get("__annotations__") or page.get("__annotate__", lambda _: {})(1)  # from Python 3.14 on, on demand
    if "profile" not in kinds or "profile" not in page:
        raise ParameterError("Run(globals()) finds no parameter profile: run the cell tagged 'parameters' first")
    return {name: page[name] for name in kinds if name in page}


def _name(page: Mapping[str, object]) -> str:
    """Name of the notebook as the run tells it, or an editor."""
    told = (os.environ.get(NOTEBOOK), page.get("__vsc_ipynb_file__"), page.get("__session__"))
    names = [Path(str(name)).stem for name in told if name and (name == told[0] or str(name).endswith(".ipynb"))]
    if not names:
        raise ParameterError('the name of this notebook is not known here: say Run(globals(), notebook="easy")')
    return names[0]


def _cell() -> int | None:
    """Which cell is being executed, as Jupyter counts them: as many as were put in so far; None outside a notebook."""
    shell = get_ipython()
    return None if shell is None else len(shell.user_ns["In"]) - 1


def results_path(notebook: str, *, profile: str) -> Path:
    """Path of the result file of `notebook` in the build `profile`.

    Examples
    --------
    >>> from companion import report
    >>> report.results_path("easy", profile="book").relative_to(report.ROOT).as_posix()
    '_build/book/results/easy.json'
    """
    for name, value in (("notebook", notebook), ("profile", profile)):
        if not value or Path(value).name != value or value.startswith("."):
            raise ParameterError(f"{name} must be a plain name without slashes or a leading dot, got {value!r}")
    return ROOT / "_build" / profile / "results" / f"{notebook}.json"


def read(path: Path | str) -> tuple[pd.DataFrame, dict[str, object]]:
    """Read a result file: its rows (columns as in `COLUMNS`, missing values NaN) and its provenance.

    A file that is missing, is no result file or lacks columns is an error that names it.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows, provenance = pd.DataFrame(content["rows"]), content["provenance"]
    except OSError as error:
        raise ParameterError(f"cannot read {path}: {error.strerror}; execute its notebook first") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ParameterError(f"{path} is not a result file: {error!r}") from None
    missing = [name for name in COLUMNS if name not in rows]
    if missing:
        raise ParameterError(f"{path} lacks the columns {', '.join(missing)}")
    rows = rows[list(COLUMNS)].astype(dict.fromkeys(NUMBERS, float))
    values = [[np.nan if value is None else value for value in seeds] for seeds in rows["values"]]
    return rows.assign(values=pd.Series(values, index=rows.index, dtype=object)), provenance


def collect(
    profile: str | None = None, *, notebooks: Sequence[str] | None = None, source: Path | str | None = None
) -> tuple[pd.DataFrame, dict[str, dict[str, object]]]:
    """Read the result files of the build `profile`, or of a folder `source` that holds a copy of them.

    Parameters
    ----------
    profile : str, optional
        Build to read: ``_build/<profile>/results``.
    notebooks : sequence of str, optional
        Whose files to read, in this order; all that are there by default. A notebook that writes results itself names
        those it needs, or it would read its own of the time before.
    source : path, optional
        Such as ``paper/results``.

    Returns
    -------
    rows : pandas.DataFrame
        As from `read`, one file after another.
    provenance : dict of notebook to dict

    Raises
    ------
    ParameterError
        If the folder has no result files, or some that were asked for are missing or broken; the message names them.
    """
    if (profile is None) == (source is None):
        raise ParameterError(f"give either profile or source, got profile={profile!r} and source={source!r}")
    folder = results_path("any", profile=profile).parent if source is None else Path(source)
    there = sorted(path.stem for path in folder.glob("*.json"))
    if not there:
        raise ParameterError(f"{folder} has no result files; execute the notebooks first")
    missing = [name for name in notebooks or () if name not in there]
    if missing:
        raise ParameterError(
            f"{folder} lacks the results of {', '.join(missing)}, it has those of {', '.join(there)}; "
            "execute the missing notebooks first"
        )
    found = {name: read(folder / f"{name}.json") for name in (there if notebooks is None else notebooks)}
    rows = pd.concat([rows for rows, _ in found.values()], ignore_index=True)
    return rows, {name: provenance for name, (_, provenance) in found.items()}


def verdicts(folder: Path | str) -> pd.DataFrame:
    """Read the verdicts of the result files in a folder: `notebook`, `line`, and what `protocol.verdicts` gives."""
    lines = []
    for path in sorted(Path(folder).glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        lines += [{"notebook": path.stem} | line for line in content.get("verdicts", [])]
    return pd.DataFrame(lines, columns=["notebook", "line", *VERDICT])


def turned(first: pd.DataFrame, second: pd.DataFrame | None = None) -> pd.DataFrame:
    """Lines whose verdict is another one in a second run: those of `first`, with `p_holm_second` and `verdict_second`.

    Without `second` that is `SECOND`, kept with the project: the study run on another machine.
    """
    second = pd.read_csv(SECOND) if second is None else second
    key = ["notebook", "line"]
    both = first.merge(second[[*key, "p_holm", "verdict"]], on=key, suffixes=("", "_second"))
    both.attrs["lines"] = len(both)
    return both[both["verdict"] != both["verdict_second"]]


def where(rows: pd.DataFrame, **columns: object) -> pd.DataFrame:
    """Give the rows for which every column has the value asked for."""
    for name in columns:
        checks.one_of(name, "column", COLUMNS)
    return rows[np.logical_and.reduce([rows[name] == value for name, value in columns.items()])]


def select(rows: pd.DataFrame, **columns: object) -> pd.Series:
    """Give the one row for which every column has the value asked for.

    Raises
    ------
    ParameterError
        If no row or several match, or a column is unknown.

    Examples
    --------
    >>> from companion import report
    >>> about = {"notebook": "easy", "model": "vae", "clusterer": "kmeans", "subset": "all", "metric": "ari"}
    >>> row = report.select(report.stored(), **about)
    >>> row["corpus"], int(row["n"]), int(row["seeds"])
    ('gtzan', 1000, 10)
    """
    found = where(rows, **columns)
    if len(found) != 1:
        asked = ", ".join(f"{name}={value!r}" for name, value in columns.items())
        raise ParameterError(f"{len(found)} rows have {asked}; there must be exactly one")
    return found.iloc[0]


def key(row: Mapping[str, object]) -> str:
    """Name of a row in the pages of a book, the same as measured and as read back."""
    what = [str(row[name]) for name in TOLD]
    found = [repr(float("nan" if row[name] is None else row[name])) for name in ("mean", "sd", "seconds")]
    return f"passport-{store.content_hash(what, found)[:10]}"


def stored() -> pd.DataFrame:
    """Rows of the released run, kept with the project, columns as in `COLUMNS`; none if there are no files."""
    if not any(PAPER.glob("*.json")):
        return pd.DataFrame(columns=list(COLUMNS))
    return collect(source=PAPER)[0]


def published(*, readme: bool = False) -> pd.DataFrame:
    """Figures that the original project published: a row per method, named as in `PLACED`, a column per metric.

    Those of its stored result files, with all digits, or those of the table in its README.
    """
    table = pd.read_csv(PUBLISHED, index_col="model").rename_axis(None)
    return table[(table["file"] == "README.md") == readme].drop(columns=["file", "line"])


PLACED = {
    "raw": ("features, k-means", "raw"),
    "ward": ("features, Ward", "ward"),
    "pca": ("PCA, k-means", "pca"),
    "published_vae_medium": ("base VAE, medium task", "published_vae"),
    "published_vae": ("base VAE, hard task", "published_vae"),
    "published_beta_vae": ("β-VAE, hard task", "published_beta_vae"),
}
"""What a stored line is called, and the model of the audit that it is placed among."""


def among_noise(rows: pd.DataFrame) -> pd.DataFrame:
    """Place every stored figure among the draws of noise and beside what real tracks give.

    Parameters
    ----------
    rows : pandas.DataFrame
        Of the audit: on the corpus ``noise`` and, as far as they are there, on one of music.

    Returns
    -------
    pandas.DataFrame
        One line per figure: `reading`, `metric`, `value`, `low` and `high` (the middle 95 % of the draws), `below` (the
        share of draws below the value), `inside`, `nearer`: whether it is nearer to the median of noise than to the
        mean of real tracks; NaN where a shuffled order decides, or there are no real tracks; and `draws`.
    """
    lines = []
    noisy, real = rows[rows["corpus"] == "noise"], rows[rows["corpus"] != "noise"]
    for line, figures in published().iterrows():
        reading, model = PLACED[line]
        for metric, value in figures.items():
            labelled = metric in metrics.LABEL_METRICS
            shuffled = labelled and model.startswith("published")
            about = {"metric": metric, "space": "labels" if labelled else "native"}
            draws = np.array(select(noisy, model=f"{model}_shuffled" if shuffled else model, **about)["values"])
            low, high = map(float, np.quantile(draws, [0.025, 0.975]))
            line = {"reading": reading, "metric": metric, "value": value, "low": low, "high": high}
            line |= {"below": float(np.mean(draws < value)), "inside": low <= value <= high, "nearer": np.nan}
            if len(real) and not shuffled:
                there = select(real, model=model, **about)["mean"]
                line["nearer"] = float(abs(value - np.median(draws)) < abs(value - there))
            lines.append(line | {"draws": draws})
    return pd.DataFrame(lines)


def solutions(sizes: Iterable[int] = range(100, 1001, 100)) -> pd.DataFrame:
    """Count how many tables of so many tracks, in ten classes of equal size, can have each stored ARI and purity.

    A line per stored row, named as in `PLACED`, a column per number of tracks: see `metrics.ari_solutions`.
    """
    stored = published()[["ari", "purity"]]
    return pd.DataFrame(
        {n: [len(metrics.ari_solutions(*of, n=n, classes=10, clusters=10)) for of in stored.to_numpy()] for n in sizes},
        index=stored.index,
    )


def score(row: pd.Series) -> Score:
    """Turn a result row back into a score, without its null distribution, of which rows keep the mean and p only."""
    tracks = (row["tracks_low"], row["tracks_high"])
    return Score(row["metric"], row["space"], np.array(row["values"], dtype=float), np.array([]), tracks, row["reason"])


def compare(first: pd.Series, second: pd.Series, *, paired: bool = True) -> Comparison:
    """Compare two result rows over their seeds, as in `metrics.compare`.

    Raises
    ------
    ParameterError
        If the rows are not of the same tracks, target, metric and space, or as in `metrics.compare`.

    Examples
    --------
    >>> from companion import report
    >>> where = {"notebook": "easy", "clusterer": "kmeans", "subset": "all", "metric": "ari"}
    >>> vae, untrained = (report.select(report.stored(), model=model, **where) for model in ("vae", "untrained"))
    >>> report.compare(vae, untrained).superiority  # a share of the seeds
    1.0
    """
    differ = [name for name in SAME if first[name] != second[name]]
    if differ:
        told = ", ".join(f"{name}: {first[name]!r} and {second[name]!r}" for name in differ)
        raise ParameterError(f"rows that are compared must agree in {', '.join(SAME)}; these differ in {told}")
    return metrics.compare(score(first), score(second), paired=paired)


def table(
    rows: pd.DataFrame,
    *,
    caption: str,
    space: str = "labels",
    by: str = "model",
    names: Mapping[str, str] | None = None,
    level: float = 0.05,
) -> Styler:
    """Lay rows out for reading: a line per model, a column per metric, and a last line that tells what chance gives.

    A cell holds mean ± sd over seeds, and ● where the score is above chance. What else the row says, its intervals and
    its p-value, is shown on hovering and goes with the CSV.

    Parameters
    ----------
    rows : pandas.DataFrame
        Result rows that differ in metric, target and the column `by` only, once `space` is chosen. With several
        targets each metric has a column for each.
    caption : str
        What stands above the table.
    space : str
        "labels", "native" or "common".
    by : str
        Column whose values get a line each: "model", "corpus" …
    names : mapping of these values to str, optional
        What to call them, in the order to show; all of them by default.
    level : float
        Chance of even one ● in a table of nothing but chance: p-values are corrected over it after Holm (1979).

    Returns
    -------
    pandas.io.formats.style.Styler
        Its `data` holds the cells as text. An arrow beside a metric's name says which way is better.

    Examples
    --------
    >>> from companion import report
    >>> rows = report.stored().query("notebook == 'easy' and subset == 'all' and clusterer == 'kmeans'")
    >>> names = {"raw": "features", "vae": "base VAE"}
    >>> shown = report.table(rows, names=names, caption="Agreement with genre.").data
    >>> list(shown.index), shown.loc["features", "ARI ↑"].endswith(" ●")
    (['features', 'base VAE', 'chance'], True)
    """
    names = names or {value: value for value in rows[by].unique()}
    for value in names:
        checks.one_of(value, by, {*rows[by]})
    rows = rows[(rows["space"] == space) & rows[by].isin(names)]
    rows = rows.assign(p_value=metrics.holm(rows["p_value"]))
    cells: dict[str, list[str]] = {}
    hover: dict[str, list[str]] = {}
    keys: dict[str, list[str]] = {}
    known, targets = {*zip(rows["metric"], rows["target"], strict=True)}, rows["target"].unique()
    for metric, target in [(name, to) for name in MEASURES for to in targets if (name, to) in known]:
        heading = f"{title(metric)} {target}" if len(targets) > 1 else title(metric)
        these = rows[(rows["metric"] == metric) & (rows["target"] == target)]
        found = [select(these, **{by: value}) if value in {*these[by]} else None for value in names]
        marks = [" ●" if row is not None and row["p_value"] <= level else "" for row in found]
        chances = [number(chance, 2) for chance in sorted(these["chance"])]
        cells[heading] = [
            "–" if row is None else plus_minus(row, digits=2) + mark for row, mark in zip(found, marks, strict=True)
        ]
        cells[heading].append(" to ".join(dict.fromkeys([chances[0], chances[-1]])))
        hover[heading] = [*("" if row is None else _in_full(row) for row in found), ""]
        keys[heading] = [*("" if row is None or np.isnan(row["mean"]) else key(row) for row in found), ""]
    frame = pd.DataFrame(cells, index=[*names.values(), "chance"]).map(lambda text: re.sub(r"(?<!\d)0\.", ".", text))
    if any("●" in text for text in frame.to_numpy().flat):
        caption += f" ● above chance, p ≤ {level:g} over this table (Holm)."
    if (frame.loc["chance"] == "–").all():
        frame = frame.drop("chance")
        hover, keys = ({name: told[:-1] for name, told in of.items()} for of in (hover, keys))
    hover, keys = (pd.DataFrame(of, index=frame.index) for of in (hover, keys))
    return styled(frame, caption=caption, hover=hover, keys=keys)


def _in_full(row: pd.Series) -> str:
    """All that a row says of a score, on a line; what is not defined is left out."""
    parts = {
        "mean {}": ["mean"],
        "sd {}": ["sd"],
        "95 % over seeds {} to {}": ["ci_low", "ci_high"],
        "95 % over tracks {} to {}": ["tracks_low", "tracks_high"],
        "chance {}": ["chance"],
        "p {} (Holm)": ["p_value"],
    }
    told = [text.format(*map(number, row[names])) for text, names in parts.items() if row[names].notna().all()]
    return ", ".join([*told, f"seeds {row['seeds']}", *filter(None, [row["reason"]])])


VERDICTS = {"above": "▲", "below": "▼", "equal": "=", "not decided": "?"}
"""Marks of verdicts, by how these begin."""


def verdict_table(verdicts: pd.DataFrame, *, caption: str) -> Styler:
    """Lay verdicts out for reading: a line per comparison, with its difference, interval, p-value and verdict.

    Parameters
    ----------
    verdicts : pandas.DataFrame
        As from `protocol.verdicts`: a line per comparison, named by its index, with `difference`, `low`, `high`,
        `p_holm` and `verdict`.
    caption : str
        What stands above the table.

    Examples
    --------
    >>> import pandas as pd
    >>> from companion import report
    >>> found = {"difference": [0.2], "low": [0.1], "high": [0.3], "p_holm": [0.01], "verdict": ["above"]}
    >>> report.verdict_table(pd.DataFrame(found, index=["VAE − PCA"]), caption="ARI.").data.iloc[0].tolist()
    ['0.200', '0.100 to 0.300', '0.010', '▲ above']
    """
    marks = [
        next((mark for word, mark in VERDICTS.items() if text.startswith(word)), "") for text in verdicts["verdict"]
    ]
    frame = pd.DataFrame(
        {
            "difference": verdicts["difference"].map(number),
            "95 % interval": between(verdicts["low"], verdicts["high"]),
            "p (Holm)": verdicts["p_holm"].map(number),
            "verdict": [f"{mark} {text}".strip() for mark, text in zip(marks, verdicts["verdict"], strict=True)],
        }
    )
    return styled(frame, caption=caption)


def styled(
    frame: pd.DataFrame, *, caption: str, hover: pd.DataFrame | None = None, keys: pd.DataFrame | None = None
) -> Styler:
    """Show a table whole, with its caption above it; equal tables give equal HTML.

    Parameters
    ----------
    frame : pandas.DataFrame
        Its texts may hold HTML: escape what comes from outside.
    caption : str
    hover : pandas.DataFrame, optional
        What each cell says besides, on hovering and in the CSV that a page offers.
    keys : pandas.DataFrame, optional
        Of the row behind each cell, see `key`.

    Examples
    --------
    >>> import pandas as pd
    >>> from companion import report
    >>> table = report.styled(pd.DataFrame({"tempo": [90, 120]}), caption="Two tracks.")
    >>> "<caption>Two tracks.</caption>" in table.to_html()
    True
    """
    style = frame.style.set_caption(caption)
    for name, cells in frame.items():
        longest = max((len(line) for cell in cells for line in str(cell).split("\n")), default=0)
        style.set_properties(subset=[name], **{"white-space": "pre" if longest <= SHORT else "pre-line"})
    style.set_table_styles([{"selector": "caption", "props": "caption-side: top; text-align: left"}])
    if hover is not None:
        style.set_tooltips(hover.map(html.escape), as_title_attribute=True)
    if keys is not None:
        style.set_td_classes(keys)
    return style.set_uuid(store.content_hash(frame.to_json(), caption)[:8])


def title(metric: str) -> str:
    """Name of a metric as tables show it, with an arrow that says which way is better."""
    known = MEASURES.get(metric)
    return f"{known.title} {'↑' if known.greater_is_better else '↓'}" if known else metric


def overview(corpora: Iterable[Corpus]) -> pd.DataFrame:
    """Tell what each corpus holds: one column per corpus, one line per kind of thing; a dash where it has none."""
    facts = {}
    for corpus in corpora:
        tracks, labels = corpus.tracks, corpus.labels
        facts[corpus.name] = {
            "tracks": len(corpus),
            "genres": tracks["genre"].nunique() if "genre" in labels else None,
            "languages": ", ".join(tracks["language"].unique()) if "language" in labels else None,
            "seconds per track": f"{pd.to_numeric(tracks['seconds']).median():.0f}" if "seconds" in tracks else None,
            "known artists": tracks["artist"].nunique() if "artist" in tracks else None,
            "in the fault-filtered split": tracks["fault_filtered"].notna().sum()
            if "fault_filtered" in tracks
            else None,
            "features": None if corpus.features is None else corpus.features.shape[1],
            "log-mel image": None if corpus.log_mel is None else "{} × {}".format(*corpus.log_mel.shape[1:]),
            "lyric dimensions": None if corpus.lyrics is None else corpus.lyrics.shape[1],
        }
    return pd.DataFrame(facts).map(lambda value: "–" if value is None else str(value))


def recipes() -> Styler:
    """List every model of `models.RECIPES`: what it is, how it differs from the base VAE, what it needs, its source."""
    from vae_lib import models  # which loads torch: to compare runs or to set the article does without

    base = inspect.signature(models.compose).parameters
    rows = {}
    for name, recipe in models.RECIPES.items():
        differs = {option: f"{base[option].default} → {value}" for option, value in recipe.defaults.items()}
        needs = [
            text
            for text, needed in (
                ("a label to be told", recipe.conditional),
                (f"{recipe.modalities} modalities", recipe.modalities > 1),
                ("an image", recipe.image),
            )
            if needed
        ]
        rows[name] = {
            "what it is": recipe.summary,
            "β": f"{recipe.beta:g}",
            "differs in": "\n".join(f"{option}: {change}" for option, change in differs.items()) or "–",
            "needs": ", ".join(needs) or "–",
            "source": recipe.source,
        }
    return styled(pd.DataFrame(rows).T, caption="Every model by the name that train.fit takes.")


def player(y: np.ndarray, *, sample_rate: int, caption: str) -> HTML:
    """Give a player for a signal, compressed and inside the page, so that it also plays from disk.

    Parameters
    ----------
    y : array of float, shape (samples,)
        Full scale is −1 to 1.
    sample_rate : int
        In Hz.
    caption : str
        What one hears; read out by screen readers and shown below.
    """
    import soundfile

    compressed = io.BytesIO()
    soundfile.write(compressed, np.clip(y, -1, 1), sample_rate, format="MP3")
    data, text = base64.b64encode(compressed.getvalue()).decode(), html.escape(caption)
    return HTML(
        f'<figure><audio controls aria-label="{text}" src="data:audio/mpeg;base64,{data}"></audio>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def provenance_table(path: Path | str) -> Styler:
    """Lay the provenance of a result file out for reading: one line per fact."""
    provenance = read(path)[1]
    facts = {
        "corpora": "\n".join(f"{name}, content {of['hash'][:12]}" for name, of in provenance["corpora"].items()),
        "sources": "\n".join(of["source"] for of in provenance["corpora"].values()),
        "parameters": ", ".join(f"{name} = {value}" for name, value in provenance["parameters"].items()),
        "in the article": exhibits(provenance["notebook"]) or "nothing",
        "commit": provenance["commit"],
        "packages": ", ".join(f"{name} {version}" for name, version in provenance["packages"].items()),
        "machine": f"{provenance['machine']}, Python {provenance['python']}, {provenance['threads']} thread(s)",
        "duration": f"{provenance['seconds']:.0f} s",
    }
    # Corpora have the names that readers give to their files.
    frame = pd.DataFrame({provenance["notebook"]: map(html.escape, facts.values())}, index=list(facts))
    return styled(frame, caption="What the rows of this page were computed from.")


def matched(rows: pd.DataFrame, released: pd.DataFrame) -> pd.DataFrame:
    """Pair the scores against labels that two runs have: `rows`, with `mean_released` and how far `away` that is."""
    key = [name for name in COLUMNS[: COLUMNS.index("mean")] if name not in ("params", "coverage")]
    scores = rows[rows["metric"].isin(metrics.LABEL_METRICS)]
    both = scores.merge(released[[*key, "mean"]], on=key, suffixes=("", "_released"))
    return both.assign(away=(both["mean"] - both["mean_released"]).abs())


def as_released(path: Path | str, released: Path | str) -> str:
    """Say how many scores of a result file are those of the released one, up to `protocol.MARGIN`."""
    away = matched(read(path)[0], read(released)[0])["away"]
    agree = f"{(away <= protocol.MARGIN).sum()} of {len(away)} scores that both runs have"
    return f"{agree} are within {protocol.MARGIN:g} of the released ones"


def exhibits(notebook: str) -> str:
    """Name the figures and tables of the article that a notebook makes; empty where it makes none."""
    if not EXHIBITS.is_file():
        return ""
    made = pd.read_csv(EXHIBITS).query("notebook == @notebook")
    return ", ".join(made["exhibit"].unique())


def commit() -> str:
    """Commit of the project, with "+ changes" where files differ from it; "unknown" outside a checkout."""
    git = ["git", "-C", str(ROOT)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        dirty = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + (" + changes" if dirty.stdout.strip() else "")


def _plain(value: object) -> object:
    """Turn NumPy values into what JSON holds; NaN and infinity into None."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range | np.ndarray):
        return [_plain(item) for item in value]
    return value
