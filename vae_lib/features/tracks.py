"""Frames to one row of summaries and one small image per track, for one signal or for many files."""

import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import librosa
import numpy as np
import pandas as pd

from vae_lib import parallel, store
from vae_lib.checks import ParameterError, count, finite, numbers
from vae_lib.features.audio import SAMPLE_RATE, AudioError, check_file, load_audio
from vae_lib.features.columns import COLUMNS, PITCH_CLASSES, SUMMARY_MELS
from vae_lib.features.frames import HOP_LENGTH, N_FFT, N_MELS, N_MFCC, PAD_MODES, SAMPLE_RATES, Frames, frame_features

VERSION = 1  # goes up when a value changes by more than rounding, so that a stored table can be told from a new one

IMAGE_MELS = 64  # height of the log-mel image
IMAGE_FRAMES = 128  # width of the log-mel image, whatever the length of the track
DYNAMIC_RANGE = 80.0  # dB below the loudest value where decibels are clipped

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
    alone = ("rms", "spectral_centroid", "spectral_bandwidth", "rolloff", "zero_crossing_rate", "flatness")
    series = {name: getattr(frames, name) for name in (*alone, "onset_strength")}
    series |= {f"chroma_{name}": row for name, row in zip(PITCH_CLASSES, frames.chroma, strict=True)}
    delta = librosa.feature.delta(frames.mfcc)
    for name, rows in (
        ("mfcc{}", frames.mfcc),
        ("mfcc{}_delta", delta),
        ("contrast{}", frames.contrast),
        ("mel{}", frames.mel[:SUMMARY_MELS]),
    ):
        series |= {name.format(i): row for i, row in enumerate(rows, start=1)}
    table = np.array(list(series.values()), dtype=float)
    values = dict(zip((f"{name}_mean" for name in series), table.mean(axis=1), strict=True))
    values |= zip((f"{name}_var" for name in series), table.var(axis=1), strict=True)
    chroma = frames.chroma.astype(float)
    values |= {"chroma_stft_mean": chroma.mean(), "chroma_stft_var": chroma.var(), "tempo": frames.tempo}
    return pd.Series([values[column] for column in COLUMNS], index=list(COLUMNS), dtype=float)


def log_mel_image(mel: np.ndarray) -> np.ndarray:
    """A coarse picture of the track: mel bands joined in pairs, time in equal stretches, in decibels.

    Parameters
    ----------
    mel : ndarray, shape (128, frames)
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
    >>> image = features.log_mel_image(np.ones((128, 1292), dtype=np.float32))
    >>> image.shape, float(image.max())
    ((64, 128), 0.0)
    """
    power = finite(numbers(mel, "mel", "bands", "frames"), "mel")
    if len(power) != N_MELS or power.min() < 0:
        raise ParameterError(f"mel must be the power of {N_MELS} bands, got shape {power.shape}, from {power.min():g}")
    mel = np.asarray(mel)  # in its own precision
    starts = np.arange(IMAGE_FRAMES) * mel.shape[1] // IMAGE_FRAMES
    lengths = np.diff(np.append(starts, mel.shape[1]))
    power = np.add.reduceat(mel, starts, axis=1) / np.maximum(lengths, 1)
    power = power.reshape(IMAGE_MELS, -1, IMAGE_FRAMES).mean(axis=1)
    return librosa.power_to_db(power, ref=np.max, top_db=DYNAMIC_RANGE).astype(np.float32)


