"""Samples to features, frame by frame: one short-time Fourier transform, and librosa computes the rest from it.

The steps that take librosa most of its time are written out here: centroid and bandwidth, roll-off, loudness, zero
crossings, tuning and the autocorrelation behind the tempo. They give librosa's values to single precision.

How the ends of a track are padded is a choice. ``pad_mode="reflect"``, the default here, was librosa's own until
version 0.10: with it the public GTZAN table comes out to its last digits, and no silence is added to a clip that was
cut out of a song. ``pad_mode="constant"`` is what librosa does today; it changes the first and last two frames.
"""

from contextlib import AbstractContextManager
from functools import lru_cache
from typing import NamedTuple

import librosa
import numpy as np

from vae_lib.checks import array, count, one_of
from vae_lib.features.audio import SAMPLE_RATE, AudioError, check_signal

N_FFT = 2048  # samples per frame
HOP_LENGTH = 512  # samples from one frame to the next
N_MELS = 128
N_MFCC = 20
PAD_MODES = ("reflect", "constant")  # what stands beyond the ends of a track: its mirror image, or zeros
ROLL_PERCENT = 0.85  # share of the magnitude that lies below the roll-off frequency
SAMPLE_RATES = (16_000, 48_000)  # below, the octaves of the spectral contrast end above half the sample rate


class Frames(NamedTuple):
    """Every feature of one track, frame by frame, as librosa lays them out: time is the last axis.

    Frame t is centred on sample ``t * HOP_LENGTH``.
    """

    chroma: np.ndarray  # (12, frames), the strongest pitch class of a frame is 1; C first
    rms: np.ndarray  # (frames,)
    spectral_centroid: np.ndarray  # (frames,), Hz
    spectral_bandwidth: np.ndarray  # (frames,), Hz
    rolloff: np.ndarray  # (frames,), Hz
    zero_crossing_rate: np.ndarray  # (frames,), crossings per sample
    mfcc: np.ndarray  # (20, frames)
    contrast: np.ndarray  # (7, frames), dB
    flatness: np.ndarray  # (frames,)
    onset_strength: np.ndarray  # (frames,)
    mel: np.ndarray  # (128, frames), power
    tuning: float  # semitones from A = 440 Hz
    tempo: float  # beats per minute; 0 where nothing sets in


def frame_features(y: np.ndarray, *, sample_rate: int = SAMPLE_RATE, pad_mode: str = "reflect") -> Frames:
    """Compute every feature for each frame of a signal.

    Parameters
    ----------
    y : ndarray, shape (samples,)
        One channel, at least one second, not silent.
    sample_rate : int
        In Hz, 16000 to 48000. Columns are comparable only between tracks of the same sample rate.
    pad_mode : {"reflect", "constant"}
        What stands beyond the ends of the signal.

    Returns
    -------
    Frames
        ``1 + samples // HOP_LENGTH`` frames.

    Raises
    ------
    AudioError
        If `y` has several channels, is too short, silent or not finite, or so loud that its features are not.
    ParameterError
        If `sample_rate` is out of range or `pad_mode` unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import features
    >>> seconds = np.arange(2 * features.SAMPLE_RATE) / features.SAMPLE_RATE
    >>> frames = features.frame_features(np.sin(2 * np.pi * 440 * seconds))
    >>> frames.mfcc.shape, round(float(np.median(frames.spectral_centroid)))
    ((20, 87), 440)
    """
    one_of(pad_mode, "pad_mode", PAD_MODES)
    sample_rate = count(sample_rate, "sample_rate", low=SAMPLE_RATES[0], high=SAMPLE_RATES[1])
    y = array(y, "y")
    if y.dtype.kind not in "iuf":
        raise AudioError(f"y: must be numbers, got {y.dtype}")
    y = y.astype(np.float32, copy=False)
    check_signal(y, "y", sample_rate=sample_rate)
    with _one_thread():
        power = _power(y, pad_mode)
        magnitude = np.sqrt(power)
        mel = librosa.feature.melspectrogram(S=power, sr=sample_rate, n_mels=N_MELS)
        log_mel = librosa.power_to_db(mel)
        centroid, bandwidth = _centroid_and_bandwidth(magnitude, sample_rate)
        tuning = _tuning(power, sample_rate)
        # The median over bands, as in `librosa.beat.beat_track`.
        onsets = librosa.onset.onset_strength(S=log_mel, sr=sample_rate, aggregate=np.median)
        return Frames(
            chroma=librosa.feature.chroma_stft(S=power, sr=sample_rate, tuning=tuning),
            rms=_rms(y, pad_mode),
            spectral_centroid=centroid,
            spectral_bandwidth=bandwidth,
            rolloff=_rolloff(magnitude, sample_rate),
            zero_crossing_rate=_zero_crossing_rate(y),
            mfcc=librosa.feature.mfcc(S=log_mel, n_mfcc=N_MFCC),
            contrast=librosa.feature.spectral_contrast(S=magnitude, sr=sample_rate),
            flatness=librosa.feature.spectral_flatness(S=power, power=1.0)[0],
            onset_strength=librosa.onset.onset_strength(S=log_mel, sr=sample_rate),
            mel=mel,
            tuning=tuning,
            tempo=_tempo(onsets, sample_rate),
        )


