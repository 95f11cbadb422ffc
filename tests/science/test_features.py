"""Features: equal to librosa and to the public table, right on signals whose features are known."""

import librosa
import numpy as np
import pandas as pd
import pytest
import soxr
from conftest import load_script
from sklearn.preprocessing import PowerTransformer

from vae_lib import corpus, features
from vae_lib.checks import ParameterError
from vae_lib.features import SAMPLE_RATE, extract, frame_features

bench = load_script("benchmarks/features.py")
rebuild = load_script("data/rebuild.py")


def sine(frequency, *, seconds=3.0, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE)


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


# Equal to librosa, to what others published, and to what is embedded


@pytest.mark.parametrize(
    ("y", "options"),
    [
        (soxr.resample(bench.clip(8.0), 44_100, SAMPLE_RATE), {}),
        (bench.clip(6.0), {"pad_mode": "constant"}),
        (noise(), {}),
        (clicks(100, seconds=8.0), {"pad_mode": "constant"}),
        (half_silent(), {}),
        (noise(1.0), {}),
        (bench.clip(6.0), {"sample_rate": 44_100}),
        (bench.clip(6.0), {"sample_rate": 16_000, "pad_mode": "constant"}),
    ],
    ids=["resampled", "chords", "noise", "clicks", "half silent", "one second", "44.1 kHz", "16 kHz"],
)
@pytest.mark.filterwarnings("ignore:Empty filters detected")
def test_summary_equals_librosa_on_synthetic_signals(y, options):
    ours, _ = extract(y, **options)
    usual = bench.usual(y.astype(np.float32), **{"pad_mode": "reflect"} | options)
    # 1e-3 relative; the absolute part is for means of decibels and their changes, which may lie at zero.
    np.testing.assert_allclose(ours, pd.Series(usual)[ours.index], rtol=1e-3, atol=1e-4)
    assert ours["tempo"] == usual["tempo"]


def test_the_hot_spots_equal_librosa_frame_by_frame():
    y = bench.clip(6.0)
    ours = frame_features(y, pad_mode="constant")
    for name, usual in {
        "rms": librosa.feature.rms(y=y),
        "spectral_centroid": librosa.feature.spectral_centroid(y=y),
        "spectral_bandwidth": librosa.feature.spectral_bandwidth(y=y),
        "rolloff": librosa.feature.spectral_rolloff(y=y),
        "zero_crossing_rate": librosa.feature.zero_crossing_rate(y),
        "chroma": librosa.feature.chroma_stft(y=y),
    }.items():
        np.testing.assert_allclose(np.atleast_2d(getattr(ours, name)), usual, rtol=1e-3, atol=1e-4, err_msg=name)
    assert ours.tuning == pytest.approx(librosa.estimate_tuning(S=np.abs(librosa.stft(y)) ** 2))


@pytest.fixture(scope="module")
def rebuilt(data_home, tmp_path_factory):
    """All 100 tracks computed from their audio, by the command that makes the embedded corpus."""
    folder = tmp_path_factory.mktemp("rebuilt") / "gtzan_mini"
    assert rebuild.main(["gtzan-mini", "--data-home", str(data_home), "--output", str(folder), "--workers", "2"]) == 0
    return corpus.read(folder)


def test_features_agree_with_the_public_table(rebuilt, data_home):
    public = pd.read_csv(data_home / "gtzan" / "features_30_sec.csv")
    others = ("length", "label", "filename", "harmony", "perceptr")
    assert tuple(column for column in public if not column.startswith(others)) == features.PUBLIC_COLUMNS
    public.index = public["filename"].str.removesuffix(".wav")
    public = public.loc[rebuilt.tracks.index, list(features.PUBLIC_COLUMNS)]
    ours = rebuilt.features[list(features.PUBLIC_COLUMNS)]
    assert len(ours) == 100
    assert (ours["tempo"] == public["tempo"].astype("float32").astype(float)).all()
    difference = (ours - public).abs() / public.abs()
    assert (difference.median() < 1e-5).all(), difference.median().idxmax()  # measured 4e-7
    assert (difference.max() < 1e-3).all(), difference.max().idxmax()  # measured 7e-5, the mean of an MFCC near zero


def test_rebuilding_from_audio_gives_the_embedded_corpus(rebuilt):
    embedded = corpus.load("gtzan-mini")
    pd.testing.assert_frame_equal(rebuilt.tracks, embedded.tracks)
    assert list(rebuilt.features) == list(embedded.features) == list(features.COLUMNS)
    assert embedded.feature_version == features.VERSION
    assert {name: embedded.parameters[name] for name in features.PARAMETERS} == features.PARAMETERS
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


@pytest.mark.parametrize("cents", [-40, 0, 30])
def test_an_orchestra_tuned_differently_keeps_its_pitch_classes(cents):
    frames = frame_features(sum(sine(440 * 2 ** ((step + cents / 100) / 12), amplitude=0.2) for step in (0, 4, 7)))
    assert frames.tuning == pytest.approx(cents / 100, abs=0.05)
    strongest = np.argsort(frames.chroma.mean(axis=1))[-3:]
    assert {features.PITCH_CLASSES[i] for i in strongest} == {"A", "Cs", "E"}