def extract(
    y: np.ndarray, *, sample_rate: int = SAMPLE_RATE, pad_mode: str = "reflect"
) -> tuple[pd.Series, np.ndarray]:
    """Features and log-mel image of one signal.

    Parameters
    ----------
    y, sample_rate, pad_mode
        As in `frame_features`.

    Returns
    -------
    summary : Series, float64
        One value per name in `COLUMNS`, all finite.
    log_mel : ndarray, shape (64, 128), float32
        See `log_mel_image`.

    Raises
    ------
    ParameterError
        As in `frame_features`.

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


def extract_many(
    paths: Sequence[Path | str],
    *,
    ids: Sequence[str],
    cache: Path | str | None = None,
    sample_rate: int = SAMPLE_RATE,
    workers: int = 1,
    progress: bool = True,
) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame]:
    """Features and log-mel images of many files; a file that cannot be used is left out and reported.

    Parameters
    ----------
    paths : sequence of Path or str, length n
        Audio files.
    ids : sequence of str, length n
        The track id of each, unique.
    cache : Path or str, optional
        A folder, made if need be, that keeps the result of each track in a file of its own, so that a run that was cut
        off goes on where it stopped. A track is known by the bytes of its file together with `PARAMETERS` and
        `VERSION`: renamed files cost nothing, changed ones are computed anew, and so are damaged results.
    sample_rate : int
        Sample rate in Hz at which all tracks are compared.
    workers : int
        Processes side by side, each with one thread. Under ``joblib.parallel_config`` its backend is used; with
        ``backend="dask"`` that may be other machines, which must see the files by the same paths.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    features : DataFrame, shape (n − skipped, columns)
        Index ``track_id``, in the order of `ids`; columns as in `COLUMNS`.
    log_mel : ndarray, shape (n − skipped, 64, 128), float32
        Rows as in `features`. It is what takes memory: 32 KiB per track.
    report : DataFrame
        The files that could not be used: index ``track_id``, columns ``path`` and ``reason``.

    Raises
    ------
    ParameterError
        If there are no paths, `ids` are not as many or not unique, a number is out of range, the cache cannot be
        written, or no file could be used.

    Examples
    --------
    >>> from vae_lib import corpus, features
    >>> music = corpus.synthetic(2, seconds=2)
    >>> table, log_mel, report = features.extract_many(music.audio_paths(), ids=music.tracks.index, progress=False)
    >>> table.shape, log_mel.shape, len(report)
    ((2, 123), (2, 64, 128), 0)
    """
    from tqdm import tqdm

    paths, ids = [str(path) for path in paths], [str(track_id) for track_id in ids]
    if not paths or len(ids) != len(paths):
        raise ParameterError(
            f"paths must name at least one file and ids one track each, got {len(paths)} and {len(ids)}"
        )
    twice, times = Counter(ids).most_common(1)[0]
    if times > 1:
        raise ParameterError(f"ids must be unique, {twice!r} comes more than once")
    count(sample_rate, "sample_rate", low=SAMPLE_RATES[0], high=SAMPLE_RATES[1])
    if cache is not None:
        store.write_json(Path(cache) / "about.json", PARAMETERS | {"version": VERSION})  # finds out whether it can be
    if count(workers, "workers", high=parallel.MOST) > 1:
        # Compiles what of librosa is not compiled yet: workers that do so at once can leave a broken numba cache.
        frame_features(np.random.default_rng(0).normal(size=SAMPLE_RATE))

    table = np.empty((len(paths), len(COLUMNS)))
    images = np.empty((len(paths), IMAGE_MELS, IMAGE_FRAMES), np.float32)
    used, failed = [], {}
    results = parallel.run(_features_of, [((path, sample_rate, cache), {}) for path in paths], workers=workers)
    bar = tqdm(results, total=len(paths), desc="features", unit="track", disable=not progress)
    for track_id, path, result in zip(ids, paths, bar, strict=True):
        if isinstance(result, str):
            failed[track_id] = (path, result)
        else:
            table[len(used)], images[len(used)] = result
            used.append(track_id)
    # As objects: the strings of pandas cannot hold a file name that is not valid UTF-8.
    report = pd.DataFrame.from_dict(failed, orient="index", columns=["path", "reason"], dtype=object)
    if not used:
        raise ParameterError(
            f"none of the {len(paths)} audio files could be used; the first: {report['reason'].iloc[0]}"
        )
    index = pd.Index(used, name="track_id")
    features = pd.DataFrame(table[: len(used)], index=index, columns=list(COLUMNS))
    return features, images[: len(used)], report.rename_axis("track_id")


def _features_of(path: str, sample_rate: int, cache: Path | str | None) -> tuple[np.ndarray, np.ndarray] | str:
    """Summary and log-mel image of a file, or why there is nothing."""
    try:
        check_file(path)
        if cache is not None:
            key = store.content_hash(store.file_sha256(path), PARAMETERS | {"sample_rate": sample_rate}, VERSION)
            stored = Path(cache) / f"{key}.npz"
            if (found := _read(stored)) is not None:
                return found
        summary, log_mel = extract(load_audio(path, sample_rate=sample_rate), sample_rate=sample_rate)
    except AudioError as error:
        return str(error) if path in str(error) else f"{path}: {error}"
    except Exception as error:  # one file, whatever is in it, must not end a run over thousands
        return f"{path}: {type(error).__name__}: {error}"
    if cache is not None:
        with store.replacing(stored) as temporary:
            np.savez(temporary, summary=summary, log_mel=log_mel)
    return summary.to_numpy(), log_mel


def _read(stored: Path) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        with np.load(stored) as arrays:
            return arrays["summary"], arrays["log_mel"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):  # not there or damaged
        return None