@lru_cache
def _thread_pools() -> object:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _one_thread() -> AbstractContextManager:
    """One BLAS thread: the matrices are small, the tracks are what runs side by side, and the sums are repeatable."""
    return _thread_pools().limit(limits=1)


def _power(y: np.ndarray, pad_mode: str) -> np.ndarray:
    """Power spectrum, shape (bins, frames); the bins of a frame lie side by side in memory."""
    with np.errstate(over="ignore"):
        spectrum = librosa.stft(y, n_fft=N_FFT, hop_length=HOP_LENGTH, pad_mode=pad_mode)
        squares = spectrum.T.view(np.float32)  # real and imaginary parts in turn
        squares *= squares
        power = (squares[:, ::2] + squares[:, 1::2]).T
        if not np.isfinite(power.max() * np.float32(N_FFT)):  # what is added up over bins
            raise AudioError(f"y: features are not finite, samples reach {np.abs(y).max():.2g} where full scale is 1")
    return power


# The hot spots. Sums run along the bins of a frame, hence the transposed views: (frames, bins).


def _frequencies(sample_rate: int) -> np.ndarray:
    return librosa.fft_frequencies(sr=sample_rate, n_fft=N_FFT).astype(np.float32)


def _centroid_and_bandwidth(magnitude: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the frequency, weighted by magnitude."""
    frames, frequencies = magnitude.T, _frequencies(sample_rate)
    total = frames.sum(axis=1)
    total[total < np.finfo(np.float32).tiny] = 1  # a frame of digital silence has its centre at 0 Hz
    centroid = frames @ frequencies / total
    deviation = frequencies - centroid[:, None]
    deviation *= deviation
    return centroid, np.sqrt(np.vecdot(frames, deviation) / total)


def _rolloff(magnitude: np.ndarray, sample_rate: int) -> np.ndarray:
    """Lowest frequency up to which the magnitudes add up to their share of the total."""
    running = np.cumsum(magnitude.T, axis=1)
    return _frequencies(sample_rate)[np.argmax(running >= ROLL_PERCENT * running[:, -1:], axis=1)]


def _over_frames(per_hop: np.ndarray) -> np.ndarray:
    """Sums over the hops of each frame."""
    return np.lib.stride_tricks.sliding_window_view(per_hop, N_FFT // HOP_LENGTH).sum(axis=1)


def _hops(y: np.ndarray, pad_mode: str) -> np.ndarray:
    """The signal, padded as for the spectrum and cut into hops: shape (frames + hops per frame − 1, hop length)."""
    n_hops = len(y) // HOP_LENGTH + N_FFT // HOP_LENGTH
    return np.pad(y, N_FFT // 2, mode=pad_mode)[: n_hops * HOP_LENGTH].reshape(n_hops, HOP_LENGTH)


def _rms(y: np.ndarray, pad_mode: str) -> np.ndarray:
    hops = _hops(y, pad_mode)
    return np.sqrt(_over_frames(np.vecdot(hops, hops)) / N_FFT)


def _zero_crossing_rate(y: np.ndarray) -> np.ndarray:
    """Share of the samples of each frame at which the sign changes; the ends of the signal are held."""
    negative = _hops(y, "edge").reshape(-1) < -1e-10
    crossing = np.diff(negative, prepend=negative[:1]).reshape(-1, HOP_LENGTH)
    per_frame = _over_frames(np.count_nonzero(crossing, axis=1))
    # A crossing into the first sample of a frame happens before the frame.
    return (per_frame - crossing[: len(per_frame), 0]) / N_FFT


def _tuning(power: np.ndarray, sample_rate: int) -> float:
    """Deviation from A = 440 Hz in semitones: the commonest fractional pitch among the louder spectral peaks.

    As `librosa.estimate_tuning`, but only bins from 150 to 4000 Hz are looked at, and only peaks are refined (by the
    parabola through a bin and its neighbours).
    """
    frames = power.T
    first, last = np.searchsorted(librosa.fft_frequencies(sr=sample_rate, n_fft=N_FFT), [150.0, 4000.0])
    middle = frames[:, first:last]
    is_peak = (middle > frames[:, first - 1 : last - 1]) & (middle >= frames[:, first + 1 : last + 1])
    is_peak &= middle > np.float32(0.1) * frames.max(axis=1, keepdims=True)
    frame, bin_ = np.nonzero(is_peak)
    if not len(frame):
        return 0.0
    bin_ += first
    left, here, right = (frames[frame, bin_ + step] for step in (-1, 0, 1))
    slope, curvature = (right - left) / 2, left + right - 2 * here
    inside = np.abs(slope) < np.abs(curvature)
    shift = np.where(inside, -slope / np.where(inside, curvature, 1), 0)
    height = here + slope * shift / 2
    louder = height >= np.median(height)
    return float(librosa.pitch_tuning((bin_ + shift)[louder] * (sample_rate / N_FFT)))


def _tempo(onsets: np.ndarray, sample_rate: int) -> float:
    """Beats per minute: the best lag of the onsets' autocorrelation within 8 s, with a prior around 120.

    The autocorrelations around all frames, each scaled to 1 at lag 0, are averaged. The average commutes with the
    Fourier transform, so that one inverse transform is enough for the track.
    """
    import scipy.fft

    if not onsets.any():
        return 0.0
    length = librosa.time_to_frames(8.0, sr=sample_rate, hop_length=HOP_LENGTH).item()
    ramped = np.pad(onsets, length // 2, mode="linear_ramp", end_values=0)
    around = np.lib.stride_tricks.sliding_window_view(ramped, length)[: len(onsets)]
    around = around * librosa.filters.get_window("hann", length).astype(np.float32)
    energy = np.vecdot(around, around)
    weight = np.divide(1, energy, out=np.zeros_like(energy), where=energy > np.finfo(np.float32).tiny)
    size = scipy.fft.next_fast_len(2 * length - 1, real=True)
    spectrum = scipy.fft.rfft(around, n=size, axis=1)
    average = weight @ (np.square(spectrum.real) + np.square(spectrum.imag)) / len(onsets)
    tempogram = scipy.fft.irfft(average.astype(float), n=size)[:length, None]
    return float(librosa.feature.tempo(tg=np.maximum(tempogram, 0), sr=sample_rate, hop_length=HOP_LENGTH)[0])
