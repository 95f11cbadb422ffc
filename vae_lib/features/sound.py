"""From a log-mel image back to something to listen to; the images are coarse, and so is what one hears."""

import librosa
import numpy as np

from vae_lib import checks
from vae_lib.features.audio import SAMPLE_RATE
from vae_lib.features.frames import HOP_LENGTH, N_FFT, N_MELS, SAMPLE_RATES

PEAK = 0.9  # of full scale: as loud as `synth` renders


def from_log_mel(
    image: np.ndarray, *, seconds: float, sample_rate: int = SAMPLE_RATE, iterations: int = 32, seed: int = 0
) -> np.ndarray:
    """Make a signal whose log-mel image is about the one given.

    An image has no phases and no detail between its bands and frames. Levels are interpolated between the centres of
    its cells, and phases that go together are found by the fast algorithm of Griffin and Lim (Perraudin and others,
    2013): what the image does not hold comes out as noise.

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
    >>> from vae_lib.features import sound
    >>> image = np.full((32, 64), -80.0)
    >>> image[8] = 0.0  # one band sounds throughout
    >>> y = sound.from_log_mel(image, seconds=2)
    >>> y.shape, round(float(abs(y).max()), 3)
    ((44100,), 0.9)
    """
    image = checks.matrix(image, "image")
    bands, columns = image.shape
    if N_MELS % bands:
        raise checks.ParameterError(f"image must have a number of bands that divides {N_MELS}, got {bands}")
    checks.in_range(seconds, "seconds", low=1, high=60)
    checks.count(sample_rate, "sample_rate", low=SAMPLE_RATES[0], high=SAMPLE_RATES[1])
    checks.in_range(image.max(), "the loudest of image", low=-1000, high=1000)
    checks.count(iterations, "iterations")
    checks.count(seed, "seed", low=0)
    samples = round(seconds * sample_rate)

    # Where each mel band and each frame of the spectrum lies among the cells of the image.
    band = (np.arange(N_MELS) + 0.5) * bands / N_MELS - 0.5
    column = np.arange(1 + samples // HOP_LENGTH) * HOP_LENGTH * columns / samples - 0.5
    by_band = np.stack([np.interp(band, np.arange(bands), levels) for levels in image.T], axis=1)
    log_mel = np.stack([np.interp(column, np.arange(columns), row) for row in by_band])
    magnitude = librosa.feature.inverse.mel_to_stft(librosa.db_to_power(log_mel), sr=sample_rate, n_fft=N_FFT)
    y = librosa.griffinlim(
        magnitude.astype(np.float32), n_iter=iterations, hop_length=HOP_LENGTH, length=samples, random_state=seed
    )
    return y * np.float32(PEAK / max(np.abs(y).max(), 1e-12))