def test_white_noise_is_flat_and_centred():
    summary, _ = extract(noise())
    assert summary["flatness_mean"] == pytest.approx(np.exp(-np.euler_gamma), rel=0.02)  # of exponential variables
    assert summary["spectral_centroid_mean"] == pytest.approx(SAMPLE_RATE / 4, rel=0.02)
    assert summary["rolloff_mean"] == pytest.approx(0.85 * SAMPLE_RATE / 2, rel=0.02)
    assert summary["rms_mean"] == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("bpm", [80, 140])
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


def test_the_image_shows_what_sounds_where():
    y = sine(3000.0, seconds=4.0)
    y[: len(y) // 2] = 1e-6 * noise(2.0)
    _, image = extract(y)
    assert image.shape == (64, 128)
    assert image.dtype == np.float32
    assert (image.max(), image.min()) == (0, -80)
    assert (image[:, :62] == -80).all()
    filters = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=features.N_FFT).reshape(64, 2, -1).sum(axis=1)
    band = filters[:, round(3000 / SAMPLE_RATE * features.N_FFT)].argmax()
    assert (image[:, 66:].argmax(axis=0) == band).all()
    _, short = extract(bench.clip(1.0))  # 44 frames for 128 columns
    assert short.shape == (64, 128)
    assert (short.max(axis=0) > -80).all()


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (noise()[: SAMPLE_RATE // 2], {}, "y: 0.50 s long"),
        (np.full(SAMPLE_RATE * 2, 0.3), {}, "y: is silent"),
        (np.where(np.arange(SAMPLE_RATE * 2) == 7, np.nan, noise(2.0)), {}, "y: holds 1 samples that are NaN"),
        (1e18 * bench.clip(2.0), {}, r"y: features are not finite, samples reach \d\.?\d*e\+1\d where full scale is 1"),
        (np.stack([noise(), noise()]), {}, "y: must be one channel, got shape"),
        (noise(), {"sample_rate": 8000}, "sample_rate must be a whole number from 16000 to 48000, got 8000"),
        (noise(), {"pad_mode": "wrap"}, "pad_mode must be one of reflect, constant, got 'wrap'"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_signal_that_cannot_be_used_is_named(y, options, message):
    with pytest.raises(ParameterError, match=message):
        extract(y, **options)


def test_the_loudest_signal_that_is_not_refused_has_finite_features():
    for exponent in range(10, 19):
        try:
            summary, image = extract(10.0**exponent * bench.clip(1.0))
        except ParameterError:
            break
        assert np.isfinite(summary).all()
        assert np.isfinite(image).all()
    assert 12 < exponent < 19


# Columns and tables


def test_every_column_is_described_once_by_a_function_of_librosa():
    by_column = features.describe(by="column")
    assert tuple(by_column.index) == features.COLUMNS
    assert by_column.index.is_unique
    assert set(by_column["group"]) == {"spectral", "timbre", "harmony", "temporal", "energy"}
    families = features.describe()
    assert ", ".join(families["columns"]).split(", ") == list(features.COLUMNS)
    for name in families["librosa"]:
        module, function = name.split(".")
        assert callable(getattr(getattr(librosa, module), function))
    assert (len(features.PUBLIC_COLUMNS), len(features.ORIGINAL_COLUMNS)) == (53, 50)
    assert set(features.ORIGINAL_COLUMNS) <= set(features.COLUMNS)


def test_tables_are_standardised_and_gaussianised_over_the_public_columns():
    music = corpus.load("gtzan-mini")
    for make in (features.standardised, features.gaussianised):
        x = make(music)
        assert x.shape == (100, 53)
        np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(x.std(axis=0), 1)
    wanted = ["rms_var", "tempo"]
    plain, normal = (make(music, columns=wanted) for make in (features.standardised, features.gaussianised))
    np.testing.assert_allclose(normal, PowerTransformer().fit_transform(music.features[wanted]))
    skew = [abs((x[:, 0] ** 3).mean()) for x in (plain, normal)]
    assert skew[1] < 0.5 < 1 < skew[0]
    with pytest.raises(ParameterError, match="columns must be features of corpus gtzan-mini, which has no 'loudness'"):
        features.standardised(music, columns=["loudness"])
    with pytest.raises(ParameterError, match="corpus lyrics-bn-en has no features"):
        features.gaussianised(corpus.load("lyrics-bn-en"))


def test_the_outlier_is_found_by_the_column_in_which_it_stands_out():
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 3)), columns=list("abc"))
    table["constant"] = 1.0
    table.loc[7, "b"] = -40.0
    found = features.outliers(table, top=2)
    assert len(found) == 2
    assert found.index[0] == 7
    assert (found.loc[7, "beyond"], found.loc[7, "column"]) == (1, "b")
    assert found.loc[7, "distance"] < -20
