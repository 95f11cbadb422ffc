"""Result rows: one tidy row per measured value, with the provenance that lets a reader trace it."""

import base64
import html
import inspect
import io
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import HTML
from pandas.io.formats.style import Styler

from vae_lib import checks, metrics, models, store
from vae_lib.checks import ParameterError
from vae_lib.corpus import Corpus
from vae_lib.metrics import Comparison, Score

ROOT = Path(__file__).resolve().parents[2]
PAPER = ROOT / "paper" / "results"
"""Where the rows that the article prints are kept."""
PUBLISHED = ROOT / "data" / "evidence" / "published.csv"
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

COLUMNS = (
    "notebook",
    "corpus",
    "n",
    "features",
    "model",
    "params",
    "clusterer",
    "k",
    "noise",
    "coverage",
    "target",
    "subset",
    "metric",
    "space",
    "mean",
    "sd",
    "ci_low",
    "ci_high",
    "tracks_low",
    "tracks_high",
    "chance",
    "p_value",
    "seeds",
    "seconds",
    "values",
    "reason",
)
"""The columns of a result row, what was scored as far as `space` and then what came out.

`ci_low` to `ci_high` is over training seeds, `tracks_low` to `tracks_high` over draws of tracks; `values` holds one
number per seed, so that methods can be compared seed by seed from result files alone; `reason` says why some are
undefined.
"""

NUMBERS = ("coverage", "mean", "sd", "ci_low", "ci_high", "tracks_low", "tracks_high", "chance", "p_value", "seconds")
SAME = ("corpus", "n", "target", "subset", "noise", "metric", "space")  # of rows that may be compared

PACKAGES = ("librosa", "numpy", "pandas", "scikit-learn", "scipy", "torch", "umap-learn")


