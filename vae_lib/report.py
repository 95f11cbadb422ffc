"""Result rows: one tidy row per measured value, with the provenance that lets a reader trace it."""

import base64
import html
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

from vae_lib import checks, metrics, store
from vae_lib.checks import ParameterError
from vae_lib.corpus import Corpus
from vae_lib.metrics import METRICS, Score

ROOT = Path(__file__).resolve().parents[1]

COLUMNS = (
    "notebook",
    "corpus",
    "n",
    "features",
    "model",
    "params",
    "clusterer",
    "k",
    "target",
    "subset",
    "metric",
    "space",
    "mean",
    "sd",
    "ci_low",
    "ci_high",
    "chance",
    "p_value",
    "seeds",
    "seconds",
)
"""The columns of a result row."""

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
        self.notebook, self.parameters = notebook, parameters
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
        k: int,
        target: str,
        seconds: float,
        subset: str = "all",
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
        k : int
            Number of clusters.
        target : str
            Label that the clusters were compared with: "genre", "language", "factor" or "none".
        seconds : float
            What it took to train and cluster.
        subset : str
            Which tracks: "all", "fault_filtered" …
        params : mapping, optional
            Settings of the model.
        """
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
                    "target": target if score.space == "labels" else "none",
                    "subset": subset,
                    "metric": score.metric,
                    "space": score.space,
                    "mean": score.mean,
                    "sd": score.sd,
                    "ci_low": low,
                    "ci_high": high,
                    "chance": score.chance,
                    "p_value": score.p_value,
                    "seeds": len(score.values),
                    "seconds": seconds,
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
    """Path of the result file of `notebook` in the build `profile`."""
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
    return rows[list(COLUMNS)], provenance


def select(rows: pd.DataFrame, **where: object) -> pd.Series:
    """Give the one row for which every column in `where` has the value asked for.

    Raises
    ------
    ParameterError
        If no row or several match, or a column is unknown.
    """
    for name in where:
        checks.one_of(name, "column", COLUMNS)
    found = rows[np.logical_and.reduce([rows[name] == value for name, value in where.items()])]
    if len(found) != 1:
        asked = ", ".join(f"{name}={value!r}" for name, value in where.items())
        raise ParameterError(f"{len(found)} rows have {asked}; there must be exactly one")
    return found.iloc[0]


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
    for metric in [name for name in METRICS if name in set(rows["metric"])]:
        title = f"{METRICS[metric].title} {'↑' if METRICS[metric].greater_is_better else '↓'}"
        for value, name in names.items():
            row = select(rows, **{by: value, "metric": metric})
            score = f"{_number(row['mean'])} ± {_number(row['sd'])}"
            cells.setdefault(title, {})[name] = f"{score}\nchance {_number(row['chance'])}\np {_number(row['p_value'])}"
    return styled(pd.DataFrame(cells, index=list(names.values())), caption=caption)


def styled(frame: pd.DataFrame, *, caption: str) -> Styler:
    """Show a table whole, with its caption above it; equal tables give equal HTML."""
    style = frame.style.set_caption(caption).set_properties(**{"white-space": "pre-line"})
    style.set_table_styles([{"selector": "caption", "props": "caption-side: top; text-align: left"}])
    return style.set_uuid(store.content_hash(frame.to_json(), caption)[:8])


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
        "commit": provenance["commit"],
        "packages": ", ".join(f"{name} {version}" for name, version in provenance["packages"].items()),
        "machine": f"{provenance['machine']}, Python {provenance['python']}, {provenance['threads']} thread(s)",
        "duration": f"{provenance['seconds']:.0f} s",
    }
    frame = pd.DataFrame({provenance["notebook"]: facts.values()}, index=list(facts))
    return styled(frame, caption="What the rows of this page were computed from.")


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


def _number(value: float) -> str:
    if np.isnan(value):
        return "–"
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")
