"""Corpora: tables of tracks with what is known of them and what was computed from them, rows aligned by `track_id`.

A corpus comes from `load` by its name, from `from_manifest` or `from_folder` out of your own music, or from `read` out
of a folder that `save` wrote. What was not computed yet is None: this floor knows where audio and words are, the floors
of features and lyrics turn them into numbers, and `Corpus.with_features` and `Corpus.with_lyrics` put these in place::

    music = corpus.from_folder("my music")
    computed, log_mel, report = features.extract_many(music.audio_paths(), ids=music.tracks.index)
    music = music.with_features(computed, log_mel)
    music = music.with_lyrics(lyrics.embed(music.texts))  # where there are lyrics

A saved corpus holds what was derived, never audio or words.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from vae_lib import checks, download, manifest, store, synth
from vae_lib.checks import ParameterError

FORMAT = 2  # of the folder; goes up when an older program could no longer read it

FACTS, INDEX, FEATURES, LOG_MEL, LYRICS = "corpus.json", "index.csv", "features.csv", "log_mel.npy", "lyrics.npy"
_PARTS = {"features": FEATURES, "log_mel": LOG_MEL, "lyrics": LYRICS}

_LOSSLESS = (".wav", ".flac", ".au")  # copies of GTZAN with the same samples

_PROJECT = Path(__file__).resolve().parents[1]
_EMBEDDED = _PROJECT / "data"
_RENDERED = _PROJECT / "_build" / "cache" / "synthetic"


@dataclass(frozen=True, eq=False, kw_only=True)
class Corpus:
    """Tracks, what is known of them and what was computed from them; row i of every part is the same track.

    Parameters
    ----------
    name : str
        Name in the registry.
    tracks : DataFrame, n rows
        Index ``track_id``: unique strings in ascending order. Columns of categories are labels, such as ``genre`` and
        ``language``, and none is missing. Others are facts, missing where unknown: ``artist``, ``title``, ``audio``
        (the file, below `audio_folder`), ``seconds`` (its length), ``sha256`` (of the published audio file),
        ``fault_filtered`` and ``duplicate_of`` (see the methods of these names).
    source, licence : str
        One sentence or more each: where the tracks come from, and on what terms.
    features : DataFrame, shape (n, columns), optional
        Same index; finite numbers.
    log_mel : ndarray, shape (n, mels, frames), optional
        Coarse log-mel images in dB relative to each track's maximum; finite.
    lyrics : ndarray, shape (n, dimensions), optional
        Lyric vectors; a row of NaN where a track has no lyrics.
    texts : Series, n rows, optional
        The words themselves, same index, missing where a track has none. They are not saved, shown or published.
    feature_version : int
        Version of the code that computed the features; 0 if others did.
    parameters : dict
        What the parts were computed with.
    audio_folder : Path, optional
        Where the audio files lie.
    render : callable, optional
        Makes the audio of a corpus that is synthetic: ``render(row of tracks, path)`` writes the file.

    Raises
    ------
    ParameterError
        If the tables do not belong together or hold anything that is not allowed.
    """

    name: str
    tracks: pd.DataFrame
    source: str
    licence: str
    features: pd.DataFrame | None = None
    log_mel: np.ndarray | None = None
    lyrics: np.ndarray | None = None
    texts: pd.Series | None = None
    feature_version: int = 0
    parameters: dict | None = None
    audio_folder: Path | None = None
    render: Callable[[pd.Series, Path], None] | None = None

    def __post_init__(self) -> None:
        _check_tracks(self.tracks, "tracks")
        ids = self.tracks.index
        if self.features is not None:
            _check_features(self.features, "features", ids=ids)
        if self.log_mel is not None:
            _check_log_mel(self.log_mel, "log_mel", n=len(ids))
        if self.lyrics is not None:
            _check_lyrics(self.lyrics, "lyrics", n=len(ids))
        if self.texts is not None and not self.texts.index.equals(ids):
            raise ParameterError(f"texts must have one row per track, in their order: {_difference(self.texts, ids)}")

    def __len__(self) -> int:
        return len(self.tracks)

    def __repr__(self) -> str:
        said = [f"{len(self)} tracks"]
        if "genre" in self.labels:
            said.append(f"{self.tracks['genre'].nunique()} genres")
        if self.features is not None:
            said.append(f"{self.features.shape[1]} features")
        if self.log_mel is not None:
            said.append("{}×{} log-mel".format(*self.log_mel.shape[1:]))
        if self.lyrics is not None:
            said.append(f"{self.lyrics.shape[1]} lyric dimensions")
        return f"Corpus({self.name!r}: {', '.join(said)})"

    @property
    def labels(self) -> list[str]:
        """Names of the columns of `tracks` that are labels."""
        return [name for name in self.tracks if isinstance(self.tracks[name].dtype, pd.CategoricalDtype)]

    @property
    def hash(self) -> str:
        """SHA-256 of ids, labels and what was computed; the same before saving and after reading.

        While nothing was computed, the audio files and the words themselves are counted in.
        """
        labels = {name: self.tracks[name].astype(str).tolist() for name in self.labels}
        parts: list[object] = [self.tracks.index.tolist(), labels]
        if self.features is not None:
            parts += [self.features.columns.tolist(), self.features.to_numpy(dtype="<f8")]
        # The precision in which they are stored.
        if self.log_mel is not None:
            parts.append(np.asarray(self.log_mel, dtype="<f2"))
        if self.lyrics is not None:
            parts.append(np.asarray(self.lyrics, dtype="<f4"))
        if not self.computed:
            if self.render is not None:
                parts += [self.parameters, self.tracks.astype(str).to_numpy().tolist()]
            elif "audio" in self.tracks:
                parts.append([store.file_sha256(path) for path in self.audio_paths()])
            if self.texts is not None:
                parts.append([None if pd.isna(text) else text for text in self.texts])
        return store.content_hash(*parts)

    @property
    def computed(self) -> list[str]:
        """Which of features, log_mel and lyrics there are."""
        return [name for name in _PARTS if getattr(self, name) is not None]

    def audio(self, track_id: str) -> Path:
        """The audio file of a track; that of a synthetic one is rendered when it is first asked for.

        Raises
        ------
        ParameterError
            If there is no such track, the corpus has no audio or the file is not there; the message says where it goes.
        """
        if track_id not in self.tracks.index:
            raise ParameterError(
                f"track_id must be one of {self.name}, such as {self.tracks.index[0]!r}, got {track_id!r}"
            )
        if self.audio_folder is None or "audio" not in self.tracks:
            raise ParameterError(f"{self.name} has no audio")
        path = self.audio_folder / self.tracks.loc[track_id, "audio"]
        found = path
        if not path.is_file() and self.render is not None:
            with store.replacing(path) as temporary:
                self.render(self.tracks.loc[track_id], temporary)
        elif not path.is_file():
            same = [path.with_suffix(suffix) for suffix in _LOSSLESS if path.suffix in _LOSSLESS]
            found = next((other for other in same if other.is_file()), None)
        if found is None:
            raise ParameterError(f"{path}: no such file; the audio of {self.name} goes there. {self.source}")
        return found

    def audio_paths(self) -> list[Path]:
        """The audio files of all tracks; see `audio`."""
        return [self.audio(track_id) for track_id in self.tracks.index]

    def select(self, which: Sequence[str] | np.ndarray | pd.Series) -> "Corpus":
        """Only some of the tracks.

        Parameters
        ----------
        which : sequence of str, or of bool
            Their ids, in any order, or one truth value per track.

        Raises
        ------
        ParameterError
            If an id is unknown or comes twice, the length is wrong or nothing is left.
        """
        which, ids = np.asarray(which), self.tracks.index
        if which.dtype == bool:
            if which.shape != (len(ids),):
                raise ParameterError(f"which must have one truth value per track: {which.shape} for {len(ids)} tracks")
            rows = np.flatnonzero(which)
        else:
            rows = np.sort(ids.get_indexer(which))
            if len(rows) and rows[0] < 0:
                raise ParameterError(f"which must be ids of {self.name}, got {which[~np.isin(which, ids)][0]!r}")
            if len(np.unique(rows)) < len(rows):
                raise ParameterError("which must name each track once")
        if not len(rows):
            raise ParameterError(f"which must leave at least one track of {self.name}")
        tracks = self.tracks.iloc[rows].copy()
        for name in self.labels:
            tracks[name] = tracks[name].cat.remove_unused_categories()
        return replace(
            self,
            tracks=tracks,
            features=None if self.features is None else self.features.iloc[rows],
            log_mel=None if self.log_mel is None else self.log_mel[rows],
            lyrics=None if self.lyrics is None else self.lyrics[rows],
            texts=None if self.texts is None else self.texts.iloc[rows],
        )

    def with_features(
        self,
        features: pd.DataFrame,
        log_mel: np.ndarray | None = None,
        *,
        version: int = 0,
        parameters: dict | None = None,
    ) -> "Corpus":
        """The same corpus with features and images.

        Tracks without a row of features are left out, as are files that the extraction could not use.

        Parameters
        ----------
        features : DataFrame, shape (m, columns)
            Index: ids of tracks, in any order.
        log_mel : ndarray, shape (m, mels, frames), optional
            In the order of `features`.
        version, parameters
            Of the code that computed them.
        """
        kept = self.select(features.index)
        order = features.index.get_indexer(kept.tracks.index)
        return replace(
            kept,
            features=features.iloc[order].rename_axis("track_id"),
            log_mel=None if log_mel is None else log_mel[order],
            feature_version=version,
            parameters={**(self.parameters or {}), **(parameters or {})},
        )

    def with_lyrics(self, lyrics: np.ndarray, *, parameters: dict | None = None) -> "Corpus":
        """The same corpus with lyric vectors, one row per track in their order; `parameters` is what computed them."""
        return replace(self, lyrics=lyrics, parameters={**(self.parameters or {}), "lyrics": parameters or {}})

    def fault_filtered(self) -> "Corpus":
        """Only the tracks that Kereliuk, Sturm and Larsen (2015) left in GTZAN after taking out its known faults."""
        return self.select(self._fact("fault_filtered").notna())

    def without_duplicates(self) -> "Corpus":
        """One of each group of identical recordings, the first; none where the copies carry different labels.

        ``duplicate_of`` names the first track of the group on each of the others.
        """
        first = self._fact("duplicate_of").fillna(self.tracks.index.to_series())
        contradicted = pd.Series(False, index=self.tracks.index)
        for name in self.labels:
            contradicted |= self.tracks.groupby(first)[name].transform("nunique") > 1
        return self.select(self.tracks["duplicate_of"].isna() & ~contradicted)

    def one_per_artist(self, *, seed: int = 0) -> "Corpus":
        """One track of each known artist, drawn at random; tracks whose artist nobody knows are left out.

        Parameters
        ----------
        seed : int
            Another seed draws other tracks.
        """
        checks.count(seed, "seed", low=0)
        artist = self._fact("artist").dropna().str.strip().str.casefold()
        shuffled = artist.sample(frac=1, random_state=np.random.default_rng(seed))
        return self.select(shuffled.drop_duplicates().index)

    def _fact(self, column: str) -> pd.Series:
        if column not in self.tracks:
            hint = f"; put {_ARTISTS} of B. L. Sturm (2012) into the data folder" if self.name == "gtzan" else ""
            raise ParameterError(f"{self.name} has no column {column}{hint}")
        return self.tracks[column]


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
    if "genre" in tracks and not isinstance(tracks["genre"].dtype, pd.CategoricalDtype):
        raise ParameterError(f"{name} must have genre as categories, got {tracks['genre'].dtype}")
    for column in tracks.select_dtypes("category"):
        missing = tracks[column].isna()
        if missing.any():
            raise ParameterError(f"{name} must have a {column} for every track, {ids[missing][0]!r} has none")


def _check_features(features: pd.DataFrame, name: str, *, ids: pd.Index) -> None:
    if not features.index.equals(ids):
        raise ParameterError(f"{name} must have one row per track, in their order: {_difference(features, ids)}")
    twice = features.columns[features.columns.duplicated()]
    if len(twice):
        raise ParameterError(f"{name} must name each column once, {twice[0]!r} comes more than once")
    checks.matrix(features, name)


def _difference(table: pd.DataFrame | pd.Series, ids: pd.Index) -> str:
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


def _check_lyrics(lyrics: np.ndarray, name: str, *, n: int) -> None:
    if not (isinstance(lyrics, np.ndarray) and lyrics.ndim == 2 and np.issubdtype(lyrics.dtype, np.floating)):
        found = f"{lyrics.dtype} of shape {lyrics.shape}" if isinstance(lyrics, np.ndarray) else type(lyrics).__name__
        raise ParameterError(f"{name} must be an array of floats (tracks, dimensions), got {found}")
    if len(lyrics) != n:
        raise ParameterError(f"{name} must have one vector per track: {len(lyrics)} vectors for {n} tracks")
    finite, missing = np.isfinite(lyrics).all(axis=1), np.isnan(lyrics).all(axis=1)
    if not finite.any():
        raise ParameterError(f"{name} must have a vector for at least one track")
    bad = np.flatnonzero(~(finite | missing))
    if len(bad):
        raise ParameterError(
            f"{name} must be finite, or NaN throughout a row for a track without lyrics; row {bad[0]} is neither"
        )


def save(corpus: Corpus, folder: Path | str) -> None:
    """Write a corpus into a folder of its own, whole or not at all: what was derived, neither audio nor words.

    The new folder is written beside the old one and takes its place when it is complete.

    Parameters
    ----------
    corpus : Corpus
        What to write.
    folder : Path or str
        A folder that holds a corpus, is empty or does not exist yet. The images are stored in 16 bits (steps of at most
        0.06 dB), lyric vectors in 32, everything else exactly.

    Raises
    ------
    ParameterError
        If nothing was computed yet, the folder cannot be written, or holds other files, which would be lost.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from vae_lib import corpus
    >>> music = corpus.load("gtzan-mini")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     corpus.save(music, Path(folder) / "copy")
    ...     again = corpus.read(Path(folder) / "copy")
    >>> again.hash == music.hash
    True
    """
    if not corpus.computed:
        raise ParameterError(f"{corpus.name} holds nothing to save: compute features or lyric vectors first")
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would replace a link by what it points to
    others = [] if not folder.exists() else [p.name for p in folder.iterdir()] if folder.is_dir() else [folder.name]
    others = sorted(set(others) - {FACTS, INDEX, *_PARTS.values()})
    if others:
        raise ParameterError(f"{folder} must be a folder of a corpus alone, but holds {', '.join(others[:3])}")
    facts = {
        "name": corpus.name,
        "source": corpus.source,
        "licence": corpus.licence,
        "tracks": len(corpus),
        "labels": corpus.labels,
        "parts": corpus.computed,
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
        if corpus.features is not None:
            corpus.features.astype(float).to_csv(new / FEATURES, lineterminator="\n")
        if corpus.log_mel is not None:
            np.save(new / LOG_MEL, np.asarray(corpus.log_mel, dtype="<f2"), allow_pickle=False)
        if corpus.lyrics is not None:
            np.save(new / LYRICS, np.asarray(corpus.lyrics, dtype="<f4"), allow_pickle=False)
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


def read(folder: Path | str, *, audio_folder: Path | str | None = None) -> Corpus:
    """Read the corpus that `save` wrote into a folder.

    Parameters
    ----------
    folder : Path or str
        A folder with ``corpus.json``, ``index.csv`` and those of ``features.csv``, ``log_mel.npy`` and ``lyrics.npy``
        that the first of these names.
    audio_folder : Path or str, optional
        Where the audio files lie that ``index.csv`` names.

    Returns
    -------
    Corpus
        With ``log_mel`` and ``lyrics`` in 32 bits.

    Raises
    ------
    ParameterError
        If a file is missing, damaged, holds NaN or does not belong with the others; the message names the file.
    """
    folder = Path(folder)
    _require(folder / FACTS, folder)
    facts = _read_facts(folder / FACTS)
    for name in (INDEX, *(_PARTS[part] for part in facts["parts"])):
        _require(folder / name, folder)

    path = folder / INDEX
    tracks = _read_table(path)
    absent = [name for name in facts["labels"] if name not in tracks]
    if absent:
        raise ParameterError(f"{path}: has no column {absent[0]}, which {FACTS} calls a label")
    tracks = tracks.astype(dict.fromkeys(facts["labels"], "category"))
    _check_tracks(tracks, str(path))

    parts = {}
    if "features" in facts["parts"]:
        path = folder / FEATURES
        parts["features"] = _numbers(_read_table(path), path)
        _check_features(parts["features"], str(path), ids=tracks.index)
    for name, check in {"log_mel": _check_log_mel, "lyrics": _check_lyrics}.items():
        if name in facts["parts"]:
            path = folder / _PARTS[name]
            try:
                array = np.load(path, allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise ParameterError(f"{path}: cannot be read as an array: {error}") from None
            check(array, str(path), n=len(tracks))
            parts[name] = array.astype(np.float32)

    corpus = Corpus(
        name=facts["name"],
        tracks=tracks,
        source=facts["source"],
        licence=facts["licence"],
        feature_version=facts["feature_version"],
        parameters=facts["parameters"],
        audio_folder=None if audio_folder is None else Path(audio_folder),
        **parts,
    )
    # Images and vectors carry no ids of their own: only the hash tells that they stand in the order of the tracks.
    if corpus.hash != facts["content_sha256"]:
        raise ParameterError(
            f"{folder}: the tables and images are not those that {FACTS} was written with (another order, an edited "
            "value or files of different builds); build the corpus anew"
        )
    return corpus


def _require(path: Path, folder: Path) -> None:
    if not path.is_file():
        raise ParameterError(f"{path}: no such file; {folder} is no whole corpus without it")


def _read_facts(path: Path) -> dict:
    needed = {
        **dict.fromkeys(["name", "source", "licence", "content_sha256"], str),
        "feature_version": int,
        **dict.fromkeys(["labels", "parts"], list),
        "parameters": dict,
    }
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ParameterError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(facts, dict):
        raise ParameterError(f"{path}: must be a JSON object, got {type(facts).__name__}")
    if facts.get("format") != FORMAT:
        raise ParameterError(f"{path}: format must be {FORMAT} for this version of vae_lib, got {facts.get('format')}")
    for key, kind in needed.items():
        if not isinstance(facts.get(key), kind):
            raise ParameterError(f"{path}: {key} must be of type {kind.__name__}, got {facts.get(key)!r}")
    for part in facts["parts"]:
        checks.one_of(part, f"{path}: parts", _PARTS)
    return facts


def _read_table(path: Path, *, index: str = "track_id") -> pd.DataFrame:
    """A table of strings: numbers are left to Python's own conversion, which is exact in every version of pandas."""
    try:
        # An artist may well be called "NA" or "None": only an empty field is missing.
        table = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ParameterError(f"{path}: cannot be read as a table: {error}") from None
    if index not in table:
        raise ParameterError(f"{path}: must have a column {index}, got {', '.join(map(str, table.columns[:4]))}")
    return table.set_index(index)


