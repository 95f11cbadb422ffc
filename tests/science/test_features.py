"""Features: equal to librosa and to the public table, right on signals whose features are known."""

import numpy as np
import pandas as pd
import pytest
import soxr
from conftest import load_script
from vae_lib.frames import (
    DYNAMIC_RANGE,
    HOP_LENGTH,
    N_FFT,
    N_MELS,
    PAD_MODES,
    ROLL_PERCENT,
    chroma_filters,
    mel_filters,
)

from vae_lib import corpus, features, frames
from vae_lib.checks import ParameterError
from vae_lib.features import SAMPLE_RATE, extract, frame_features, load_audio, summarise, summarise_segments

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


@pytest.mark.parametrize("pad_mode", PAD_MODES)
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


@pytest.mark.parametrize("pad_mode", PAD_MODES)
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

    mel = librosa.filters.mel(sr=sample_rate, n_fft=N_FFT).T
    np.testing.assert_allclose(mel_filters(sample_rate), mel, atol=1e-7)
    for tuning in (0.0, -0.5, 0.37):
        chroma = librosa.filters.chroma(sr=sample_rate, n_fft=N_FFT, tuning=tuning).T
        np.testing.assert_allclose(chroma_filters(sample_rate, tuning), chroma, atol=1e-6)


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
    assert (ours["tempo"] == public["tempo"].astype("float32")).all()  # as it is stored
    difference = (ours - public).abs() / public.abs()
    assert (difference.median() < 1e-5).all(), difference.median().idxmax()
    # The widest is the mean of a high MFCC near zero; measured 8e-5.
    assert (difference.max() < 1e-3).all(), difference.max().idxmax()


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
    assert frames.rolloff[inside] == pytest.approx(440, abs=2 * SAMPLE_RATE / N_FFT)
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
    assert summary["rolloff_mean"] == pytest.approx(ROLL_PERCENT * SAMPLE_RATE / 2, rel=0.02)
    assert summary["rms_mean"] == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("bpm", [80, 100, 120, 140])
def test_a_click_track_has_its_tempo(bpm):
    lag = 60 * SAMPLE_RATE / HOP_LENGTH / bpm  # tempi are known to the nearest whole frame
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
    assert image.min() == -DYNAMIC_RANGE
    assert (image[:, : features.IMAGE_FRAMES // 2 - 2] == -DYNAMIC_RANGE).all()
    filters = mel_filters().reshape(-1, features.IMAGE_MELS, N_MELS // features.IMAGE_MELS).sum(axis=2)
    band = filters[round(3000 / SAMPLE_RATE * N_FFT)].argmax()
    assert (image[:, features.IMAGE_FRAMES // 2 + 2 :].argmax(axis=0) == band).all()


def test_a_short_track_fills_the_whole_image():
    _, image = extract(bench.clip(1.0))  # 44 frames for 128 columns
    assert image.shape == (features.IMAGE_MELS, features.IMAGE_FRAMES)
    assert (image.max(axis=0) > -DYNAMIC_RANGE).all()


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


# Segments


def test_each_segment_tells_of_its_own_stretch():
    y = np.concatenate([sine(440.0 * 2**octave, seconds=1.0) for octave in range(5)])
    segments = summarise_segments(frame_features(y), segments=5)
    assert list(segments) == list(features.COLUMNS)
    # The frames at the seams hear both sides.
    assert segments["spectral_centroid_mean"].to_numpy() == pytest.approx(440 * 2.0 ** np.arange(5), rel=0.1)
    assert (segments["tempo"] == segments["tempo"][0]).all()


@pytest.mark.parametrize("segments", [1, 3, 10])
def test_segments_are_the_track_in_pieces(segments):
    frames = frame_features(bench.clip(7.0))
    pieces, whole = summarise_segments(frames, segments=segments), summarise(frames)
    lengths = np.diff(np.arange(segments + 1) * len(frames.rms) // segments)
    assert lengths.max() - lengths.min() <= 1
    means = [column for column in features.COLUMNS if column.endswith("_mean")]
    np.testing.assert_allclose(np.average(pieces[means], axis=0, weights=lengths), whole[means], rtol=1e-9, atol=1e-12)
    # The variance of the whole is that within the pieces and that between them.
    within = np.average(pieces["rms_var"], weights=lengths)
    between = np.average((pieces["rms_mean"] - whole["rms_mean"]) ** 2, weights=lengths)
    assert within + between == pytest.approx(whole["rms_var"])


def test_segments_that_cannot_be_are_refused():
    frames = frame_features(bench.clip(1.0))
    assert np.isfinite(summarise_segments(frames, segments=44)).all(axis=None)
    with pytest.raises(ParameterError, match="its 44 frames cannot be cut into 45 segments, ask for at most 44"):
        summarise_segments(frames, segments=45)
    with pytest.raises(ParameterError, match="segments must be a whole number of at least 1, got 0"):
        summarise_segments(frames, segments=0)


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


# Tracks that lie far from the others


def test_the_outlier_is_found_by_the_column_in_which_it_stands_out():
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 3)), columns=list("abc"))
    table["constant"] = 1.0
    table.loc[7, "b"] = -40.0
    found = features.outliers(table, top=2)
    assert len(found) == 2
    assert found.index[0] == 7
    assert (found.loc[7, "beyond"], found.loc[7, "column"]) == (1, "b")
    assert found.loc[7, "distance"] < -20


def test_frames_are_read_back_as_they_were_and_a_damaged_file_is_named(tmp_path):
    y = np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050)
    found, path = features.frame_features(y), tmp_path / "example.npz"
    frames.write(found, path)
    for before, after in zip(found, frames.read(path), strict=True):
        np.testing.assert_array_equal(before, after)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ParameterError, match=r"example\.npz does not hold the frames of a track"):
        frames.read(path)
