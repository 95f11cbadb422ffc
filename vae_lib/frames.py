"""Samples to features, frame by frame: one short-time Fourier transform gives them all.

Every feature equals librosa's own function to single precision. The formulas are written out here on numpy and scipy
alone, so a worker process starts without librosa and compiles nothing.

How the ends of a track are padded is the one setting on which there is a choice. ``pad_mode="reflect"``, the default
here, was librosa's own until version 0.10: with it the public GTZAN table comes out to its last digits, and no silence
is added to a clip that was cut out of a song. ``pad_mode="constant"`` is what librosa does today; it changes the first
and last two of some 1300 frames.
"""

import zipfile
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vae_lib import store
from vae_lib.audio import SAMPLE_RATE, check_signal
from vae_lib.checks import ParameterError, count, one_of

N_FFT = 2048  # samples per frame
HOP_LENGTH = 512  # samples from one frame to the next
N_MELS = 128
N_MFCC = 20
N_CHROMA = 12
PAD_MODES = ("reflect", "constant")  # what stands beyond the ends of a track: its mirror image, or zeros
ROLL_PERCENT = 0.85  # share of the magnitude that lies below the roll-off frequency
CONTRAST_BANDS = 7  # 0–200 Hz, then octaves from 200 Hz; the last one reaches up to half the sample rate
DYNAMIC_RANGE = 80.0  # dB below the loudest value where decibels are clipped
SAMPLE_RATES = (16_000, 48_000)  # below, the octaves of the spectral contrast end above half the sample rate

PITCH_CLASSES = ("C", "Cs", "D", "Ds", "E", "F", "Fs", "G", "Gs", "A", "As", "B")

_AMIN = 1e-10  # librosa's floor of a power before its logarithm is taken
# Frames worked on at a time, so that what belongs to them stays in the processor's cache.
_FFT_BLOCK = 16
_BLOCK = 128
_CHUNK = 32  # bins added up together on the way to the roll-off
_A440_OCTAVE = 440.0 / 16  # frequency from which octaves are counted

# Filters: each depends on the sample rate alone (the chroma filters also on the tuning) and is made once per process