class Run:
    """Collects the rows of one notebook and writes them, once, to its result file.

    Parameters
    ----------
    notebook : str
        Name of the notebook.
    profile : str
        Build that receives the rows: ``_build/<profile>/results/<notebook>.json``.
    **parameters
        The notebook's other parameters, for the provenance.
    """

    def __init__(self, notebook: str, *, profile: str, **parameters: object) -> None:
        self.notebook, self.profile, self.parameters = notebook, profile, parameters
        self.path = results_path(notebook, profile=profile)
        self.started = time.monotonic()
        self._rows: list[dict[str, object]] = []
        self._corpora: dict[str, dict[str, str]] = {}

    def add(
        self,
        scores: Sequence[Score],
        *,
        corpus: Corpus,
        model: str,
        features: str,
        clusterer: str,
        k: float,
        target: str,
        seconds: float,
        subset: str = "all",
        noise: str = "none",
        coverage: float = 1.0,
        params: Mapping[str, object] | None = None,
    ) -> None:
        """Add one row per score.

        Parameters
        ----------
        scores : sequence of Score
        corpus : Corpus
            What they were measured on.
        model, features, clusterer : str
            What was scored: "vae", "audio summary", "kmeans" …
        k : float
            Number of clusters; their mean over seeds where the clusterer chooses it.
        target : str
            Label that the clusters were compared with: "genre", "language", "factor" or "none".
        seconds : float
            What it took to train and cluster.
        subset : str
            Which tracks: "all", "fault_filtered" …
        noise : {"none", "singletons", "cluster"}
            What tracks without a cluster counted as, as in `metrics.without_noise`.
        coverage : float
            Share of the tracks that are in a cluster, the mean of `metrics.coverage`.
        params : mapping, optional
            Settings of the model.

        Raises
        ------
        ParameterError
            If `noise` is unknown, `coverage` is no share, or tracks are said to be left out and not what they count as.
        """
        checks.one_of(noise, "noise", ("none", *metrics.NOISE))
        if checks.in_range(coverage, "coverage", low=0, high=1) < 1 and noise == "none":
            raise ParameterError(f"noise must say what the tracks without a cluster count as: coverage is {coverage}")
        if subset == "all" or corpus.name not in self._corpora:  # a subset has the name of the whole
            self._corpora[corpus.name] = {"hash": corpus.hash, "source": corpus.source}
        for score in scores:
            low, high = score.interval
            self._rows.append(
                {
                    "notebook": self.notebook,
                    "corpus": corpus.name,
                    "n": len(corpus),
                    "features": features,
                    "model": model,
                    "params": dict(params or {}),
                    "clusterer": clusterer,
                    "k": k,
                    "noise": noise,
                    "coverage": coverage,
                    "target": target if score.space == "labels" else "none",
                    "subset": subset,
                    "metric": score.metric,
                    "space": score.space,
                    "mean": score.mean,
                    "sd": score.sd,
                    "ci_low": low,
                    "ci_high": high,
                    "tracks_low": score.tracks[0],
                    "tracks_high": score.tracks[1],
                    "chance": score.chance,
                    "p_value": score.p_value,
                    "seeds": len(score.values),
                    "seconds": seconds,
                    "values": list(score.values),
                    "reason": score.reason,
                }
            )

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
        identities = [json.dumps([row[name] for name in COLUMNS[: COLUMNS.index("mean")]]) for row in rows]
        twice = {identity for identity in identities if identities.count(identity) > 1}
        if twice:
            raise ParameterError(f"{len(twice)} row(s) were added twice, the first: {min(twice)}")
        store.write_json(self.path, {"provenance": self._provenance(), "rows": rows})
        return self.path

    def _provenance(self) -> dict[str, object]:
        parameters = {name: _plain(value) for name, value in self.parameters.items()}
        return {
            "notebook": self.notebook,
            "corpora": self._corpora,
            "parameters": parameters,
            "parameter_hash": store.content_hash(parameters),
            "commit": commit(),
            "packages": {name: metadata.version(name) for name in PACKAGES},
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "python": platform.python_version(),
            "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
            "seconds": round(time.monotonic() - self.started, 1),
        }


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

    Raises
    ------
    ParameterError
        If the file is missing, is not a result file or lacks columns; the message names it.
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
    """Read the result files of a build, or of a folder that holds a copy of them.

    Parameters
    ----------
    profile : str, optional
        Build to read: ``_build/<profile>/results``.
    notebooks : sequence of str, optional
        Whose files to read, in this order; all that are there by default. A notebook that writes results itself names
        those it needs, or it would read its own of the time before.
    source : path, optional
        Folder to read instead, such as ``paper/results``.

    Returns
    -------
    rows : pandas.DataFrame
        As from `read`, one file after another.
    provenance : dict of notebook to dict

    Raises
    ------
    ParameterError
        If not exactly one of `profile` and `source` is given, the folder has no result files, or some that were asked
        for are missing or broken; the message names them.
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


def select(rows: pd.DataFrame, **where: object) -> pd.Series:
    """Give the one row for which every column in `where` has the value asked for.

    Raises
    ------
    ParameterError
        If no row or several match, or a column is unknown.

    Examples
    --------
    >>> from companion import report
    >>> where = {"notebook": "easy", "model": "vae", "clusterer": "kmeans", "subset": "all", "metric": "ari"}
    >>> row = report.select(report.stored(), **where)
    >>> row["corpus"], int(row["n"]), int(row["seeds"])
    ('gtzan', 1000, 10)
    """
    for name in where:
        checks.one_of(name, "column", COLUMNS)
    found = rows[np.logical_and.reduce([rows[name] == value for name, value in where.items()])]
    if len(found) != 1:
        asked = ", ".join(f"{name}={value!r}" for name, value in where.items())
        raise ParameterError(f"{len(found)} rows have {asked}; there must be exactly one")
    return found.iloc[0]


def stored() -> pd.DataFrame:
    """Rows of the paper run as they are kept with the project, columns as in `COLUMNS`; none if there are no files."""
    if not any(PAPER.glob("*.json")):
        return pd.DataFrame(columns=list(COLUMNS))
    return collect(source=PAPER)[0]


def published() -> pd.DataFrame:
    """Figures that the original project published: a row per method, named as in result rows, a column per metric."""
    return pd.read_csv(PUBLISHED, index_col="model").rename_axis(None)


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
    rows: pd.DataFrame, *, space: str, caption: str, by: str = "model", names: Mapping[str, str] | None = None
) -> Styler:
    """Lay rows out for reading: a line per model, a column per metric, and under each score its chance level and p.

    Parameters
    ----------
    rows : pandas.DataFrame
        Result rows that differ in metric and in the column `by` only, once `space` is chosen.
    space : str
        "labels", "native" or "common".
    caption : str
        What stands above the table.
    by : str
        Column whose values get a line each: "model", "corpus" …
    names : mapping of these values to str, optional
        What to call them, in the order to show; all of them by default.

    Returns
    -------
    pandas.io.formats.style.Styler
        Its `data` holds the cells as text: mean ± sd over seeds, and below it chance and the p-value, corrected over
        this table after Holm (1979). An arrow beside a metric's name says which way is better.
    """
    rows = rows[rows["space"] == space]
    rows = rows.assign(p_value=metrics.holm(rows["p_value"]))
    names = names or {value: value for value in rows[by].unique()}
    cells: dict[str, dict[str, str]] = {}
    for metric in [name for name in MEASURES if name in set(rows["metric"])]:
        title = f"{MEASURES[metric].title} {'↑' if MEASURES[metric].greater_is_better else '↓'}"
        for value, name in names.items():
            row = select(rows, **{by: value, "metric": metric})
            score = f"{number(row['mean'])} ± {number(row['sd'])}"
            cells.setdefault(title, {})[name] = f"{score}\nchance {number(row['chance'])}\np {number(row['p_value'])}"
    return styled(pd.DataFrame(cells, index=list(names.values())), caption=caption)


def claims_table(claims: Mapping[str, Comparison], *, caption: str, level: float = 0.05) -> Styler:
    """Lay comparisons out for reading: a line per claim, with what speaks for it.

    Parameters
    ----------
    claims : mapping of str to metrics.Comparison
        Each claims that the first method does better than the second, such as "base VAE above features".
    caption : str
        What stands above the table.
    level : float
        Chance of even one false finding in the table, between 0 and 1.

    Returns
    -------
    pandas.io.formats.style.Styler
        Its `data` holds the cells as text: the difference with its 95 % interval over seeds, how often a seed of the
        first does better, the p-value corrected over this table after Holm (1979), and the verdict: "supported", "the
        reverse holds", "not decided", or "not testable" where nothing varies over seeds.

    Raises
    ------
    ParameterError
        If there are no claims, or `level` is out of range.
    """
    if not claims:
        raise ParameterError("claims must have at least one comparison, got none")
    checks.in_range(level, "level", low=0, high=1)
    corrected = metrics.holm([claim.p_value for claim in claims.values()])
    lines = []
    for claim, p_value in zip(claims.values(), corrected, strict=True):
        lines.append(
            {
                "metric": MEASURES[claim.metric].title,
                "difference": number(claim.difference),
                "95 % interval": f"{number(claim.low)} to {number(claim.high)}",
                "superiority": f"{claim.superiority:.0%}",
                "p (Holm)": number(p_value),
                "verdict": verdict(claim, p_value, level=level),
            }
        )
    return styled(pd.DataFrame(lines, index=list(claims)), caption=caption)


def verdict(claim: Comparison, p_value: float, *, level: float = 0.05) -> str:
    """Say what a comparison decides at a corrected p-value, in the words of `claims_table`."""
    if np.isnan(p_value):
        return "not testable"
    if p_value > level:
        return "not decided"
    return "supported" if claim.difference > 0 else "the reverse holds"


def styled(frame: pd.DataFrame, *, caption: str) -> Styler:
    """Show a table whole, with its caption above it; equal tables give equal HTML.

    Examples
    --------
    >>> import pandas as pd
    >>> from companion import report
    >>> table = report.styled(pd.DataFrame({"tempo": [90, 120]}), caption="Two tracks.")
    >>> "<caption>Two tracks.</caption>" in table.to_html()
    True
    """
    style = frame.style.set_caption(caption).set_properties(**{"white-space": "pre-line"})
    style.set_table_styles([{"selector": "caption", "props": "caption-side: top; text-align: left"}])
    return style.set_uuid(store.content_hash(frame.to_json(), caption)[:8])


def overview(corpora: Iterable[Corpus]) -> pd.DataFrame:
    """Tell what each corpus holds: one column per corpus, one line per kind of thing; a dash where it has none.

    Examples
    --------
    >>> from companion import report
    >>> from vae_lib import corpus
    >>> report.overview([corpus.load("gtzan-mini")]).loc[["tracks", "genres", "known artists"], "gtzan-mini"].to_dict()
    {'tracks': '100', 'genres': '10', 'known artists': '41'}
    """
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
    frame = pd.DataFrame({provenance["notebook"]: facts.values()}, index=list(facts))
    return styled(frame, caption="What the rows of this page were computed from.")


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


def number(value: float) -> str:
    """Write a number as tables show it: three digits after the point below ten, one above, a dash for NaN."""
    if np.isnan(value):
        return "–"
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")
