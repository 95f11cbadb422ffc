"""Audio: every format, rate and channel count comes out the same; a file that cannot be used is named."""

import numpy as np
import pytest
import soundfile
from conftest import load_script

from vae_lib.features import audio
from vae_lib.features.audio import SAMPLE_RATE, AudioError, load_audio

clip = load_script("benchmarks/features.py").clip


def sine(frequency, *, sample_rate, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(3 * sample_rate) / sample_rate)


@pytest.fixture
def write(tmp_path):
    """Write a signal as a file and return its path."""

    def writer(name, y=None, sample_rate=SAMPLE_RATE, **options):
        path = tmp_path / name
        soundfile.write(path, clip(3.0) if y is None else y, sample_rate, **options)
        return path

    return writer


@pytest.mark.parametrize("name", ["song.wav", "song.flac", "song.ogg", "song.mp3"])
def test_every_format_is_read(write, name):
    y = load_audio(write(name))
    assert y.dtype == np.float32
    assert len(y) == pytest.approx(3 * SAMPLE_RATE, rel=0.05)  # MP3 pads
    assert np.corrcoef(y[: 3 * SAMPLE_RATE], clip(3.0))[0, 1] > 0.98 or name == "song.mp3"


@pytest.mark.parametrize("sample_rate", [8000, 16_000, 44_100, 48_000])
def test_any_rate_and_channel_count_equals_librosa(write, sample_rate):
    import librosa

    left, right = sine(440, sample_rate=sample_rate), sine(1000, sample_rate=sample_rate, amplitude=0.2)
    path = write("stereo.wav", np.stack([left, right], axis=1), sample_rate)
    y = load_audio(path)
    assert len(y) == pytest.approx(3 * SAMPLE_RATE, abs=1)
    np.testing.assert_allclose(y, librosa.load(path, sr=SAMPLE_RATE)[0], atol=1e-5)
    spectrum = np.abs(np.fft.rfft(y[:SAMPLE_RATE]))
    assert set(np.argsort(spectrum)[-2:]) == {440, 1000}


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def test_a_file_that_cannot_be_used_is_named_with_the_reason(write, tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.mp3").write_text("this is no music\n" * 500)
    (tmp_path / "folder.wav").mkdir()
    header = write("header.wav")
    header.write_bytes(header.read_bytes()[:44])
    float_nan = clip(3.0)
    float_nan[5] = np.nan
    for path, reason in [
        (tmp_path / "missing.wav", "no such file"),
        (tmp_path / "folder.wav", "is a folder"),
        (tmp_path / "empty.wav", "the file is empty"),
        (tmp_path / "text.mp3", "cannot be decoded as audio"),
        (header, "cut short|0.00 s long"),
        (cut(write("cut.wav")), "cut short, only 1.50 s"),
        (cut(write("cut.flac")), "cannot be decoded|cut short"),
        (cut(write("cut.ogg")), "cut short"),
        (cut(write("cut.mp3")), "cut short"),
        (write("silent.wav", np.zeros(2 * SAMPLE_RATE)), "is silent"),
        (write("short.wav", clip(0.8)), "0.80 s long, at least 1 s is needed"),
        (write("nan.wav", float_nan, subtype="FLOAT"), "1 samples that are NaN"),
    ]:
        with pytest.raises(AudioError, match=reason) as caught:
            load_audio(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_wav_that_was_streamed_is_read(write):
    path = write("streamed.wav", subtype="PCM_16")
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff" * 4  # what a program leaves that could not know the length
    path.write_bytes(content)
    assert len(load_audio(path)) == 3 * SAMPLE_RATE


def test_a_flac_without_a_length_is_refused(write):
    path = write("streamed.flac")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)  # the number of samples, 0: unknown
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"streamed\.flac: was streamed and does not tell its length, save it anew"):
        load_audio(path)


def test_what_is_too_long_for_a_track_is_refused(write, monkeypatch):
    monkeypatch.setattr(audio, "MAX_SECONDS", 2.5)
    with pytest.raises(AudioError, match=r"long\.wav: 3 s long, at most 2\.5 s make a track"):
        load_audio(write("long.wav"))
    assert len(load_audio(write("short.wav", clip(2.5)))) == 2.5 * SAMPLE_RATE
