"""Features: equal to librosa and to the public table, right on signals whose features are known, careful with files."""

import doctest
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr
from conftest import load_script

from vae_lib import corpus, features
from vae_lib.checks import ParameterError
from vae_lib.features import SAMPLE_RATE, AudioError, extract, extract_many, frame_features, load_audio

bench = load_script("benchmarks/features.py")
rebuild = load_script("data/rebuild.py")


def sine(frequency, *, seconds=3.0, sample_rate=SAMPLE_RATE, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(int(seconds * sample_rate)) / sample_rate)


def noise(seconds=3.0, amplitude=0.1):
    return amplitude * np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE))


def clicks(bpm, *, seconds=20.0):
    y = noise(seconds, 1e-4)
    for start in (np.arange(0, seconds, 60 / bpm) * SAMPLE_RATE).astype(int):
        burst = noise(0.02, 0.5)[: len(y) - start]
        y[start : start + len(burst)] += burst * np.exp(-np.arange(len(burst)) / 80)
    return y


def half_silent():
    y = bench.clip(6.0)
    y[: len(y) // 2] = 0
    return y


# Equal to librosa


@pytest.mark.parametrize("pad_mode", features.PAD_MODES)
@pytest.mark.parametrize(
    ("y", "sample_rate"),
    [
        (soxr.resample(bench.clip(12.0), 44_100, SAMPLE_RATE), SAMPLE_RATE),
        (bench.clip(6.0), SAMPLE_RATE),
        (noise(), SAMPLE_RATE),
        (clicks(100, seconds=8.0), SAMPLE_RATE),
        (half_silent(), SAMPLE_RATE),
        (noise(1.0), SAMPLE_RATE),
        (bench.clip(6.0), 44_100),
        (bench.clip(6.0), 16_000),
    ],
    ids=["resampled", "chords", "noise", "clicks", "half silent", "one second", "44.1 kHz", "16 kHz"],
)
@pytest.mark.filterwarnings("ignore:Empty filters detected")
def test_summary_equals_librosa_on_synthetic_signals(y, sample_rate, pad_mode):
    ours, _ = extract(y, sample_rate=sample_rate, pad_mode=pad_mode)
    usual = bench.usual(y.astype(np.float32), sample_rate=sample_rate, pad_mode=pad_mode)
    # 1e-3 relative; the absolute part is for means of decibels and their changes, which may lie at zero.
    np.testing.assert_allclose(ours, pd.Series(usual)[ours.index], rtol=1e-3, atol=1e-4)
    assert ours["tempo"] == usual["tempo"]


@pytest.mark.parametrize("pad_mode", features.PAD_MODES)
@pytest.mark.parametrize("track_id", ["classical.00001", "hiphop.00006", "metal.00004"])
def test_summary_equals_librosa_on_real_tracks(data_home, track_id, pad_mode):
    y = load_audio(data_home / "gtzan_mini" / "genres" / track_id.split(".")[0] / f"{track_id}.flac")
    ours, _ = extract(y, pad_mode=pad_mode)
    usual = pd.Series(bench.usual(y, pad_mode=pad_mode))[ours.index]
    np.testing.assert_allclose(ours, usual, rtol=1e-3)
    assert ours["tempo"] == usual["tempo"]


def test_frames_equal_librosa():
    import librosa

    y = bench.clip(6.0)
    ours = frame_features(y, pad_mode="constant")
    usual = {
        "chroma": librosa.feature.chroma_stft(y=y, sr=SAMPLE_RATE).T,
        "rms": librosa.feature.rms(y=y)[0],
        "spectral_centroid": librosa.feature.spectral_centroid(y=y, sr=SAMPLE_RATE)[0],
        "spectral_bandwidth": librosa.feature.spectral_bandwidth(y=y, sr=SAMPLE_RATE)[0],
        "rolloff": librosa.feature.spectral_rolloff(y=y, sr=SAMPLE_RATE)[0],
        "zero_crossing_rate": librosa.feature.zero_crossing_rate(y)[0],
        "mfcc": librosa.feature.mfcc(y=y, sr=SAMPLE_RATE).T,
        "mfcc_delta": librosa.feature.delta(librosa.feature.mfcc(y=y, sr=SAMPLE_RATE)).T,
        "contrast": librosa.feature.spectral_contrast(y=y, sr=SAMPLE_RATE).T,
        "flatness": librosa.feature.spectral_flatness(y=y)[0],
        "onset_strength": librosa.onset.onset_strength(y=y, sr=SAMPLE_RATE),
        "mel": librosa.feature.melspectrogram(y=y, sr=SAMPLE_RATE).T,
    }
    assert set(usual) | {"tuning", "tempo"} == set(ours._fields)
    for name, values in usual.items():
        np.testing.assert_allclose(getattr(ours, name), values, rtol=1e-3, atol=1e-3, err_msg=name)
    assert ours.tuning == pytest.approx(librosa.estimate_tuning(S=np.abs(librosa.stft(y)) ** 2, sr=SAMPLE_RATE))


@pytest.mark.parametrize("sample_rate", [16_000, 22_050, 44_100, 48_000])
@pytest.mark.filterwarnings("ignore:Empty filters detected")
def test_filters_equal_librosa(sample_rate):
    import librosa

    mel = librosa.filters.mel(sr=sample_rate, n_fft=features.N_FFT).T
    np.testing.assert_allclose(features.mel_filters(sample_rate), mel, atol=1e-7)
    for tuning in (0.0, -0.5, 0.37):
        chroma = librosa.filters.chroma(sr=sample_rate, n_fft=features.N_FFT, tuning=tuning).T
        np.testing.assert_allclose(features.chroma_filters(sample_rate, tuning), chroma, atol=1e-6)


# Equal to what others published, and to what is embedded


@pytest.fixture(scope="module")
def rebuilt(data_home, tmp_path_factory):
    """All 100 tracks computed from their audio, by the command that makes the embedded corpus."""
    folder = tmp_path_factory.mktemp("rebuilt") / "gtzan_mini"
    arguments = ["gtzan-mini", "--data-home", str(data_home), "--output", str(folder), "--workers", "2"]
    assert rebuild.main(arguments) == 0
    return corpus.read(folder)


def test_features_agree_with_the_public_table(rebuilt, data_home):
    public = pd.read_csv(data_home / "gtzan" / "features_30_sec.csv")
    others = ("length", "label", "filename", "harmony", "perceptr")
    assert tuple(column for column in public if not column.startswith(others)) == features.PUBLIC_COLUMNS
    public.index = public["filename"].str.removesuffix(".wav")
    public = public.loc[rebuilt.tracks.index, list(features.PUBLIC_COLUMNS)]
    ours = rebuilt.features[list(features.PUBLIC_COLUMNS)]

    assert len(ours) == 100
    assert (ours["tempo"] == public["tempo"]).all()
    difference = (ours - public).abs() / public.abs()
    assert (difference.median() < 1e-5).all(), difference.median().idxmax()
    # The widest is the mean of a high MFCC near zero; measured 8e-5.
    assert (difference.max() < 1e-3).all(), difference.max().idxmax()


def test_rebuilding_from_audio_gives_the_embedded_corpus(rebuilt):
    embedded = corpus.load("gtzan-mini")
    pd.testing.assert_frame_equal(rebuilt.tracks, embedded.tracks)
    assert list(rebuilt.features) == list(embedded.features) == list(features.COLUMNS)
    assert embedded.feature_version == features.VERSION
    assert embedded.parameters == features.PARAMETERS
    # Other processors add up in another order: a thousandth of a column's spread, and two steps of 16-bit decibels.
    spread = embedded.features.std()
    assert ((rebuilt.features - embedded.features).abs() <= 1e-3 * spread).all(axis=None)
    assert np.abs(rebuilt.log_mel - embedded.log_mel).max() < 0.13


# Right on signals whose features are known


def test_a_sine_is_heard_as_what_it_is():
    frames = frame_features(sine(440.0))
    inside = slice(4, -4)  # the ends are mirrored, which breaks a sine
    assert frames.spectral_centroid[inside] == pytest.approx(440, rel=0.005)
    assert frames.rolloff[inside] == pytest.approx(440, abs=2 * SAMPLE_RATE / features.N_FFT)
    assert frames.rms[inside] == pytest.approx(0.5 / np.sqrt(2), rel=5e-3)
    assert frames.zero_crossing_rate[inside] == pytest.approx(2 * 440 / SAMPLE_RATE, rel=0.03)
    assert frames.spectral_bandwidth[inside].max() < 100
    assert frames.flatness[inside].max() < 1e-6
    assert frames.onset_strength[inside].max() < 0.1


@pytest.mark.parametrize(("semitone", "name"), list(enumerate(features.PITCH_CLASSES)))
def test_chroma_names_the_pitch_class(semitone, name):
    summary, _ = extract(sine(261.6256 * 2 ** (semitone / 12)))
    chroma = summary[[f"chroma_{other}_mean" for other in features.PITCH_CLASSES]]
    assert chroma.idxmax() == f"chroma_{name}_mean"
    assert chroma.max() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("cents", [-40, 0, 30])
def test_an_orchestra_tuned_differently_keeps_its_pitch_classes(cents):
    frames = frame_features(sum(sine(440 * 2 ** ((step + cents / 100) / 12), amplitude=0.2) for step in (0, 4, 7)))
    assert frames.tuning == pytest.approx(cents / 100, abs=0.05)
    strongest = np.argsort(frames.chroma.mean(axis=0))[-3:]
    assert {features.PITCH_CLASSES[i] for i in strongest} == {"A", "Cs", "E"}


def test_white_noise_is_flat_and_centred():
    summary, _ = extract(noise())
    assert summary["flatness_mean"] == pytest.approx(np.exp(-np.euler_gamma), rel=0.02)  # of exponential variables
    assert summary["spectral_centroid_mean"] == pytest.approx(SAMPLE_RATE / 4, rel=0.02)
    assert summary["rolloff_mean"] == pytest.approx(features.ROLL_PERCENT * SAMPLE_RATE / 2, rel=0.02)
    assert summary["rms_mean"] == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("bpm", [80, 100, 120, 140])
def test_a_click_track_has_its_tempo(bpm):
    lag = 60 * SAMPLE_RATE / features.HOP_LENGTH / bpm  # tempi are known to the nearest whole frame
    assert extract(clicks(bpm))[0]["tempo"] == pytest.approx(bpm, rel=0.6 / lag)


def test_loudness_changes_energy_and_nothing_else():
    quiet, quiet_image = extract(bench.clip(6.0))
    loud, loud_image = extract(2 * bench.clip(6.0))
    assert loud["rms_mean"] == pytest.approx(2 * quiet["rms_mean"])
    assert loud["mel5_mean"] == pytest.approx(4 * quiet["mel5_mean"], rel=1e-4)
    same = [c for c in features.COLUMNS if c.startswith(("spectral", "rolloff", "chroma", "zero", "mfcc2_", "tempo"))]
    np.testing.assert_allclose(loud[same], quiet[same], rtol=1e-3)
    np.testing.assert_allclose(loud_image, quiet_image, atol=1e-3)


def test_silence_within_a_track_leaves_every_feature_finite():
    summary, image = extract(half_silent())
    assert np.isfinite(summary).all()
    assert np.isfinite(image).all()


def test_the_image_shows_what_sounds_where():
    y = sine(3000.0, seconds=4.0)
    y[: len(y) // 2] = 1e-6 * noise(2.0)
    _, image = extract(y)
    assert image.shape == (features.IMAGE_MELS, features.IMAGE_FRAMES)
    assert image.dtype == np.float32
    assert image.max() == 0
    assert image.min() == -features.DYNAMIC_RANGE
    assert (image[:, : features.IMAGE_FRAMES // 2 - 2] == -features.DYNAMIC_RANGE).all()
    filters = (
        features.mel_filters().reshape(-1, features.IMAGE_MELS, features.N_MELS // features.IMAGE_MELS).sum(axis=2)
    )
    band = filters[round(3000 / SAMPLE_RATE * features.N_FFT)].argmax()
    assert (image[:, features.IMAGE_FRAMES // 2 + 2 :].argmax(axis=0) == band).all()


def test_a_short_track_fills_the_whole_image():
    _, image = extract(bench.clip(1.0))  # 44 frames for 128 columns
    assert image.shape == (features.IMAGE_MELS, features.IMAGE_FRAMES)
    assert (image.max(axis=0) > -features.DYNAMIC_RANGE).all()


def test_extract_leaves_the_signal_alone():
    y = bench.clip(2.0)
    before = y.copy()
    extract(y)
    np.testing.assert_array_equal(y, before)


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (noise()[: SAMPLE_RATE // 2], {}, "y: 0.50 s long"),
        (np.zeros(SAMPLE_RATE * 2), {}, "y: is silent"),
        (np.full(SAMPLE_RATE * 2, 0.3), {}, "y: is silent"),
        (np.where(np.arange(SAMPLE_RATE * 2) == 7, np.nan, noise(2.0)), {}, "y: holds 1 samples that are NaN"),
        (np.stack([noise(), noise()]), {}, "y: must be one channel, got shape"),
        (noise(), {"sample_rate": 8000}, "sample_rate must be a whole number from 16000 to 48000, got 8000"),
        (noise(), {"pad_mode": "wrap"}, "pad_mode must be one of reflect, constant, got 'wrap'"),
    ],
)
def test_a_signal_that_cannot_be_used_is_named(y, options, message):
    with pytest.raises(ParameterError, match=message):
        extract(y, **options)


# Reading files


@pytest.fixture
def write(tmp_path):
    """Write a signal as a file and return its path."""

    def writer(name, y=None, sample_rate=SAMPLE_RATE, **options):
        path = tmp_path / name
        soundfile.write(path, bench.clip(3.0) if y is None else y, sample_rate, **options)
        return path

    return writer


@pytest.mark.parametrize("name", ["song.wav", "song.flac", "song.ogg", "song.mp3"])
def test_every_format_is_read(write, name):
    y = load_audio(write(name))
    assert y.dtype == np.float32
    assert len(y) == pytest.approx(3 * SAMPLE_RATE, rel=0.05)  # MP3 pads
    assert np.corrcoef(y[: 3 * SAMPLE_RATE], bench.clip(3.0))[0, 1] > 0.98 or name == "song.mp3"


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
    float_nan = bench.clip(3.0)
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
        (write("short.wav", bench.clip(0.8)), "0.80 s long, at least 1 s is needed"),
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


# Many files


def test_a_bad_file_is_reported_and_the_others_go_on(write, tmp_path):
    paths = [write("b.wav"), tmp_path / "missing.wav", write("a.flac", noise()), write("silent.wav", np.zeros(50_000))]
    table, images, report = extract_many(paths, ids=["b", "missing", "a", "silent"], progress=False)
    assert table.index.tolist() == ["b", "a"]
    assert table.index.name == report.index.name == "track_id"
    assert images.shape == (2, features.IMAGE_MELS, features.IMAGE_FRAMES)
    assert report.index.tolist() == ["missing", "silent"]
    assert "no such file" in report.loc["missing", "reason"]
    assert report.loc["silent", "path"] == str(paths[3])
    np.testing.assert_array_equal(table.loc["a"], extract(load_audio(paths[2]))[0])


def test_two_workers_give_the_same_as_one(write):
    paths = [write(f"{i}.wav", bench.clip(2.0, seed=i)) for i in range(5)]
    ids = [str(i) for i in range(5)]
    one = extract_many(paths, ids=ids, progress=False)
    two = extract_many(paths, ids=ids, workers=2, progress=False)
    pd.testing.assert_frame_equal(one[0], two[0], check_exact=True)
    np.testing.assert_array_equal(one[1], two[1])


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ([], {"ids": []}, "paths must name at least one"),
        (["a.wav"], {"ids": ["a", "b"]}, "ids must have 1 entries, one per path, got 2"),
        (["a.wav", "b.wav"], {"ids": ["a", "a"]}, "ids must be unique, 'a' comes more than once"),
        (["a.wav"], {"ids": ["a"], "workers": 0}, "workers must be a whole number of at least 1, got 0"),
        (
            ["a.wav", "b.wav"],
            {"ids": ["a", "b"]},
            "none of the 2 audio files could be used; the first: .*no such",
        ),
    ],
)
def test_extract_many_refuses(tmp_path, names, options, message):
    with pytest.raises(ParameterError, match=message):
        extract_many([tmp_path / name for name in names], progress=False, **options)


def test_extraction_compiles_nothing(write):
    # Two processes that compile the same functions at once can leave a cache that crashes every later run.
    script = (
        "import sys; from vae_lib import features;"
        f"features.extract(features.load_audio({str(write('a.wav', sample_rate=44_100))!r}));"
        "print(sorted({'librosa', 'numba', 'llvmlite', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Names


def test_every_column_is_described_once():
    by_column = features.describe(by="column")
    assert tuple(by_column.index) == features.COLUMNS
    assert by_column.index.is_unique
    assert set(by_column["group"]) == {"spectral", "timbre", "harmony", "temporal", "energy"}
    assert (by_column[["unit", "hears", "librosa"]] != "").all(axis=None)
    families = features.describe()
    assert ", ".join(families["columns"]).split(", ") == list(features.COLUMNS)
    with pytest.raises(ParameterError, match="by must be one of family, column, got 'row'"):
        features.describe(by="row")


def test_described_functions_exist_in_librosa():
    import librosa

    for name in features.describe()["librosa"]:
        module, function = name.split(".")
        assert callable(getattr(getattr(librosa, module), function))


def test_named_sets_of_columns():
    assert len(features.PUBLIC_COLUMNS) == 53
    assert len(features.ORIGINAL_COLUMNS) == 50
    assert set(features.ORIGINAL_COLUMNS) | set(features.PUBLIC_COLUMNS) <= set(features.COLUMNS)
    assert len(set(features.COLUMNS)) == len(features.COLUMNS)


def test_the_examples_of_the_documentation_are_true():
    ran = doctest.testmod(features)
    assert ran.attempted > 0
    assert ran.failed == 0
