"""Audio files to one channel of samples; a file that cannot be used is named with the reason."""

import os
from pathlib import Path

import numpy as np

from vae_lib.checks import ParameterError, count

SAMPLE_RATE = 22_050  # Hz
MIN_SECONDS = 1.0  # shorter audio has no tempo and hardly a timbre
MAX_SECONDS = 3600.0  # longer audio is no track, and its spectrum would take gigabytes
SILENCE = 1e-4  # a signal that swings by less than this (full scale is 2) is silent: about −86 dB

_UNKNOWN = 2**63 - 1  # libsndfile's length of a FLAC that was written to a pipe; it cannot be read by parts either


class AudioError(ParameterError):
    """An audio file or signal that no features can be computed from."""


def check_file(path: Path | str) -> Path:
    """Return the path of a file that is there and not empty.

    Raises
    ------
    AudioError
        If it is not.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path}: {'is a folder, not an audio file' if path.is_dir() else 'no such file'}")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty")
    return path


def load_audio(path: Path | str, *, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Read an audio file (wav, flac, ogg, mp3 and whatever else libsndfile reads) as one channel.

    Parameters
    ----------
    path : Path or str
        The file; any sample rate and number of channels. Channels are averaged, then resampled.
    sample_rate : int
        Sample rate of the result in Hz.

    Returns
    -------
    ndarray, shape (samples,), float32
        The signal; full scale is −1 to 1.

    Raises
    ------
    AudioError
        If the file is missing, empty, no audio, cut short, damaged, silent, shorter than one second or longer than one
        hour; the message names the file and which of these it is. An MP3 without a length in its header cannot be seen
        to be cut short.

    Examples
    --------
    Two channels at another rate come back as one at the common rate:

    >>> import tempfile
    >>> import numpy as np
    >>> import soundfile
    >>> from vae_lib.features import audio
    >>> with tempfile.NamedTemporaryFile(suffix=".wav") as file:
    ...     soundfile.write(file.name, np.random.default_rng(0).uniform(-1, 1, (44100, 2)), 44100)
    ...     y = audio.load_audio(file.name)
    >>> y.shape == (audio.SAMPLE_RATE,)
    True
    """
    import soundfile

    count(sample_rate, "sample_rate")
    path = check_file(path)
    # As bytes where the system has it so: a name need not be valid UTF-8.
    name = os.fsencode(path) if os.name == "posix" else path
    try:
        with soundfile.SoundFile(name) as file:
            rate, declared, log = file.samplerate, file.frames, file.extra_info
            if declared == _UNKNOWN:
                raise AudioError(f"{path}: was streamed and does not tell its length, save it anew")
            if declared > MAX_SECONDS * rate:
                raise AudioError(f"{path}: {declared / rate:.0f} s long, at most {MAX_SECONDS:g} s make a track")
            channels = file.read(dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        reason = str(getattr(error, "error_string", None) or error).rstrip(". ")
        if "does not exist" in reason:  # it does: so an MP3 reads that is none
            reason = "Format not recognised"
        raise AudioError(f"{path}: cannot be decoded as audio ({reason})") from None
    if len(channels) < declared or _cut_short(log):
        raise AudioError(f"{path}: the file is cut short, only {len(channels) / rate:.2f} s of it can be read")
    y = channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1)
    check_signal(y, str(path), sample_rate=rate)
    if rate != sample_rate:
        import soxr

        y = soxr.resample(y, rate, sample_rate, quality="HQ")
    return y


def _cut_short(log: str) -> bool:
    """Whether libsndfile's reading log tells of a file that ends before the length in its header."""
    if "Last page lacks an end-of-stream bit" in log:  # Ogg
        return True
    for line in log.splitlines():  # WAV: "data : 1323588 (should be 661772)"
        words = line.replace("(", " ").replace(")", " ").split()
        if words[:2] == ["data", ":"] and words[3:5] == ["should", "be"]:
            declared, present = int(words[2]), int(words[5])
            # A program that writes to a pipe does not know the length and leaves the largest number there.
            return present < declared < 2**31 - 1
    return False


def check_signal(y: np.ndarray, name: str, *, sample_rate: float) -> None:
    """Check that features can be computed from a signal.

    Raises
    ------
    AudioError
        If it has several channels, is shorter than one second, silent or not finite.
    """
    if y.ndim != 1:
        raise AudioError(f"{name}: must be one channel, got shape {y.shape}")
    if len(y) < MIN_SECONDS * sample_rate:
        raise AudioError(f"{name}: {len(y) / sample_rate:.2f} s long, at least {MIN_SECONDS:g} s is needed")
    if not np.isfinite(y).all():
        raise AudioError(f"{name}: holds {np.count_nonzero(~np.isfinite(y))} samples that are NaN or infinite")
    if y.max() - y.min() < SILENCE:
        raise AudioError(f"{name}: is silent")
