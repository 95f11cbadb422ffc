"""The table of tracks that everything else is computed from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from vae_lib import checks, store
from vae_lib.checks import ParameterError

LOSSLESS = (".wav", ".flac", ".au")  # endings of copies with the same samples

#: What a column measures, by how its name begins, whoever computed it.
_GROUPS = {
    "mfcc": "timbre",
    "chroma": "harmony",
    **dict.fromkeys(["spec", "rolloff", "contrast", "flatness"], "spectral"),
    **dict.fromkeys(["zero_crossing", "zcr", "tempo", "onset"], "temporal"),
    **dict.fromkeys(["rms", "mel", "harmony", "perceptr"], "energy"),  # the last: of the harmonic and percussive part
}


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
        Coarse log-mel images, NaN throughout where a track has none: in dB relative to each track's maximum, or as
        `parameters` say.
    lyrics : ndarray, shape (n, dimensions), optional
        Lyric vectors, NaN throughout where a track has none.
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
        _check_tracks(self.tracks)
        for name in ("features", "texts"):
            _check_rows(getattr(self, name), name, self.tracks.index)
        if self.features is not None:
            twice = self.features.columns[self.features.columns.duplicated()]
            if len(twice):
                raise ParameterError(f"features must name each column once, {twice[0]!r} comes more than once")
            checks.matrix(self.features, "features")
        _check_array(self.log_mel, "log_mel", ("tracks", "mels", "frames"), n=len(self))
        _check_array(self.lyrics, "lyrics", ("tracks", "dimensions"), n=len(self))

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
    def computed(self) -> list[str]:
        """Which of features, log_mel and lyrics there are."""
        return [name for name in ("features", "log_mel", "lyrics") if getattr(self, name) is not None]

    @property
    def groups(self) -> dict[str, list[str]]:
        """Columns of the features by what they measure (timbre, harmony, spectral, temporal, energy or other).

        Examples
        --------
        >>> from vae_lib import corpus
        >>> {group: len(columns) for group, columns in corpus.load("indian").groups.items()}
        {'spectral': 2, 'temporal': 2, 'energy': 1, 'timbre': 40, 'harmony': 24}
        """
        groups: dict[str, list[str]] = {}
        for column in [] if self.features is None else self.features:
            group = next((group for start, group in _GROUPS.items() if column.startswith(start)), "other")
            groups.setdefault(group, []).append(column)
        return groups

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What was computed, in the precision in which it is stored (16 bits for the images, 32 for all else)."""
        parts = {}
        if self.features is not None:
            parts |= {"features": self.features.to_numpy("<f4"), "columns": np.array([*self.features], dtype=str)}
        if self.log_mel is not None:
            parts["log_mel"] = self.log_mel.astype("<f2")
        if self.lyrics is not None:
            parts["lyrics"] = self.lyrics.astype("<f4")
        return parts

    @property
    def hash(self) -> str:
        """SHA-256 of ids, labels and what was computed; the same before saving and after reading."""
        labels = {name: self.tracks[name].astype(str).tolist() for name in self.labels}
        return store.content_hash(self.tracks.index.tolist(), labels, *self.arrays.values())

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
        if path.is_file():
            return path
        if self.render is not None:
            with store.replacing(path) as temporary:
                self.render(self.tracks.loc[track_id], temporary)
            return path
        for suffix in LOSSLESS if path.suffix in LOSSLESS else ():
            if path.with_suffix(suffix).is_file():
                return path.with_suffix(suffix)
        raise ParameterError(f"{path}: no such file; the audio of {self.name} goes there. {self.source}")

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
        which, ids = checks.array(which, "which"), self.tracks.index
        if which.ndim != 1:
            raise ParameterError(f"which must be a list, got shape {which.shape}")
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
        kept = {name: getattr(self, name)[rows] for name in ("log_mel", "lyrics") if name in self.computed}
        kept |= {"features": self.features.iloc[rows]} if self.features is not None else {}
        kept |= {"texts": self.texts.iloc[rows]} if self.texts is not None else {}
        return replace(self, tracks=tracks, **kept)

    def having(self, part: str) -> "Corpus":
        """Only the tracks that have an image (`part` is ``log_mel``) or a lyric vector (``lyrics``).

        Examples
        --------
        >>> from vae_lib import corpus
        >>> len(corpus.load("gtzan").having("log_mel"))
        999
        """
        if checks.one_of(part, "part", ("log_mel", "lyrics")) not in self.computed:
            raise ParameterError(f"{self.name} has no {part}")
        return self.select(~np.isnan(getattr(self, part)).reshape(len(self), -1)[:, 0])

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
        kept = replace(self, features=None, log_mel=None).select(features.index)
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
            raise ParameterError(f"{self.name} has no column {column}")
        return self.tracks[column]


def _check_tracks(tracks: pd.DataFrame) -> None:
    ids = tracks.index
    if not len(ids):
        raise ParameterError("tracks must have at least one track, it is empty")
    if ids.name != "track_id" or not all(isinstance(track_id, str) and track_id for track_id in ids):
        raise ParameterError(f"tracks must have an index of strings called track_id, got {ids.name!r} ({ids.dtype})")
    if not ids.is_unique:
        raise ParameterError(f"tracks must name each track once, {ids[ids.duplicated()][0]!r} comes more than once")
    if not ids.is_monotonic_increasing:
        raise ParameterError("tracks must be sorted by track_id")
    if "genre" in tracks and not isinstance(tracks["genre"].dtype, pd.CategoricalDtype):
        raise ParameterError(f"tracks must have genre as categories, got {tracks['genre'].dtype}")
    for column in tracks.select_dtypes("category"):
        missing = tracks[column].isna()
        if missing.any():
            raise ParameterError(f"tracks must have a {column} for every track, {ids[missing][0]!r} has none")


def _check_rows(table: pd.DataFrame | pd.Series | None, name: str, ids: pd.Index) -> None:
    if table is None or table.index.equals(ids):
        return
    found = f"{len(table)} rows for {len(ids)} tracks"
    if len(table) == len(ids):
        row = int(np.argmax(table.index != ids))
        found = f"row {row} is {table.index[row]!r}, the track there is {ids[row]!r}"
    raise ParameterError(f"{name} must have one row per track, in their order: {found}")


def _check_array(values: np.ndarray | None, name: str, axes: Sequence[str], *, n: int) -> None:
    if values is None:
        return
    if not (isinstance(values, np.ndarray) and values.ndim == len(axes) and np.issubdtype(values.dtype, np.floating)):
        found = f"{values.dtype} of shape {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
        raise ParameterError(f"{name} must be an array of floats ({', '.join(axes)}), got {found}")
    if len(values) != n:
        raise ParameterError(f"{name} must have one row per track: {len(values)} rows for {n} tracks")
    flat = values.reshape(n, -1)
    finite, missing = np.isfinite(flat).all(axis=1), np.isnan(flat).all(axis=1)
    if not finite.any():
        raise ParameterError(f"{name} must have values for at least one track")
    bad = np.flatnonzero(~(finite | missing))
    if len(bad):
        raise ParameterError(
            f"{name} must be finite, or NaN throughout the row of a track that has none; row {bad[0]} is neither"
        )