@lru_cache
def _window(length: int) -> np.ndarray:
    """Periodic Hann window."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


@lru_cache
def _frequencies(sample_rate: int) -> np.ndarray:
    return (np.arange(N_FFT // 2 + 1) * (sample_rate / N_FFT)).astype(np.float32)


@lru_cache
def mel_filters(sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Triangular filters, evenly spaced on Slaney's mel scale and of equal area.

    The scale is linear up to 1000 Hz (15 mels) and logarithmic above (27 mels per factor of 6.4).

    Returns
    -------
    ndarray, shape (bins, mels), float32
        Multiply a power spectrogram (frames, bins) with it to get the mel spectrogram; do not write to it.

    Examples
    --------
    >>> from vae_lib import frames
    >>> frames.mel_filters().shape
    (1025, 128)
    """
    linear, knee = 200 / 3, 1000.0
    knee_mel, step = knee / linear, np.log(6.4) / 27
    top = sample_rate / 2
    top_mel = top / linear if top < knee else knee_mel + np.log(top / knee) / step
    mels = np.linspace(0, top_mel, N_MELS + 2)
    edges = np.where(mels < knee_mel, mels * linear, knee * np.exp(step * (mels - knee_mel)))
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    bins = (np.arange(N_FFT // 2 + 1) * (sample_rate / N_FFT))[:, None]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    filters = (np.maximum(0, triangles) * (2 / (high - low))).astype(np.float32)
    filters.flags.writeable = False
    return filters


@lru_cache
def _mel_groups(sample_rate: int, size: int = 16) -> list[tuple[slice, slice, np.ndarray]]:
    """The mel filters in groups of neighbours, each with the bins where it is not zero: most of the matrix is."""
    filters = mel_filters(sample_rate)
    groups = []
    for start in range(0, N_MELS, size):
        used = np.flatnonzero(filters[:, start : start + size].any(axis=1))
        bins = slice(used[0], used[-1] + 1)
        groups.append((slice(start, start + size), bins, np.ascontiguousarray(filters[bins, start : start + size])))
    return groups


@lru_cache
def chroma_filters(sample_rate: int = SAMPLE_RATE, tuning: float = 0.0) -> np.ndarray:
    """Filters from a power spectrum to the twelve pitch classes (Ellis 2007).

    A bin belongs to the pitch classes around it by a Gaussian that is as wide as the bin, at least one semitone;
    octaves count by a Gaussian around the fifth from A0, two octaves wide.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    tuning : float
        Deviation from A = 440 Hz in semitones.

    Returns
    -------
    ndarray, shape (bins, 12), float32
        The first pitch class is C; do not write to it.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import frames
    >>> spectrum = np.zeros(frames.chroma_filters().shape[0])
    >>> spectrum[round(440 * frames.N_FFT / frames.SAMPLE_RATE)] = 1
    >>> int((spectrum @ frames.chroma_filters()).argmax())  # the A of concert pitch, nine semitones above C
    9
    """
    bins = np.arange(1, N_FFT // 2 + 2) * (sample_rate / N_FFT)
    semitones = N_CHROMA * np.log2(bins / (_A440_OCTAVE * 2 ** (tuning / N_CHROMA)))
    # The bin of 0 Hz has no pitch: it is put an octave and a half below the next one.
    semitones = np.concatenate([[semitones[0] - 1.5 * N_CHROMA], semitones])
    width = np.maximum(np.diff(semitones), 1)[:, None]
    semitones = semitones[:-1, None]
    distance = (semitones - np.arange(N_CHROMA) + N_CHROMA / 2) % N_CHROMA - N_CHROMA / 2
    weights = np.exp(-0.5 * (2 * distance / width) ** 2)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    weights *= np.exp(-0.5 * ((semitones / N_CHROMA - 5) / 2) ** 2)
    weights = np.roll(weights, PITCH_CLASSES.index("A"), axis=1)  # semitones are counted from A
    filters = np.ascontiguousarray(weights, dtype=np.float32)
    filters.flags.writeable = False
    return filters


@lru_cache
def _contrast_bands(sample_rate: int) -> list[tuple[slice, int]]:
    """Bins of each contrast band, and how many of them make up its peak and its valley (2 % of the band)."""
    frequencies = np.arange(N_FFT // 2 + 1) * (sample_rate / N_FFT)
    edges = np.concatenate([[0.0], 200.0 * 2.0 ** np.arange(CONTRAST_BANDS)])
    bands = []
    for band in range(CONTRAST_BANDS):
        inside = np.flatnonzero((frequencies >= edges[band]) & (frequencies <= edges[band + 1]))
        first = inside[0] - (band > 0)
        last = inside[-1] if band < CONTRAST_BANDS - 1 else len(frequencies) - 1
        share = max(1, int(np.rint(0.02 * (last - first + 1))))
        # A band gives its uppermost bin to the next one, which starts there.
        bands.append((slice(first, last + (band == CONTRAST_BANDS - 1)), share))
    return bands


@lru_cache
def _cosines() -> np.ndarray:
    """The orthonormal discrete cosine transform that turns log-mel bands into MFCCs, shape (mels, coefficients)."""
    basis = np.cos(np.pi * np.outer(np.arange(N_MELS) + 0.5, np.arange(N_MFCC)) / N_MELS) * np.sqrt(2 / N_MELS)
    basis[:, 0] /= np.sqrt(2)
    return basis.astype(np.float32)


# The features, frame by frame


class Frames(NamedTuple):
    """Every feature of one track, frame by frame (frame t is centred on sample ``t * HOP_LENGTH``)."""

    chroma: np.ndarray  # (frames, 12), the strongest pitch class of a frame is 1; C first
    rms: np.ndarray  # (frames,)
    spectral_centroid: np.ndarray  # (frames,), Hz
    spectral_bandwidth: np.ndarray  # (frames,), Hz
    rolloff: np.ndarray  # (frames,), Hz
    zero_crossing_rate: np.ndarray  # (frames,), crossings per sample
    mfcc: np.ndarray  # (frames, 20)
    mfcc_delta: np.ndarray  # (frames, 20), change per frame
    contrast: np.ndarray  # (frames, 7), dB
    flatness: np.ndarray  # (frames,)
    onset_strength: np.ndarray  # (frames,)
    mel: np.ndarray  # (frames, 128), power
    tuning: float  # semitones from A = 440 Hz
    tempo: float  # beats per minute; 0 where nothing sets in


def write(frames: Frames, path: Path | str) -> None:
    """Write frames to an ``.npz`` file, whole or not at all."""
    with store.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **frames._asdict())


def read(path: Path | str) -> Frames:
    """Read what `write` wrote; nothing is unpickled.

    Raises
    ------
    ParameterError
        If the file cannot be read or is not the frames of a track; the message names it.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in Frames._fields}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ParameterError(f"{path} does not hold the frames of a track: {error}") from None
    return Frames(**found | {name: float(found[name]) for name in ("tuning", "tempo")})


class _Spectrum(NamedTuple):
    mel: np.ndarray
    centroid: np.ndarray
    bandwidth: np.ndarray
    rolloff: np.ndarray
    flatness: np.ndarray
    valley: np.ndarray
    peak: np.ndarray
    loudest: np.ndarray


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
        If `y` has several channels, is too short, silent or not finite.
    ParameterError
        If `sample_rate` is out of range or `pad_mode` unknown.
    """
    one_of(pad_mode, "pad_mode", PAD_MODES)
    sample_rate = count(sample_rate, "sample_rate", low=SAMPLE_RATES[0], high=SAMPLE_RATES[1])
    y = np.asarray(y, dtype=np.float32)
    check_signal(y, "y", sample_rate=sample_rate)
    with _one_thread():
        power = _power(y, pad_mode)
        spectrum = _analyse(power, sample_rate)
        tuning = _tuning(power, spectrum.loudest, sample_rate)
        chroma = power @ chroma_filters(sample_rate, tuning)
        strongest = chroma.max(axis=1, keepdims=True)
        chroma /= np.where(strongest < np.finfo(np.float32).tiny, 1, strongest)
        log_mel = decibels(spectrum.mel)
        mfcc = log_mel @ _cosines()
        onset_mean, onset_median = _onsets(log_mel)
        return Frames(
            chroma=chroma,
            rms=_rms(y, pad_mode),
            spectral_centroid=spectrum.centroid,
            spectral_bandwidth=spectrum.bandwidth,
            rolloff=spectrum.rolloff,
            zero_crossing_rate=_zero_crossing_rate(y),
            mfcc=mfcc,
            mfcc_delta=_delta(mfcc),
            contrast=decibels(spectrum.peak) - decibels(spectrum.valley),
            flatness=spectrum.flatness,
            onset_strength=onset_mean,
            mel=spectrum.mel,
            tuning=tuning,
            tempo=_tempo(onset_median, sample_rate),
        )


@lru_cache
def _thread_pools() -> object:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _one_thread() -> AbstractContextManager:
    """One BLAS thread: the matrices are small, the tracks are what runs side by side, and the sums are repeatable."""
    return _thread_pools().limit(limits=1)


def _power(y: np.ndarray, pad_mode: str) -> np.ndarray:
    """Power spectrum of each frame, shape (frames, bins)."""
    import scipy.fft

    padded = np.pad(y, N_FFT // 2, mode=pad_mode).astype(float)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH]
    window, windowed = _window(N_FFT), np.empty((_FFT_BLOCK, N_FFT))
    power = np.empty((len(frames), N_FFT // 2 + 1), np.float32)
    # The transform is in 64 bits: the highest bins of a resampled track are so quiet that the rounding of 32 bits would
    # fill them. The power may be rounded, as that is done to each bin by itself.
    for start in range(0, len(frames), _FFT_BLOCK):
        block = frames[start : start + _FFT_BLOCK]
        spectrum = scipy.fft.rfft(np.multiply(block, window, out=windowed[: len(block)]), axis=1, overwrite_x=True)
        squares = spectrum.view(float)
        squares *= squares
        np.add(squares[:, ::2], squares[:, 1::2], out=power[start : start + len(block)], casting="same_kind")
    return power


def _analyse(power: np.ndarray, sample_rate: int) -> _Spectrum:
    """All that is computed from one frame of the spectrum alone, block by block."""
    n, n_bins = power.shape
    frequencies, bands = _frequencies(sample_rate), _contrast_bands(sample_rate)
    mel = np.empty((n, N_MELS), np.float32)
    centroid, bandwidth, flatness, loudest = np.empty((4, n), np.float32)
    whole = n_bins // _CHUNK * _CHUNK
    chunks = np.empty((n, whole // _CHUNK + 1), np.float32)
    valley, peak = np.empty((2, n, CONTRAST_BANDS), np.float32)
    # Sums over bins are products with a vector of ones, which the BLAS does several times faster than a reduction.
    ones = np.ones(n_bins, np.float32)
    # Fresh memory for each block would cost more than the arithmetic that fills it.
    magnitude_, deviation_ = np.empty((2, _BLOCK, n_bins), np.float32)
    for start in range(0, n, _BLOCK):
        rows = slice(start, min(start + _BLOCK, n))
        p, size = power[rows], rows.stop - start
        for mels, bins, filters in _mel_groups(sample_rate):
            np.matmul(p[:, bins], filters, out=mel[rows, mels])
        magnitude = np.sqrt(p, out=magnitude_[:size])
        loudest[rows] = p.max(axis=1)
        total = magnitude @ ones
        total[total < np.finfo(np.float32).tiny] = 1  # a frame of digital silence has its centre at 0 Hz
        centre = (magnitude @ frequencies) / total
        deviation = np.subtract(frequencies, centre[:, None], out=deviation_[:size])
        deviation *= deviation
        centroid[rows] = centre
        bandwidth[rows] = np.sqrt(np.vecdot(deviation, magnitude) / total)
        np.matmul(magnitude[:, :whole].reshape(size, -1, _CHUNK), ones[:_CHUNK], out=chunks[rows, :-1])
        chunks[rows, -1] = magnitude[:, whole:] @ ones[whole:]
        for band, (bins, share) in enumerate(bands):
            if share == 1:
                valley[rows, band], peak[rows, band] = magnitude[:, bins].min(axis=1), magnitude[:, bins].max(axis=1)
            else:
                ordered = np.sort(magnitude[:, bins], axis=1)
                valley[rows, band] = (ordered[:, :share] @ ones[:share]) / share
                peak[rows, band] = (ordered[:, -share:] @ ones[:share]) / share
        floored = np.maximum(p, np.float32(_AMIN), out=magnitude)
        arithmetic = floored @ ones / n_bins
        flatness[rows] = np.exp(np.log(floored, out=floored) @ ones / n_bins) / arithmetic
    rolloff = frequencies[_rolloff(power, chunks)]
    return _Spectrum(mel, centroid, bandwidth, rolloff, flatness, valley, peak, loudest)


def _rolloff(power: np.ndarray, chunks: np.ndarray) -> np.ndarray:
    """First bin of each frame at which the running sum of magnitudes reaches its share of the total.

    `chunks` has the sums over `_CHUNK` bins each (the last one over the bins that are left over): the running sum over
    these finds the chunk, so that only its bins have to be added up one by one.
    """
    n, n_bins = power.shape
    running = np.cumsum(chunks, axis=1)
    threshold = ROLL_PERCENT * running[:, -1:]
    chunk = np.argmax(running >= threshold, axis=1)
    rows = np.arange(n)[:, None]
    bins = np.minimum(chunk[:, None] * _CHUNK + np.arange(_CHUNK), n_bins - 1)
    before = np.where(chunk > 0, running[rows[:, 0], chunk - 1], 0)
    fine = before[:, None] + np.cumsum(np.sqrt(power[rows, bins]), axis=1)
    fine[:, -1] = np.inf  # rounding may leave the sum of the chunk a little below the threshold
    return bins[rows[:, 0], np.argmax(fine >= threshold, axis=1)]


def decibels(power: np.ndarray) -> np.ndarray:
    """Decibels relative to 1, clipped below the loudest value of the track.

    Parameters
    ----------
    power : ndarray, shape (frames, bands)
        All frames of one track, float32.

    Returns
    -------
    ndarray, shape (frames, bands), float32

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import frames
    >>> frames.decibels(np.array([[1.0, 0.1, 0.0]], dtype=np.float32)).tolist()
    [[0.0, -10.0, -80.0]]
    """
    level = 10 * np.log10(np.maximum(power, np.float32(_AMIN)))
    return np.maximum(level, level.max() - np.float32(DYNAMIC_RANGE))


def _tuning(power: np.ndarray, loudest: np.ndarray, sample_rate: int) -> float:
    """Deviation from A = 440 Hz in semitones: the commonest fractional pitch among the louder spectral peaks.

    Peaks are sought from 150 to 4000 Hz and refined by a parabola through the bins around them.
    """
    frequencies = np.arange(power.shape[1]) * (sample_rate / N_FFT)
    first, last = np.searchsorted(frequencies, [150.0, 4000.0])
    middle = power[:, first:last]
    is_peak = middle > power[:, first - 1 : last - 1]
    is_peak &= middle >= power[:, first + 1 : last + 1]
    is_peak &= middle > np.float32(0.1) * loudest[:, None]
    at = np.flatnonzero(is_peak)
    if not len(at):
        return 0.0
    frame, bin_ = np.divmod(at, last - first)
    bin_ += first
    flat = power.reshape(-1)
    at = frame * power.shape[1] + bin_
    here, left, right = flat[at], flat[at - 1], flat[at + 1]
    curvature = right + left - 2 * here
    slope = (right - left) / 2
    inside = np.abs(slope) < np.abs(curvature)
    shift = np.where(inside, -slope / np.where(inside, curvature, 1), 0)
    height = here + 0.5 * slope * shift
    pitch = (bin_ + shift) * (sample_rate / N_FFT)
    pitch = pitch[height >= np.median(height)]
    fraction = N_CHROMA * np.log2(pitch / _A440_OCTAVE) % 1.0
    fraction[fraction >= 0.5] -= 1.0
    edges = np.linspace(-0.5, 0.5, 101)
    return float(edges[np.argmax(np.histogram(fraction, edges)[0])])


def _onsets(log_mel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rise of the mel bands in dB from frame to frame, averaged over bands: by the mean, and by the median."""
    rise = np.maximum(np.diff(log_mel, axis=0), 0)
    ordered = np.sort(rise, axis=1)
    median = (ordered[:, N_MELS // 2 - 1] + ordered[:, N_MELS // 2]) / 2
    late = 1 + N_FFT // (2 * HOP_LENGTH)  # a rise is heard in the frames that are centred on it
    n = len(log_mel)
    return np.pad(rise.mean(axis=1), (late, 0))[:n], np.pad(median, (late, 0))[:n]


def _tempo(onset: np.ndarray, sample_rate: int) -> float:
    """Beats per minute: the best lag of the onsets' local autocorrelation, with a prior around 120.

    The autocorrelation over 8 s is taken around each frame, scaled to 1 at lag 0 and averaged over frames. The average
    commutes with the Fourier transform, so that one inverse transform is enough for the track.
    """
    import scipy.fft

    if not onset.any():
        return 0.0
    length = int(8.0 * sample_rate / HOP_LENGTH)
    ramped = np.pad(onset, length // 2, mode="linear_ramp", end_values=0)
    frames = np.lib.stride_tricks.sliding_window_view(ramped, length)[: len(onset)]
    size = scipy.fft.next_fast_len(2 * length - 1, real=True)
    window = _window(length).astype(np.float32)
    average = np.zeros(size // 2 + 1)
    for start in range(0, len(frames), _BLOCK):
        block = frames[start : start + _BLOCK] * window
        energy = np.einsum("ij,ij->i", block, block)
        weight = np.where(energy > 0, 1 / np.where(energy > 0, energy, 1), 0)
        squares = scipy.fft.rfft(block, n=size, axis=1).view(np.float32)
        squares *= squares
        average += (weight @ squares).reshape(-1, 2).sum(axis=1)
    similarity = np.maximum(scipy.fft.irfft(average, n=size)[1:length] / len(frames), 0)
    tempi = 60.0 * sample_rate / (HOP_LENGTH * np.arange(1.0, length))
    prior = -0.5 * (np.log2(tempi) - np.log2(120.0)) ** 2
    prior[: np.argmax(tempi < 320.0)] = -np.inf
    return float(tempi[np.argmax(np.log1p(1e6 * similarity) + prior)])


def _over_frames(per_hop: np.ndarray) -> np.ndarray:
    """Sums over the hops of each frame."""
    running = np.concatenate([[0], np.cumsum(per_hop)])
    hops = N_FFT // HOP_LENGTH
    return running[hops:] - running[:-hops]


def _hops(y: np.ndarray, pad_mode: str) -> np.ndarray:
    """The signal, padded as for the spectrum, cut into hops: shape (frames + hops per frame − 1, hop length)."""
    n_hops = 1 + len(y) // HOP_LENGTH + N_FFT // HOP_LENGTH - 1
    return np.pad(y, N_FFT // 2, mode=pad_mode)[: n_hops * HOP_LENGTH].reshape(n_hops, HOP_LENGTH)


def _rms(y: np.ndarray, pad_mode: str) -> np.ndarray:
    hops = _hops(y, pad_mode)
    squares = np.einsum("ij,ij->i", hops, hops).astype(float)
    return np.sqrt(np.maximum(_over_frames(squares), 0) / N_FFT)


def _zero_crossing_rate(y: np.ndarray) -> np.ndarray:
    negative = _hops(y, "edge").reshape(-1) < -_AMIN
    crossing = np.zeros(len(negative), bool)
    np.not_equal(negative[1:], negative[:-1], out=crossing[1:])
    crossing = crossing.reshape(-1, HOP_LENGTH)
    per_frame = _over_frames(np.count_nonzero(crossing, axis=1))
    # A crossing into the first sample of a frame happens before the frame.
    return (per_frame - crossing[: len(per_frame), 0]) / N_FFT


def _delta(values: np.ndarray, width: int = 9) -> np.ndarray:
    """Slope of the straight line through `width` frames; the first and last frames take that of their neighbour."""
    half = width // 2
    n = len(values) - 2 * half
    slope = np.zeros_like(values[:n])
    for step in range(1, half + 1):
        slope += step * (values[half + step : half + step + n] - values[half - step : half - step + n])
    slope /= 2 * sum(step**2 for step in range(1, half + 1))
    return np.pad(slope, ((half, half), (0, 0)), mode="edge")
