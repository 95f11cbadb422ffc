"""Features: one transform per track against the usual way, in which every librosa function starts from the signal.

The two are timed in turn on the same tracks, in seconds of the processor, so that whatever else the machine does falls
on both. Files are timed by the clock, as it is the clock that a second worker is for.
"""

import cProfile
import pstats
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from vae_lib import features


def usual(y: np.ndarray, *, sample_rate: int = features.SAMPLE_RATE, pad_mode: str = "constant") -> dict[str, float]:
    """The same columns by librosa's own functions, each called on the signal."""
    import librosa

    onset, feature = librosa.onset.onset_strength, librosa.feature
    pad = {"pad_mode": pad_mode}
    values: dict[str, float] = {}

    def add(name: str, per_frame: np.ndarray) -> None:
        values[f"{name}_mean"] = float(np.mean(per_frame, dtype=float))
        values[f"{name}_var"] = float(np.var(per_frame, dtype=float))

    chroma = feature.chroma_stft(y=y, sr=sample_rate, **pad)
    add("chroma_stft", chroma)
    for name, row in zip(features.PITCH_CLASSES, chroma, strict=True):
        add(f"chroma_{name}", row)
    add("rms", feature.rms(y=y, **pad))
    add("spectral_centroid", feature.spectral_centroid(y=y, sr=sample_rate, **pad))
    add("spectral_bandwidth", feature.spectral_bandwidth(y=y, sr=sample_rate, **pad))
    add("rolloff", feature.spectral_rolloff(y=y, sr=sample_rate, **pad))
    add("zero_crossing_rate", feature.zero_crossing_rate(y))
    mfcc = feature.mfcc(y=y, sr=sample_rate, **pad)
    for prefix, rows, suffix in (
        ("mfcc", mfcc, ""),
        ("mfcc", feature.delta(mfcc), "_delta"),
        ("contrast", feature.spectral_contrast(y=y, sr=sample_rate, **pad), ""),
        ("mel", feature.melspectrogram(y=y, sr=sample_rate, **pad)[:20], ""),
    ):
        for i, row in enumerate(rows, start=1):
            add(f"{prefix}{i}{suffix}", row)
    add("flatness", feature.spectral_flatness(y=y, **pad))
    add("onset_strength", onset(y=y, sr=sample_rate, **pad))
    # What beat_track computes when it is given the signal.
    envelope = onset(y=y, sr=sample_rate, aggregate=np.median, **pad)
    values["tempo"] = float(np.squeeze(librosa.beat.beat_track(onset_envelope=envelope, sr=sample_rate)[0]))
    return {column: values[column] for column in features.COLUMNS}


def clip(seconds: float = 30.0, *, seed: int = 0) -> np.ndarray:
    """A stand-in for a track: decaying chords at 120 beats per minute over noise."""
    generator = np.random.default_rng(seed)
    time_ = np.arange(int(seconds * features.SAMPLE_RATE)) / features.SAMPLE_RATE
    beat = time_ % 0.5
    chord = np.isin(np.floor(time_ / 2) % 4, [0, 2])
    root = np.where(chord, 220.0, 261.63)
    tones = sum(np.sin(2 * np.pi * root * ratio * time_) for ratio in (1, 1.26, 1.5))
    y = 0.2 * tones * np.exp(-4 * beat) + 0.02 * generator.standard_normal(len(time_)) * (1 + 5 * np.exp(-40 * beat))
    return y.astype(np.float32)


def signals(data_home: Path | None, *, n: int) -> list[np.ndarray]:
    """`n` real tracks, spread over the genres, where they are at hand; else stand-ins of the same length."""
    paths = sorted((data_home / "gtzan_mini" / "genres").glob("*/*.flac")) if data_home else []
    if not paths:
        return [clip(seed=seed) for seed in range(n)]
    return [features.load_audio(paths[i]) for i in np.linspace(0, len(paths) - 1, n).astype(int)]


def peak_mib(function: Callable, *arguments: object) -> float:
    """Largest memory that a call holds in addition to what was there, in MiB."""
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def in_turn(items: list, ours: Callable, usual: Callable, *, clock: Callable = time.process_time) -> dict:
    """Time both on each item, one after the other; the times of a row."""
    seconds = {ours: [], usual: []}
    for item in items:
        for function, spent in seconds.items():
            start = clock()
            function(item)
            spent.append(clock() - start)
    return {
        "ours_s": statistics.median(seconds[ours]),
        "usual_s": statistics.median(seconds[usual]),
        "ratio": statistics.median(b / a for a, b in zip(seconds[ours], seconds[usual], strict=True)),
        "n": len(items),
    }


@contextmanager
def files(tracks: list[np.ndarray]) -> Iterator[list[Path]]:
    """The tracks as FLAC files."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.flac" for i in range(len(tracks))]
        for path, track in zip(paths, tracks, strict=True):
            soundfile.write(path, track, features.SAMPLE_RATE)
        yield paths


def extract_files(paths: list[Path], *, workers: int = 1) -> None:
    """Features of files, nothing of them kept."""
    features.extract_many(paths, ids=[path.stem for path in paths], workers=workers, progress=False)


def rows(data_home: Path | None = None, *, n: int = 12) -> list[dict]:
    """Measure; see `benchmarks.__main__` for what a row is.

    Parameters
    ----------
    data_home : Path, optional
        Folder with real tracks.
    n : int
        Number of tracks.
    """
    tracks = signals(data_home, n=n)
    ours = partial(features.extract, pad_mode="constant")
    usual(tracks[0]), ours(tracks[0])  # compiles and fills the caches of both
    row = {"name": "features of a 30-s track", "peak_mib": peak_mib(ours, tracks[0])} | in_turn(tracks, ours, usual)
    with files(tracks * 4) as paths:
        one, two = partial(extract_files, workers=1), partial(extract_files, workers=2)
        two(paths[:4])  # starts the workers
        many = in_turn([paths] * 3, two, one, clock=time.perf_counter)
        held = peak_mib(two, paths)
    many |= {key: many[key] / len(paths) for key in ("ours_s", "usual_s")} | {"n": len(paths), "peak_mib": held}
    return [row, {"name": "features of a file, 2 workers against 1"} | many]


def details(data_home: Path | None = None, *, n: int = 12) -> pd.DataFrame:
    """Where the time goes that one worker spends on a file: index ``step``, columns ``ms`` and ``share``."""
    with files(signals(data_home, n=n)) as paths:
        profile = cProfile.Profile()
        profile.runcall(extract_files, paths)
    opened = {"_features_of", "load_audio", "extract", "frame_features"}  # shown by what they call
    seconds = {}
    for (_, _, name), (_, _, own, _, callers) in pstats.Stats(profile).stats.items():
        if name in opened:
            seconds[f"{name} itself"] = own
        else:
            inside = sum(call[3] for (_, _, caller), call in callers.items() if caller in opened)
            seconds[name] = seconds.get(name, 0) + inside
    ms = (1e3 * pd.Series(seconds) / len(paths)).sort_values(ascending=False)
    small = ms < 0.01 * ms.sum()
    ms = pd.concat([ms[~small], pd.Series({"the rest": ms[small].sum()})])
    return pd.DataFrame({"ms": ms, "share": ms / ms.sum()}).rename_axis("step")