def _numbers(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    try:
        return table.astype(float)
    except ValueError as error:
        raise ParameterError(f"{path} must hold numbers only: {error}") from None


# The known corpora

_GTZAN_TABLE, _GTZAN_AUDIO = "gtzan/features_30_sec.csv", "gtzan/genres"
_ARTISTS = "gtzan/artist_title_index.txt"
_BN_EN_TABLE = "songs_bn_en/features_30_sec.csv"
_KAGGLE = "andradaolteanu/gtzan-dataset-music-genre-classification on Kaggle"
_NO_LICENCE = "GTZAN comes without a licence and its recordings belong to their owners."
_UNREADABLE = "jazz.00054"  # damaged in a widespread copy, so it may be missing


def artists_and_titles(path: Path | str) -> pd.DataFrame:
    """Sturm's index of GTZAN: index ``track_id``, columns ``artist`` and ``title``, missing where nobody knows them.

    Raises
    ------
    ParameterError
        If the file is missing or a line has not three fields with ``:::`` between them.
    """
    path = Path(path)
    if not path.is_file():
        raise ParameterError(f"{path}: no such file")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip() and not line.startswith("##"):
            fields = [field.strip() or None for field in line.split(":::")]
            if len(fields) != 3 or fields[0] is None:
                raise ParameterError(f"{path}, line {number}: must be file ::: artist ::: title, got {line.strip()!r}")
            rows.append((Path(fields[0]).stem, *fields[1:]))
    return pd.DataFrame(rows, columns=["track_id", "artist", "title"]).set_index("track_id")


def gtzan_facts(ids: pd.Index) -> pd.DataFrame:
    """What `vae_lib.download.published` tells of tracks of GTZAN, with ``duplicate_of``.

    That column names, for every recording that comes again, the track where it stood first: there are 14 pairs of
    identical files, of which one lies across genres (metal.00058 is rock.00016).
    """
    facts = download.published()
    facts["duplicate_of"] = _first_of_each(facts["sha256"])
    return facts.reindex(ids)


def _first_of_each(content: pd.Series) -> pd.Series:
    ids = content.index.to_series()
    first = ids.groupby(content).transform("first")
    return first.where(first != ids)


def _public_table(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table in the form of the public GTZAN table: labels (``label``, maybe ``language``) and features.

    ``length`` is no feature: it tells with what program a collection was cut.
    """
    table = _read_table(path, index="filename")
    if "label" not in table:
        raise ParameterError(f"{path}: must have a column label, got {', '.join(table.columns[:4])}")
    table.index = table.index.str.removesuffix(".wav").rename("track_id")
    table = table.sort_index()
    labels = table[table.columns.intersection(["label", "language"])]
    return labels, _numbers(table.drop(columns=["length", *labels], errors="ignore"), path)


def _gtzan_mini(home: Path) -> Corpus:
    return read(_EMBEDDED / "gtzan_mini", audio_folder=home)


def _songs_en_de(home: Path) -> Corpus:
    return read(_EMBEDDED / "songs_en_de", audio_folder=home)


def _lyrics_bn_en(home: Path) -> Corpus:
    return read(_EMBEDDED / "lyrics_bn_en")


def _gtzan(home: Path) -> Corpus:
    features, audio_folder = None, None
    if (home / _GTZAN_AUDIO).is_dir():
        every = download.published().index
        there = np.array([download.track_path(home / "gtzan", track_id).is_file() for track_id in every])
        absent = every[~there].difference([_UNREADABLE])
        if len(absent):
            raise ParameterError(
                f"{home / _GTZAN_AUDIO} lacks {len(absent)} of {len(every)} tracks, the first is {absent[0]}.wav: run "
                f"`make data`, or remove the folder to use the table {_GTZAN_TABLE}"
            )
        ids, audio_folder = every[there], home
        genres = ids.str.split(".").str[0].tolist()
        source = "The audio files of GTZAN (Tzanetakis and Cook, 2002)"
    elif (home / _GTZAN_TABLE).is_file():
        labels, features = _public_table(home / _GTZAN_TABLE)
        ids, genres = features.index, labels["label"].tolist()
        source = f"The public 30-second feature table of GTZAN (Tzanetakis and Cook, 2002), {_KAGGLE}"
    else:
        raise ParameterError(
            f"gtzan is not at hand: put the public table ({_KAGGLE}) at {home / _GTZAN_TABLE}, or the audio at "
            f"{home / _GTZAN_AUDIO}/GENRE/*.wav (make data)"
        )
    tracks = pd.DataFrame({"genre": pd.Categorical(genres)}, index=ids)
    if (home / _ARTISTS).is_file():
        tracks = tracks.join(artists_and_titles(home / _ARTISTS))
        source += "; artists and titles from the index of B. L. Sturm (2012)"
    if audio_folder is not None:
        tracks["audio"] = [f"{_GTZAN_AUDIO}/{i.split('.')[0]}/{i}.wav" for i in ids]
    return Corpus(
        name="gtzan",
        tracks=tracks.join(gtzan_facts(ids)),
        features=features,
        source=source + "; faults from Kereliuk, Sturm and Larsen (2015).",
        licence=_NO_LICENCE,
        audio_folder=audio_folder,
    )


def _songs_bn_en(home: Path) -> Corpus:
    path = home / _BN_EN_TABLE
    if not path.is_file():
        raise ParameterError(
            f"songs-bn-en is not at hand: put features_30_sec.csv of the GitHub repository "
            f"evanmasrurjaber/CSE425--Neural-Networks--Project at {path}"
        )
    labels, features = _public_table(path)
    language = labels.reindex(columns=["language"])["language"].map({"eng": "english", "bng": "bangla"})
    if language.isna().any():
        raise ParameterError(f"{path}: must have a column language with eng or bng in every row")
    tracks = pd.DataFrame(
        {
            # The same genre is written in capitals on the Bangla side.
            "genre": pd.Categorical(labels["label"].str.lower()),
            "language": pd.Categorical(language),
            "duplicate_of": _first_of_each(features.groupby([*features]).ngroup()),
        },
        index=features.index,
    )
    return Corpus(
        name="songs-bn-en",
        tracks=tracks,
        features=features,
        source=(
            "Feature table of GTZAN (English) and BanglaBeats (Bangla) from the GitHub repository "
            "evanmasrurjaber/CSE425--Neural-Networks--Project. Language and collection are the same thing in it, and "
            "its column length, which betrays the collection, is left out."
        ),
        licence="No licence is stated and the recordings belong to their owners; the table is not redistributed.",
    )


def synthetic(count: int = 120, *, seed: int = 0, seconds: float = synth.SECONDS) -> Corpus:
    """Songs made from known factors by `vae_lib.synth`; see there.

    Parameters
    ----------
    count, seed
        As in `vae_lib.synth.factors`.
    seconds : float
        Length of the clips, 1 to 60. Each is rendered when its audio is first asked for, and kept.

    Returns
    -------
    Corpus
        With audio, words and the factors; ``genre``, ``language``, ``theme`` and ``mode`` are labels.

    Raises
    ------
    ParameterError
        If an argument is outside its range.

    Examples
    --------
    >>> from vae_lib import corpus
    >>> music = corpus.synthetic(12)
    >>> len(music), music.labels
    (12, ['genre', 'language', 'theme', 'mode'])
    """
    checks.in_range(seconds, "seconds", low=1, high=60)
    tracks = synth.factors(count, seed=seed)
    texts = pd.Series([synth.lyrics(row) for _, row in tracks.iterrows()], index=tracks.index, name="lyrics")
    return Corpus(
        name="synthetic",
        tracks=tracks.assign(audio=[f"{track_id}.wav" for track_id in tracks.index], seconds=seconds),
        texts=texts,
        source=synth.SOURCE,
        licence=synth.LICENCE,
        parameters={"synth_version": synth.VERSION, "seed": seed, "seconds": seconds},
        audio_folder=_RENDERED / f"version-{synth.VERSION}-seed-{seed}-{seconds:g}s",
        render=partial(_render, seconds=seconds),
    )


def _render(row: pd.Series, path: Path, *, seconds: float) -> None:
    import soundfile

    soundfile.write(path, synth.render(row, seconds=seconds), synth.SAMPLE_RATE, subtype="PCM_16")


def _synthetic(home: Path) -> Corpus:
    return synthetic()


_LOADERS: dict[str, Callable[[Path], Corpus]] = {
    "gtzan": _gtzan,
    "gtzan-mini": _gtzan_mini,
    "lyrics-bn-en": _lyrics_bn_en,
    "songs-bn-en": _songs_bn_en,
    "songs-en-de": _songs_en_de,
    "synthetic": _synthetic,
}


def names() -> list[str]:
    """The names that `load` knows.

    Examples
    --------
    >>> from vae_lib import corpus
    >>> corpus.names()
    ['gtzan', 'gtzan-mini', 'lyrics-bn-en', 'songs-bn-en', 'songs-en-de', 'synthetic']
    """
    return sorted(_LOADERS)


def load(name: str, *, data_home: Path | str | None = None) -> Corpus:
    """Load a corpus by its name, or one that `save` wrote by its folder.

    ``gtzan`` comes without features where its audio is at hand, since they can be computed from it, and else with those
    of the public table.

    Parameters
    ----------
    name : str
        One of `names`, or the folder of a saved corpus, with at least one slash; relative to the project.
    data_home : Path or str, optional
        Folder of the music that does not come with the project; default: the variable DATA_HOME, else ``data/raw``.
        ``gtzan-mini``, ``lyrics-bn-en``, ``songs-en-de`` and ``synthetic`` need none unless you want the
        audio of the first or third.

    Returns
    -------
    Corpus

    Raises
    ------
    ParameterError
        If the name is unknown, or a file of the corpus is missing or damaged; the message says what to put where.

    Examples
    --------
    >>> from vae_lib import corpus
    >>> corpus.load("gtzan-mini")
    Corpus('gtzan-mini': 100 tracks, 10 genres, 123 features, 64×128 log-mel)
    """
    if isinstance(name, str) and "/" in name:
        return read(_PROJECT / name)
    if name not in _LOADERS:
        raise ParameterError(f"name must be one of {', '.join(names())}, or path/of/a/saved/corpus, got {name!r}")
    return _LOADERS[name](download.data_home(data_home))


# Your own music

_UNLICENSED = "Not stated; recordings and words belong to their owners."


def from_manifest(
    path: Path | str, *, name: str | None = None, source: str | None = None, licence: str = _UNLICENSED
) -> Corpus:
    r"""A corpus of your own songs, listed in a CSV file.

    Parameters
    ----------
    path : Path or str
        The manifest: UTF-8 with or without byte order mark, any line ends, commas between the columns. ``audio`` is the
        file, relative to the manifest; ``track_id`` the name of the row (default: `audio` without its ending);
        ``title`` and ``artist`` may be empty; ``lyrics`` holds the words, or ``lyrics_file`` the text file (UTF-8) that
        does, empty where there are none. Every other column, such as ``genre`` or ``language``, is a label and has a
        value in every row. Without ``audio`` there must be ``track_id`` and lyrics.
    name : str, optional
        What to call the corpus; default: the name of the file.
    source, licence : str, optional
        See `Corpus`.

    Returns
    -------
    Corpus
        With nothing computed; no audio file has been opened.

    Raises
    ------
    ParameterError
        If the manifest cannot be used; the message names the file, the line, the value and what is allowed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from vae_lib import corpus
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     manifest = Path(folder) / "songs.csv"
    ...     _ = manifest.write_text("track_id,language,lyrics\nb,english,Rain again\na,bangla,আবার বৃষ্টি\n")
    ...     corpus.from_manifest(manifest).tracks["language"].tolist()
    ['bangla', 'english']
    """
    path = Path(path)
    tracks = manifest.read_manifest(path)
    texts = tracks.pop("lyrics") if "lyrics" in tracks else None
    return Corpus(
        name=name or path.stem,
        tracks=tracks,
        texts=texts,
        source=source or f"The songs listed in {path.name}.",
        licence=licence,
        audio_folder=path.parent if "audio" in tracks else None,
    )


def from_folder(
    folder: Path | str, *, name: str | None = None, source: str | None = None, licence: str = _UNLICENSED
) -> Corpus:
    """A corpus of your own songs, sorted into one folder per genre.

    Parameters
    ----------
    folder : Path or str
        ``genre/file.ext``; folders further down count to the genre above them. Hidden files and folders and files that
        are no audio (`vae_lib.manifest.AUDIO_SUFFIXES`) are passed over.
    name : str, optional
        What to call the corpus; default: the name of the folder.
    source, licence : str, optional
        See `Corpus`.

    Returns
    -------
    Corpus
        With nothing computed; ``track_id`` is ``genre/file``, without the ending.

    Raises
    ------
    ParameterError
        If there is no such folder or no audio in it, a file lies in no genre, or two differ only in their endings.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from vae_lib import corpus
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for file in ("jazz/one.wav", "jazz/live/two.mp3", "pop/three.flac"):
    ...         (Path(folder) / file).parent.mkdir(parents=True, exist_ok=True)
    ...         (Path(folder) / file).touch()
    ...     corpus.from_folder(folder).tracks["genre"].to_dict()
    {'jazz/live/two': 'jazz', 'jazz/one': 'jazz', 'pop/three': 'pop'}
    """
    folder = Path(folder)
    tracks = manifest.read_folder(folder)
    return Corpus(
        name=name or folder.resolve().name,
        tracks=tracks,
        source=source or f"The audio files of a folder {folder.resolve().name}.",
        licence=licence,
        audio_folder=folder,
    )


def evidence(file: str) -> Path:
    """Give the path of a file of ``data/evidence``: what was measured on audio and tables that are not held here.

    Raises
    ------
    ParameterError
        If there is no such file; the message lists those there are.
    """
    folder = _EMBEDDED / "evidence"
    checks.one_of(file, "file", sorted(path.name for path in folder.iterdir()))
    return folder / file
