"""Frames to features: one row of summaries, one row per segment and one small image per track, for one file or many.

The way through is `load_audio` → `frame_features` → `summarise`, `summarise_segments` and `log_mel_image`; `extract`
does it for one signal. `extract_to` does it for many files side by side and keeps the results in a folder, so that a
run that was cut off goes on where it stopped; `read` and `read_segments` give them back. `extract_many` is for a list
of files whose results fit in memory and are wanted once.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from vae_lib import store
from vae_lib.audio import SAMPLE_RATE, AudioError, check_file, load_audio
from vae_lib.checks import ParameterError, count, in_range, one_of
from vae_lib.frames import (
    CONTRAST_BANDS,
    DYNAMIC_RANGE,
    HOP_LENGTH,
    N_FFT,
    N_MELS,
    N_MFCC,
    PAD_MODES,
    PITCH_CLASSES,
    ROLL_PERCENT,
    SAMPLE_RATES,
    Frames,
    decibels,
    frame_features,
)

VERSION = 1  # goes up whenever a value changes, so that a stored table can be told from a new one

SUMMARY_MELS = 20  # lowest mel bands that have a column of their own
SEGMENTS = 10  # of a track of 30 s: 3 s each
IMAGE_MELS = 64  # height of the log-mel image
IMAGE_FRAMES = 128  # width of the log-mel image, whatever the length of the track


class _Family(NamedTuple):
    name: str
    columns: tuple[str, ...]
    group: str
    unit: str
    hears: str
    librosa: str


def _columns(names: Iterable[str], *statistics: str) -> tuple[str, ...]:
    return tuple(f"{name}_{statistic}" for name in names for statistic in statistics)


# The order is the order of the columns: first those of the public GTZAN table as they stand there, then the others.
_FAMILIES = (
    _Family(
        "chroma_stft",
        _columns(["chroma_stft"], "mean", "var"),
        "harmony",
        "share of the strongest pitch class",
        "how many pitch classes sound at once",
        "feature.chroma_stft",
    ),
    _Family("rms", _columns(["rms"], "mean", "var"), "energy", "full scale", "loudness", "feature.rms"),
    _Family(
        "spectral_centroid",
        _columns(["spectral_centroid"], "mean", "var"),
        "spectral",
        "Hz",
        "brightness: the centre of gravity of the spectrum",
        "feature.spectral_centroid",
    ),
    _Family(
        "spectral_bandwidth",
        _columns(["spectral_bandwidth"], "mean", "var"),
        "spectral",
        "Hz",
        "how widely the spectrum spreads around its centre",
        "feature.spectral_bandwidth",
    ),
    _Family(
        "rolloff",
        _columns(["rolloff"], "mean", "var"),
        "spectral",
        "Hz",
        f"the frequency below which {ROLL_PERCENT:.0%} of the magnitude lies",
        "feature.spectral_rolloff",
    ),
    _Family(
        "zero_crossing_rate",
        _columns(["zero_crossing_rate"], "mean", "var"),
        "temporal",
        "crossings per sample",
        "noise and sharp attacks: how often the signal changes sign",
        "feature.zero_crossing_rate",
    ),
    _Family(
        "tempo",
        ("tempo",),
        "temporal",
        "beats per minute",
        "speed: the strongest period of the onsets",
        "beat.beat_track",
    ),
    _Family(
        "mfcc",
        _columns([f"mfcc{i}" for i in range(1, N_MFCC + 1)], "mean", "var"),
        "timbre",
        "dB",
        "the shape of the spectrum, from coarse (1 is the level) to fine",
        "feature.mfcc",
    ),
    _Family(
        "chroma",
        _columns([f"chroma_{name}" for name in PITCH_CLASSES], "mean"),
        "harmony",
        "share of the strongest pitch class",
        "how much each pitch class sounds (Cs is C sharp)",
        "feature.chroma_stft",
    ),
    _Family(
        "mfcc_delta",
        _columns([f"mfcc{i}_delta" for i in range(1, N_MFCC + 1)], "var"),
        "timbre",
        "dB per frame",
        "how restless the shape of the spectrum is",
        "feature.delta",
    ),
    _Family(
        "contrast",
        _columns([f"contrast{i}" for i in range(1, CONTRAST_BANDS + 1)], "mean", "var"),
        "spectral",
        "dB",
        "tones against noise, from the lowest octave band to the highest",
        "feature.spectral_contrast",
    ),
    _Family(
        "flatness",
        _columns(["flatness"], "mean", "var"),
        "spectral",
        "0 (a tone) to 1 (white noise)",
        "noisiness",
        "feature.spectral_flatness",
    ),
    _Family(
        "onset_strength",
        _columns(["onset_strength"], "mean", "var"),
        "temporal",
        "dB per frame",
        "how hard notes and beats set in",
        "onset.onset_strength",
    ),
    _Family(
        "mel",
        _columns([f"mel{i}" for i in range(1, SUMMARY_MELS + 1)], "mean"),
        "energy",
        "power",
        f"the energy of the lowest {SUMMARY_MELS} of {N_MELS} mel bands",
        "feature.melspectrogram",
    ),
)

#: All columns that `extract` gives, in order.
COLUMNS = tuple(column for family in _FAMILIES for column in family.columns)
#: The columns of the public 30-second GTZAN table that are computed here, in its order.
PUBLIC_COLUMNS = tuple(column for family in _FAMILIES[:8] for column in family.columns)
#: The 50 numbers that the original project describes a track with.
ORIGINAL_COLUMNS = (
    *_columns([f"mfcc{i}" for i in range(1, 14)], "mean"),
    *_columns([f"chroma_{name}" for name in PITCH_CLASSES], "mean"),
    *_columns([f"mel{i}" for i in range(1, SUMMARY_MELS + 1)], "mean"),
    *("spectral_centroid_mean", "spectral_bandwidth_mean", "rolloff_mean", "zero_crossing_rate_mean", "tempo"),
)
#: What a stored table was computed with.
PARAMETERS = {
    "sample_rate": SAMPLE_RATE,
    "n_fft": N_FFT,
    "hop_length": HOP_LENGTH,
    "n_mels": N_MELS,
    "n_mfcc": N_MFCC,
    "pad_mode": PAD_MODES[0],
    "image_mels": IMAGE_MELS,
    "image_frames": IMAGE_FRAMES,
    "dynamic_range_db": DYNAMIC_RANGE,
}


def describe(*, by: str = "family") -> pd.DataFrame:
    """What each feature is: its group, unit, what it hears and the librosa function that it equals.

    Parameters
    ----------
    by : {"family", "column"}
        One row per family of columns (``mfcc`` stands for its 40 columns) or one row per column.

    Returns
    -------
    DataFrame
        Columns ``columns`` (by family: their names) or ``family`` (by column), ``group`` (spectral, timbre, harmony,
        temporal or energy), ``unit``, ``hears``, ``librosa``.

    Raises
    ------
    ParameterError
        If `by` is neither.

    Examples
    --------
    >>> from vae_lib import features
    >>> features.describe(by="column").loc["tempo", "unit"]
    'beats per minute'
    """
    one_of(by, "by", ["family", "column"])
    facts = ["group", "unit", "hears", "librosa"]
    if by == "family":
        rows = [(f.name, ", ".join(f.columns), f.group, f.unit, f.hears, f.librosa) for f in _FAMILIES]
        return pd.DataFrame(rows, columns=["family", "columns", *facts]).set_index("family")
    rows = [(column, f.name, f.group, f.unit, f.hears, f.librosa) for f in _FAMILIES for column in f.columns]
    return pd.DataFrame(rows, columns=["column", "family", *facts]).set_index("column")


# One track


#: What varies from frame to frame, in the order in which `_per_frame` puts it side by side.
_SERIES = (
    *("rms", "spectral_centroid", "spectral_bandwidth", "rolloff", "zero_crossing_rate", "flatness", "onset_strength"),
    *(f"mfcc{i}" for i in range(1, N_MFCC + 1)),
    *(f"mfcc{i}_delta" for i in range(1, N_MFCC + 1)),
    *(f"contrast{i}" for i in range(1, CONTRAST_BANDS + 1)),
    *(f"mel{i}" for i in range(1, SUMMARY_MELS + 1)),
    *(f"chroma_{name}" for name in PITCH_CLASSES),
)
#: All that `_statistics` computes, and where in it each column stands.
_STATISTICS = (*_columns(_SERIES, "mean"), *_columns(_SERIES, "var"), "chroma_stft_mean", "chroma_stft_var", "tempo")
_PLACES = np.array([_STATISTICS.index(column) for column in COLUMNS])


def outliers(table: pd.DataFrame, *, limit: float = 5.0, top: int = 8) -> pd.DataFrame:
    """Find the tracks that lie furthest from the others.

    Distances are in robust standard deviations: from the median, in units of 1.4826 times the median absolute
    deviation, which a few odd tracks do not move.

    Parameters
    ----------
    table : DataFrame, shape (n, columns)
        Features; a column that hardly varies is left out.
    limit : float
        Distance beyond which a column counts, above 0.
    top : int
        How many tracks to give.

    Returns
    -------
    DataFrame
        Index ``track_id``, the furthest first: `beyond` (number of columns beyond the limit), `column` (the one that
        stands out most) and `distance` (by how much, with its sign).

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from vae_lib import features
    >>> table = pd.DataFrame({"tempo": np.linspace(90, 130, 21), "rms": np.linspace(0.1, 0.3, 21)})
    >>> table.loc["loud"] = [110.0, 5.0]
    >>> features.outliers(table.rename_axis("track_id"), top=1).index.tolist()
    ['loud']
    """
    in_range(limit, "limit", low=0.0, open_low=True)
    count(top, "top")
    middle = table.median()
    spread = 1.4826 * (table - middle).abs().median()
    distance = ((table - middle) / spread).loc[:, spread > 0]
    column = distance.abs().idxmax(axis=1)
    found = pd.DataFrame(
        {
            "beyond": (distance.abs() > limit).sum(axis=1),
            "column": column,
            "distance": [distance.loc[track, name] for track, name in column.items()],
        }
    )
    order = found.assign(size=found["distance"].abs()).sort_values(["beyond", "size"], ascending=False, kind="stable")
    return found.loc[order.index[:top]]


def _per_frame(frames: Frames) -> np.ndarray:
    alone = (
        frames.rms,
        frames.spectral_centroid,
        frames.spectral_bandwidth,
        frames.rolloff,
        frames.zero_crossing_rate,
        frames.flatness,
        frames.onset_strength,
    )
    together = (frames.mfcc, frames.mfcc_delta, frames.contrast, frames.mel[:, :SUMMARY_MELS], frames.chroma)
    return np.concatenate([np.stack(alone, axis=1), *together], axis=1, dtype=float)


def _statistics(per_frame: np.ndarray, chroma: np.ndarray, tempo: float) -> np.ndarray:
    """One value per name in `COLUMNS`."""
    mean = per_frame.mean(axis=0)
    deviation = per_frame - mean
    var = np.einsum("ij,ij->j", deviation, deviation) / len(per_frame)
    overall = [chroma.mean(dtype=float), chroma.var(dtype=float), tempo]
    return np.concatenate([mean, var, overall])[_PLACES]


def summarise(frames: Frames) -> pd.Series:
    """Means and variances over frames.

    Parameters
    ----------
    frames : Frames
        What `frame_features` gave.

    Returns
    -------
    Series, float64
        One value per name in `COLUMNS`.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import features
    >>> seconds = np.arange(2 * features.SAMPLE_RATE) / features.SAMPLE_RATE
    >>> tone = features.summarise(features.frame_features(np.sin(2 * np.pi * 1000 * seconds)))
    >>> bool(980 < tone["spectral_centroid_mean"] < 1020)  # a tone of 1000 Hz
    True
    """
    return pd.Series(_statistics(_per_frame(frames), frames.chroma, frames.tempo), index=list(COLUMNS))


def _segment_statistics(frames: Frames, segments: int) -> np.ndarray:
    """Shape (segments, columns)."""
    n = len(frames.rms)
    if segments > n:
        raise AudioError(f"its {n} frames cannot be cut into {segments} segments, ask for at most {n}")
    per_frame = _per_frame(frames)
    edges = np.arange(segments + 1) * n // segments
    stretches = [slice(*edge) for edge in pairwise(edges)]
    return np.array([_statistics(per_frame[s], frames.chroma[s], frames.tempo) for s in stretches])


def summarise_segments(frames: Frames, *, segments: int = SEGMENTS) -> pd.DataFrame:
    """Means and variances over the frames of each of several equal stretches of a track.

    They come from the frames of the whole track: no stretch is padded, and tuning and tempo are those of the track,
    because three seconds are too short to tell a tempo.

    Parameters
    ----------
    frames : Frames
        What `frame_features` gave.
    segments : int
        How many stretches; their lengths differ by one frame at most.

    Returns
    -------
    DataFrame, float64, shape (segments, columns)
        Index ``segment`` from 0; columns as in `COLUMNS`.

    Raises
    ------
    ParameterError
        If there are more segments than frames.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import features
    >>> seconds = np.arange(30 * features.SAMPLE_RATE) / features.SAMPLE_RATE
    >>> frames = features.frame_features(np.sin(2 * np.pi * 440 * seconds) * (seconds > 15))
    >>> features.summarise_segments(frames)["rms_mean"].round(1).tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.7, 0.7, 0.7, 0.7, 0.7]
    """
    count(segments, "segments")
    values = _segment_statistics(frames, segments)
    return pd.DataFrame(values, index=pd.RangeIndex(segments, name="segment"), columns=list(COLUMNS))


def log_mel_image(mel: np.ndarray) -> np.ndarray:
    """A coarse picture of the track: mel bands joined in pairs, time in equal stretches, in decibels.

    Parameters
    ----------
    mel : ndarray, shape (frames, 128)
        Mel spectrogram, power.

    Returns
    -------
    ndarray, shape (64, 128), float32
        Mel bands from low to high × time; dB relative to the loudest cell, clipped at −80. A track with fewer frames
        than the picture has columns repeats frames.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import features
    >>> image = features.log_mel_image(np.ones((1292, 128), dtype=np.float32))
    >>> image.shape, float(image.max())
    ((64, 128), 0.0)
    """
    starts = np.arange(IMAGE_FRAMES) * len(mel) // IMAGE_FRAMES
    lengths = np.diff(np.append(starts, len(mel)))
    sums = np.add.reduceat(mel, starts, axis=0)
    power = (sums / np.maximum(lengths, 1)[:, None]).reshape(IMAGE_FRAMES, IMAGE_MELS, -1).mean(axis=2)
    level = decibels(power)
    return np.ascontiguousarray((level - level.max()).T, dtype=np.float32)


def extract(
    y: np.ndarray, *, sample_rate: int = SAMPLE_RATE, pad_mode: str = "reflect"
) -> tuple[pd.Series, np.ndarray]:
    """Features and log-mel image of one signal.

    Parameters
    ----------
    y : ndarray, shape (samples,)
        One channel, at least one second, not silent.
    sample_rate : int
        In Hz.
    pad_mode : {"reflect", "constant"}
        What stands beyond the ends of the signal.

    Returns
    -------
    summary : Series, float64
        One value per name in `COLUMNS`, all finite.
    log_mel : ndarray, shape (64, 128), float32
        See `log_mel_image`.

    Raises
    ------
    AudioError
        If `y` has several channels, is too short, silent or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import features
    >>> seconds = np.arange(2 * features.SAMPLE_RATE) / features.SAMPLE_RATE
    >>> summary, log_mel = features.extract(np.sin(2 * np.pi * 440 * seconds))
    >>> round(float(summary["rms_mean"]), 2)
    0.71
    """
    frames = frame_features(y, sample_rate=sample_rate, pad_mode=pad_mode)
    return summarise(frames), log_mel_image(frames.mel)


# Many tracks

_PARTS, _TRACKS = "parts", "tracks.csv"  # what `extract_to` writes


def extract_many(
    paths: Sequence[Path | str],
    *,
    ids: Sequence[str],
    sample_rate: int = SAMPLE_RATE,
    workers: int = 1,
    progress: bool = True,
) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame]:
    """Features and log-mel images of many files; a file that cannot be used is left out and reported.

    Nothing is kept when the run is cut off: for more than some hundred files take `extract_to` and `read`.

    Parameters
    ----------
    paths, ids, sample_rate, workers, progress
        As in `extract_to`.

    Returns
    -------
    features, log_mel, report
        As in `read`.

    Raises
    ------
    ParameterError
        As in `extract_to`.
    """
    with tempfile.TemporaryDirectory() as folder:
        extract_to(folder, paths, ids=ids, segments=0, sample_rate=sample_rate, workers=workers, progress=progress)
        return read(folder)


def extract_to(
    folder: Path | str,
    paths: Sequence[Path | str],
    *,
    ids: Sequence[str],
    segments: int = SEGMENTS,
    sample_rate: int = SAMPLE_RATE,
    workers: int = 1,
    part_size: int = 64,
    progress: bool = True,
) -> pd.DataFrame:
    """Compute the features of many files into a folder; what the folder has already is not computed again.

    A track is known by the bytes of its file together with the parameters and the `VERSION` of the features: renamed
    files and further ids cost nothing, changed files are computed anew. A run that was cut off loses at most the last
    `part_size` tracks. Memory does not grow with the number of tracks.

    Parameters
    ----------
    folder : Path or str
        Made if need be. It gets ``parts/*.parquet`` (one row per track: ``key``, a column per name in `COLUMNS`,
        ``log_mel``, ``segments``), each whole and named by the hash of its content, and at the end of the run
        ``tracks.csv`` (one row per id, in the order of `ids`: ``track_id, path, key, reason``).
    paths : sequence of Path or str, length n
        Audio files.
    ids : sequence of str, length n
        The track id of each, unique.
    segments : int
        Into how many stretches each track is cut for `read_segments`; 0 leaves them out.
    sample_rate : int
        Sample rate in Hz at which all tracks are compared.
    workers : int
        Processes side by side, each with one thread. Under ``joblib.parallel_config`` its backend is used, so that
        ``parallel_config(backend="dask")`` computes on the machines of a cluster that see the files by the same paths;
        the folder is written here.
    part_size : int
        Tracks per part.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    DataFrame
        The files that could not be used: index ``track_id``, columns ``path`` and ``reason``. They are tried again in
        the next run.

    Raises
    ------
    ParameterError
        If there are no paths, `ids` are not as many or not unique, a number is out of range, the folder cannot be
        written, or no file could be used.

    Warns
    -----
    UserWarning
        If a part is damaged: it is removed and its tracks are computed again.
    """
    paths, ids = _track_list(paths, ids)
    count(segments, "segments", low=0)
    count(sample_rate, "sample_rate", low=SAMPLE_RATES[0], high=SAMPLE_RATES[1])
    count(workers, "workers")
    count(part_size, "part_size")
    folder = Path(folder)
    parts = folder / _PARTS
    settings = {**PARAMETERS, "sample_rate": sample_rate, "segments": segments, "version": VERSION}

    store.prepare(parts)
    hashed = _side_by_side(
        _file_hash,
        [(path,) for path in paths],
        workers=workers,
        prefer="threads",
        name="files",
        progress=progress,
    )
    hashes, reasons = zip(*hashed, strict=True)
    keys = [store.content_hash(digest, settings) if digest else "" for digest in hashes]

    todo = {key: path for key, path in zip(keys, paths, strict=True) if key}
    for key in store.stored_keys(parts):
        todo.pop(key, None)
    results = _side_by_side(
        _extract_file,
        [(path, sample_rate, segments) for path in todo.values()],
        workers=workers,
        prefer="processes",
        name="features",
        done=len(paths) - len(todo),
        progress=progress,
    )
    failed, rows = {}, []
    for key, result in zip(todo, results, strict=True):
        if isinstance(result, str):
            failed[key] = result
            continue
        rows.append((key, *result))
        if len(rows) == part_size:
            _write(parts, rows, settings)
            rows = []
    if rows:
        _write(parts, rows, settings)

    reasons = [failed.get(key, reason) for key, reason in zip(keys, reasons, strict=True)]
    if all(reasons):
        raise ParameterError(f"none of the {len(paths)} audio files could be used; the first: {reasons[0]}")
    # As objects: the strings of pandas cannot hold a file name that is not valid UTF-8.
    tracks = pd.DataFrame(
        {"path": paths, "key": keys, "reason": reasons},
        index=pd.Index(ids, name="track_id"),
        dtype=object,
    )
    with store.replacing(folder / _TRACKS) as temporary:
        tracks.to_csv(temporary, errors="surrogateescape")
    return tracks.loc[tracks["reason"] != "", ["path", "reason"]]


def read(folder: Path | str, *, ids: Sequence[str] | None = None) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame]:
    """Features and log-mel images that `extract_to` put into a folder.

    Parameters
    ----------
    folder : Path or str
        What `extract_to` was given.
    ids : sequence of str, optional
        Only these tracks, in this order (default: all, in the order in which `extract_to` was given them).

    Returns
    -------
    features : DataFrame, shape (n − skipped, columns)
        Index ``track_id``; columns as in `COLUMNS`.
    log_mel : ndarray, shape (n − skipped, 64, 128), float32
        Rows as in `features`.
    report : DataFrame
        The files that could not be used: index ``track_id``, columns ``path`` and ``reason``.

    Raises
    ------
    ParameterError
        If no run of `extract_to` came to its end in the folder, a part is missing or damaged, or an id is unknown.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from vae_lib import corpus, features
    >>> music = corpus.synthetic(2, seconds=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     skipped = features.extract_to(folder, music.audio_paths(), ids=music.tracks.index, progress=False)
    ...     table, log_mel, report = features.read(folder)
    >>> table.shape, log_mel.shape, len(report)
    ((2, 123), (2, 64, 128), 0)
    """
    usable, report = _listed(folder, ids)
    columns = store.read_rows(Path(folder) / _PARTS, usable["key"], columns=[*COLUMNS, "log_mel"])
    log_mel = columns.pop("log_mel")
    return pd.DataFrame(columns, index=usable.index), log_mel, report


def read_segments(folder: Path | str, *, ids: Sequence[str] | None = None) -> pd.DataFrame:
    """Features per segment that `extract_to` put into a folder.

    Parameters
    ----------
    folder, ids
        As in `read`.

    Returns
    -------
    DataFrame, shape (tracks × segments, columns)
        Index ``track_id, segment``: the segments of a track follow each other, the tracks stand as in `read`. Columns
        as in `COLUMNS`; see `summarise_segments`.

    Raises
    ------
    ParameterError
        As in `read`, or if the folder was made without segments.
    """
    usable, _ = _listed(folder, ids)
    values = store.read_rows(Path(folder) / _PARTS, usable["key"], columns=["segments"])["segments"]
    index = pd.MultiIndex.from_product([usable.index, range(values.shape[1])], names=["track_id", "segment"])
    return pd.DataFrame(values.reshape(-1, len(COLUMNS)), index=index, columns=list(COLUMNS))


# What `extract_to` and `read` are made of


def _track_list(paths: Sequence[Path | str], ids: Sequence[str]) -> tuple[list[str], list[str]]:
    paths, ids = [str(path) for path in paths], [str(track_id) for track_id in ids]
    if not paths:
        raise ParameterError("paths must name at least one audio file, got none")
    if len(ids) != len(paths):
        raise ParameterError(f"ids must have {len(paths)} entries, one per path, got {len(ids)}")
    odd = [track_id for track_id in ids if track_id.encode(errors="ignore").decode() != track_id]
    if odd:
        raise ParameterError(f"ids must be valid Unicode, got {odd[0]!r}")
    twice, times = Counter(ids).most_common(1)[0]
    if times > 1:
        raise ParameterError(f"ids must be unique, {twice!r} comes more than once")
    return paths, ids


def _side_by_side(
    function: Callable,
    arguments: Sequence[tuple],
    *,
    workers: int,
    prefer: str,
    name: str,
    done: int = 0,
    progress: bool,
) -> Iterator:
    """Results in the order of `arguments`, as they come; the bar counts `done` more that need no work."""
    from joblib import Parallel, delayed
    from tqdm import tqdm

    parallel = Parallel(n_jobs=workers, prefer=prefer, return_as="generator")
    results = parallel(delayed(function)(*each) for each in arguments)
    total = done + len(arguments)
    return iter(tqdm(results, total=total, initial=done, desc=name, unit="track", disable=not progress))


def _file_hash(path: str) -> tuple[str, str]:
    """SHA-256 of a file, or why there is none."""
    try:
        return store.file_sha256(check_file(path)), ""
    except AudioError as error:
        return "", str(error)
    except OSError as error:
        return "", f"{path}: cannot be read ({error.strerror or error})"


def _extract_file(path: str, sample_rate: int, segments: int) -> tuple[np.ndarray, ...] | str:
    """Summary, log-mel image and (if wanted) segments of a file, or why there is nothing."""
    try:
        frames = frame_features(load_audio(path, sample_rate=sample_rate), sample_rate=sample_rate)
        whole = summarise(frames).to_numpy(), log_mel_image(frames.mel)
        return (*whole, _segment_statistics(frames, segments)) if segments else whole
    except AudioError as error:
        return str(error) if path in str(error) else f"{path}: {error}"
    except Exception as error:  # one file, whatever is in it, must not end a run over thousands
        return f"{path}: {type(error).__name__}: {error}"


def _write(parts: Path, rows: list[tuple], settings: dict) -> None:
    keys, *arrays = zip(*rows, strict=True)
    summaries, *others = (np.array(values) for values in arrays)
    columns = dict(zip(COLUMNS, summaries.T, strict=True))
    columns |= dict(zip(("log_mel", "segments"), others, strict=False))
    store.write_rows(parts, keys, columns, about=settings)


def _listed(folder: Path | str, ids: Sequence[str] | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tracks that could be used (column ``key``), and the report on the others."""
    path = Path(folder) / _TRACKS
    if not path.is_file():
        raise ParameterError(f"{path}: no such file; extract_to writes it when it has come to its end")
    tracks = pd.read_csv(path, dtype=object, keep_default_na=False, encoding_errors="surrogateescape")
    if list(tracks) != ["track_id", "path", "key", "reason"]:
        raise ParameterError(f"{path}: must have the columns track_id, path, key, reason, has {', '.join(tracks)}")
    tracks.index = pd.Index(tracks.pop("track_id").tolist(), name="track_id")
    if ids is not None:
        unknown = [track_id for track_id in ids if track_id not in tracks.index]
        if unknown:
            raise ParameterError(f"ids must be tracks of {folder}, which has no {unknown[0]!r}")
        tracks = tracks.loc[list(ids)]
    failed = tracks["reason"] != ""
    if failed.all():
        raise ParameterError(f"none of these {len(tracks)} tracks could be used; the first: {tracks['reason'].iloc[0]}")
    return tracks.loc[~failed, ["key"]], tracks.loc[failed, ["path", "reason"]]
