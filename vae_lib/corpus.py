"""Corpora: tables of tracks with their features, every row found by its `track_id`.

A corpus comes from `load` by its name or from `read` out of a folder, and goes into a folder by `save`. The folder
holds what was derived from the audio, never the audio itself.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vae_lib import checks, store
from vae_lib.checks import ParameterError

FORMAT = 1  # of the folder; goes up when an older program could no longer read it

FACTS, INDEX, FEATURES, LOG_MEL = "corpus.json", "index.csv", "features.csv", "log_mel.npy"

_EMBEDDED = Path(__file__).resolve().parents[1] / "data"


@dataclass(frozen=True, eq=False)
class Corpus:
    """Tracks, what is known of them and what was computed from them; row i of every table is the same track.

    Parameters
    ----------
    name : str
        Name in the registry.
    tracks : DataFrame, n rows
        Index ``track_id``: unique strings in ascending order. Columns: ``genre`` (a category, none missing) and any
        other facts, such as ``artist`` and ``title`` (missing where unknown), ``audio`` (where the source audio lies
        below the data folder) and ``sha256`` (of the published audio file).
    features : DataFrame, shape (n, columns)
        Same index; finite numbers.
    log_mel : ndarray, shape (n, mels, frames)
        Coarse log-mel images in dB relative to each track's maximum; finite.
    source, licence : str
        One sentence each: where the tracks come from, and on what terms.
    feature_version : int
        Version of the code that computed the features.
    parameters : dict
        What the features were computed with.

    Raises
    ------
    ParameterError
        If the tables do not belong together or hold anything that is not allowed.
    """

    name: str
    tracks: pd.DataFrame
    features: pd.DataFrame
    log_mel: np.ndarray
    source: str
    licence: str
    feature_version: int = 0
    parameters: dict | None = None

    def __post_init__(self) -> None:
        _check_tracks(self.tracks, "tracks")
        _check_features(self.features, "features", ids=self.tracks.index)
        _check_log_mel(self.log_mel, "log_mel", n=len(self.tracks))

    def __len__(self) -> int:
        return len(self.tracks)

    def __repr__(self) -> str:
        columns, (_, mels, frames) = self.features.shape[1], self.log_mel.shape
        genres = self.tracks["genre"].nunique()
        return (
            f"Corpus({self.name!r}: {len(self)} tracks, {genres} genres, {columns} features, {mels}×{frames} log-mel)"
        )

    @property
    def hash(self) -> str:
        """SHA-256 of ids, labels, features and images; the same before saving and after reading."""
        labels = {name: self.tracks[name].astype(str).tolist() for name in _labels(self.tracks)}
        return store.content_hash(
            self.tracks.index.tolist(),
            labels,
            self.features.columns.tolist(),
            self.features.to_numpy(dtype="<f8"),
            np.asarray(self.log_mel, dtype="<f2"),  # the precision in which they are stored
        )


def _labels(tracks: pd.DataFrame) -> list[str]:
    return [name for name in tracks if isinstance(tracks[name].dtype, pd.CategoricalDtype)]


def _check_tracks(tracks: pd.DataFrame, name: str) -> None:
    ids = tracks.index
    if not len(ids):
        raise ParameterError(f"{name} must have at least one track, it is empty")
    if ids.name != "track_id" or not all(isinstance(track_id, str) and track_id for track_id in ids):
        raise ParameterError(f"{name} must have an index of strings called track_id, got {ids.name!r} ({ids.dtype})")
    if not ids.is_unique:
        raise ParameterError(f"{name} must name each track once, {ids[ids.duplicated()][0]!r} comes more than once")
    if not ids.is_monotonic_increasing:
        raise ParameterError(f"{name} must be sorted by track_id")
    if "genre" not in tracks or "genre" not in _labels(tracks):
        raise ParameterError(f"{name} must have a column genre of categories, got the columns {', '.join(tracks)}")
    if tracks["genre"].isna().any():
        raise ParameterError(f"{name} must have a genre for every track, {ids[tracks['genre'].isna()][0]!r} has none")


def _check_features(features: pd.DataFrame, name: str, *, ids: pd.Index) -> None:
    if not features.index.equals(ids):
        raise ParameterError(f"{name} must have one row per track, in their order: {_difference(features, ids)}")
    twice = features.columns[features.columns.duplicated()]
    if len(twice):
        raise ParameterError(f"{name} must name each column once, {twice[0]!r} comes more than once")
    checks.matrix(features, name)


def _difference(table: pd.DataFrame, ids: pd.Index) -> str:
    if len(table) != len(ids):
        return f"{len(table)} rows for {len(ids)} tracks"
    row = int(np.argmax(table.index != ids))
    return f"row {row} is {table.index[row]!r}, the track there is {ids[row]!r}"


def _check_log_mel(log_mel: np.ndarray, name: str, *, n: int) -> None:
    if not (isinstance(log_mel, np.ndarray) and log_mel.ndim == 3 and np.issubdtype(log_mel.dtype, np.floating)):
        found = (
            f"{log_mel.dtype} of shape {log_mel.shape}" if isinstance(log_mel, np.ndarray) else type(log_mel).__name__
        )
        raise ParameterError(f"{name} must be an array of floats (tracks, mels, frames), got {found}")
    if len(log_mel) != n:
        raise ParameterError(f"{name} must have one image per track: {len(log_mel)} images for {n} tracks")
    bad = np.flatnonzero(~np.isfinite(log_mel).all(axis=(1, 2)))
    if len(bad):
        raise ParameterError(f"{name} must be finite, {len(bad)} image(s) are not, the first in row {bad[0]}")


def save(corpus: Corpus, folder: Path | str) -> None:
    """Write a corpus into a folder of its own, whole or not at all.

    The new folder is written beside the old one and takes its place when it is complete.

    Parameters
    ----------
    corpus : Corpus
        What to write.
    folder : Path or str
        A folder that holds a corpus, is empty or does not exist yet. The images are stored in 16 bits (steps of at most
        0.06 dB), everything else exactly.

    Raises
    ------
    ParameterError
        If the folder cannot be written, or holds other files, which would be lost.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would replace a link by what it points to
    others = [] if not folder.exists() else [p.name for p in folder.iterdir()] if folder.is_dir() else [folder.name]
    others = sorted(set(others) - {FACTS, INDEX, FEATURES, LOG_MEL})
    if others:
        raise ParameterError(f"{folder} must be a folder of a corpus alone, but holds {', '.join(others[:3])}")
    facts = {
        "name": corpus.name,
        "source": corpus.source,
        "licence": corpus.licence,
        "tracks": len(corpus),
        "labels": _labels(corpus.tracks),
        "feature_version": corpus.feature_version,
        "parameters": corpus.parameters or {},
        "content_sha256": corpus.hash,
        "format": FORMAT,
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        workplace = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    except OSError as error:
        raise ParameterError(f"cannot write {folder}: {error.strerror}; give a folder you may write to") from None
    new, old = workplace / "new", workplace / "old"
    try:
        new.mkdir()
        store.write_json(new / FACTS, facts)
        corpus.tracks.to_csv(new / INDEX, lineterminator="\n")
        corpus.features.astype(float).to_csv(new / FEATURES, lineterminator="\n")
        np.save(new / LOG_MEL, np.asarray(corpus.log_mel, dtype="<f2"), allow_pickle=False)
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    except OSError as error:
        raise ParameterError(f"cannot write {folder}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def read(folder: Path | str) -> Corpus:
    """Read the corpus that `save` wrote into a folder.

    Parameters
    ----------
    folder : Path or str
        A folder with ``corpus.json``, ``index.csv``, ``features.csv`` and ``log_mel.npy``.

    Returns
    -------
    Corpus
        With ``log_mel`` in 32 bits.

    Raises
    ------
    ParameterError
        If a file is missing, damaged, holds NaN or does not belong with the others; the message names the file.
    """
    folder = Path(folder)
    for name in (FACTS, INDEX, FEATURES, LOG_MEL):
        if not (folder / name).is_file():
            raise ParameterError(
                f"{folder / name}: no such file; a corpus needs {FACTS}, {INDEX}, {FEATURES}, {LOG_MEL}"
            )
    facts = _read_facts(folder / FACTS)

    path = folder / INDEX
    tracks = _read_table(path)
    absent = [name for name in facts["labels"] if name not in tracks]
    if absent:
        raise ParameterError(f"{path}: has no column {absent[0]}, which {FACTS} calls a label")
    tracks = tracks.astype(dict.fromkeys(facts["labels"], "category"))
    _check_tracks(tracks, str(path))

    path = folder / FEATURES
    try:
        features = _read_table(path).astype(float)
    except ValueError as error:
        raise ParameterError(f"{path} must hold numbers only: {error}") from None
    _check_features(features, str(path), ids=tracks.index)

    path = folder / LOG_MEL
    try:
        log_mel = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ParameterError(f"{path}: cannot be read as an array: {error}") from None
    _check_log_mel(log_mel, str(path), n=len(tracks))

    corpus = Corpus(
        name=facts["name"],
        tracks=tracks,
        features=features,
        log_mel=log_mel.astype(np.float32),
        source=facts["source"],
        licence=facts["licence"],
        feature_version=facts["feature_version"],
        parameters=facts["parameters"],
    )
    # Images carry no ids of their own: only the hash tells that they stand in the order of the tracks.
    if corpus.hash != facts["content_sha256"]:
        raise ParameterError(
            f"{folder}: the tables and images are not those that {FACTS} was written with (another order, an edited "
            "value or files of different builds); build the corpus anew"
        )
    return corpus


def _read_facts(path: Path) -> dict:
    needed = {
        **dict.fromkeys(["name", "source", "licence", "content_sha256"], str),
        **dict.fromkeys(["format", "feature_version"], int),
        "labels": list,
        "parameters": dict,
    }
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ParameterError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(facts, dict):
        raise ParameterError(f"{path}: must be a JSON object, got {type(facts).__name__}")
    for key, kind in needed.items():
        if not isinstance(facts.get(key), kind):
            raise ParameterError(f"{path}: {key} must be of type {kind.__name__}, got {facts.get(key)!r}")
    if facts["format"] != FORMAT:
        raise ParameterError(f"{path}: format must be {FORMAT} for this version of vae_lib, got {facts['format']}")
    return facts


def _read_table(path: Path) -> pd.DataFrame:
    """A table of strings: numbers are left to Python's own conversion, which is exact in every version of pandas."""
    try:
        # An artist may well be called "NA" or "None": only an empty field is missing.
        table = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ParameterError(f"{path}: cannot be read as a table: {error}") from None
    if "track_id" not in table:
        raise ParameterError(f"{path}: must have a column track_id, got {', '.join(map(str, table.columns[:4]))}")
    return table.set_index("track_id")


def _gtzan_mini(data_home: Path | None) -> Corpus:
    return read(_EMBEDDED / "gtzan_mini")


_LOADERS: dict[str, Callable[[Path | None], Corpus]] = {"gtzan-mini": _gtzan_mini}


def names() -> list[str]:
    """The names that `load` knows."""
    return sorted(_LOADERS)


def load(name: str, *, data_home: Path | str | None = None) -> Corpus:
    """Load a corpus by its name.

    Parameters
    ----------
    name : str
        One of `names`.
    data_home : Path or str, optional
        Folder of the corpora that do not come with the project; the embedded ones need none.

    Returns
    -------
    Corpus

    Raises
    ------
    ParameterError
        If the name is unknown, or a file of the corpus is missing or damaged.

    Examples
    --------
    >>> len(load("gtzan-mini"))
    100
    """
    checks.one_of(name, "name", names())
    return _LOADERS[name](None if data_home is None else Path(data_home))
