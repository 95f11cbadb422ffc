"""Features: one transform per track against the usual way, in which every librosa function starts from the signal.

The two are timed in turn on the same tracks, so that whatever else the machine does falls on both.
"""

import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

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
        ("mel", feature.melspectrogram(y=y, sr=sample_rate, **pad)[: features.SUMMARY_MELS], ""),
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


def peak_mib(function: object, *arguments: object) -> float:
    """Largest memory that a call holds in addition to what was there, in MiB."""
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def rows(data_home: Path | None = None, *, n: int = 12) -> list[dict]:
    """Measure; see `benchmarks.__main__` for what a row is.

    Parameters
    ----------
    data_home : Path, optional
        Folder with real tracks.
    n : int
        Number of tracks.
    """
    import soundfile

    tracks = signals(data_home, n=n)
    usual(tracks[0]), features.extract(tracks[0], pad_mode="constant")  # compiles and fills the caches of both
    ours_s, usual_s = [], []
    for y in tracks:
        for function, seconds in ((lambda y: features.extract(y, pad_mode="constant"), ours_s), (usual, usual_s)):
            start = time.perf_counter()
            function(y)
            seconds.append(time.perf_counter() - start)
    result = [
        {
            "name": "features of a 30-s track, one thread",
            "ours_s": statistics.median(ours_s),
            "usual_s": statistics.median(usual_s),
            "ratio": statistics.median(b / a for a, b in zip(ours_s, usual_s, strict=True)),
            "peak_mib": peak_mib(features.extract, tracks[0]),
            "n": n,
        }
    ]

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.flac" for i in range(n)]
        for path, y in zip(paths, tracks, strict=True):
            soundfile.write(path, y, features.SAMPLE_RATE)

        def files(workers: int, times: int = 4) -> float:
            start = time.perf_counter()
            features.extract_many(
                paths * times, ids=[str(i) for i in range(n * times)], workers=workers, progress=False
            )
            return (time.perf_counter() - start) / (n * times)

        files(2)  # starts the workers
        one, two = files(1), files(2)
    result.append(
        {
            "name": "features of a file, two workers against one",
            "ours_s": two,
            "usual_s": one,
            "ratio": one / two,
            "peak_mib": None,
            "n": 4 * n,
        }
    )
    return result
