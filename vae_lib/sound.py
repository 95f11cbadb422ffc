"""From a log-mel image back to something to listen to; the images are coarse, and so is what one hears."""

import numpy as np

from vae_lib import checks
from vae_lib.frames import HOP_LENGTH, N_FFT, N_MELS, SAMPLE_RATES, mel_filters

PEAK = 0.9  # of full scale: as loud as `synth` renders
MOMENTUM = 0.99  # Perraudin and others (2013)


def from_log_mel(
    image: np.ndarray, *, seconds: float, sample_rate: int = 22_050, iterations: int = 32, seed: int = 0
) -> np.ndarray:
    """Make a signal whose log-mel image is about the one given.

    An image has no phases and no detail between its bands and frames. Levels are interpolated between the centres of
    its cells, and phases that go together are found by `griffin_lim`: what the image does not hold comes out as noise.

    Parameters
    ----------
    image : array, shape (bands, frames)
        Decibels, low bands first, as from ``features.log_mel_image`` or averaged further; `bands` divides 128. The
        frames are equal stretches of the clip.
    seconds : float
        Length of the clip, 1 to 60.
    sample_rate : int
        In Hz, 16 000 to 48 000.
    iterations : int
        Rounds of the search for phases.
    seed : int
        Of the phases that it starts from.

    Returns
    -------
    ndarray, shape (samples,), float32
        One channel; full scale is −1 to 1, the loudest sample is at 0.9.

    Raises
    ------
    ParameterError
        If the image is not a finite matrix, its bands do not divide 128, or an argument is outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib.sound import from_log_mel
    >>> image = np.full((32, 64), -80.0)
    >>> image[8] = 0.0  # one band sounds throughout
    >>> y = from_log_mel(image, seconds=2)
    >>> y.shape, round(float(abs(y).max()), 3)
    ((44100,), 0.9)
    """
    image = checks.matrix(image, "image")
    bands, columns = image.shape
    if N_MELS % bands:
        raise checks.ParameterError(f"image must have a number of bands that divides {N_MELS}, got {bands}")
    checks.in_range(seconds, "seconds", low=1, high=60)
    checks.count(sample_rate, "sample_rate", low=SAMPLE_RATES[0], high=SAMPLE_RATES[1])
    samples = round(seconds * sample_rate)

    # Where each bin and each frame of the spectrum lies among the cells of the image.
    filters = mel_filters(sample_rate)
    mel = filters @ np.arange(N_MELS) / np.maximum(filters.sum(axis=1), 1e-12)
    band = (mel + 0.5) * bands / N_MELS - 0.5
    column = np.arange(1 + samples // HOP_LENGTH) * HOP_LENGTH * columns / samples - 0.5
    by_bin = np.stack([np.interp(band, np.arange(bands), levels) for levels in image.T], axis=1)
    levels = np.stack([np.interp(column, np.arange(columns), row) for row in by_bin], axis=1)
    y = griffin_lim(10 ** (levels / 20), samples=samples, iterations=iterations, seed=seed)
    return y * (PEAK / max(np.abs(y).max(), 1e-12))


def griffin_lim(magnitude: np.ndarray, *, samples: int, iterations: int = 32, seed: int = 0) -> np.ndarray:
    """Find a signal with the magnitudes of a spectrum whose phases are lost.

    The fast algorithm of Griffin and Lim (Perraudin and others, 2013), from random phases: back to a signal, forth to
    its spectrum, take its phases and a step further in the same direction, and again.

    Parameters
    ----------
    magnitude : array, shape (frames, bins)
        As `frames` computes a spectrum: 2048 samples per frame, 512 from one to the next.
    samples : int
        Length of the signal.
    iterations : int
    seed : int
        Of the phases that it starts from.

    Returns
    -------
    ndarray, shape (samples,), float32

    Raises
    ------
    ParameterError
        If the magnitudes are not finite or not those of so many samples.
    """
    import torch  # here, because it takes seconds to import

    checks.count(samples, "samples", low=N_FFT)
    checks.count(iterations, "iterations")
    magnitude = checks.matrix(magnitude, "magnitude")
    if magnitude.shape != (shape := (1 + samples // HOP_LENGTH, N_FFT // 2 + 1)):
        raise checks.ParameterError(f"magnitude must have shape {shape} for {samples} samples, got {magnitude.shape}")
    size = torch.from_numpy(magnitude.T.copy()).float()
    there = {"n_fft": N_FFT, "hop_length": HOP_LENGTH, "window": torch.hann_window(N_FFT)}
    phases = torch.rand(size.shape, generator=torch.Generator().manual_seed(seed)) * (2 * torch.pi)
    spectrum, before = torch.polar(size, phases), torch.zeros(())
    for _ in range(iterations):
        again = torch.stft(torch.istft(spectrum, **there, length=samples), **there, return_complex=True)
        ahead = again - MOMENTUM / (1 + MOMENTUM) * before
        spectrum, before = torch.polar(size, ahead.angle()), again
    return torch.istft(spectrum, **there, length=samples).numpy()
