"""Corpora: the embedded one is what it says, and a folder that is not in order is refused with the reason."""

import doctest
import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import ROOT, load_script

from vae_lib import corpus
from vae_lib.checks import ParameterError
from vae_lib.corpus import FACTS, FEATURES, INDEX, LOG_MEL, Corpus
from vae_lib.features import SAMPLE_RATE

bench = load_script("benchmarks/features.py")
rebuild = load_script("data/rebuild.py")


@pytest.fixture
def folder(small_corpus, tmp_path):
    corpus.save(small_corpus, tmp_path / "small")
    return tmp_path / "small"


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# One contract for every corpus that can be loaded


@pytest.mark.parametrize("name", corpus.names())
def test_every_corpus_keeps_the_contract(name):
    loaded = corpus.load(name)
    assert loaded.name == name
    assert len(loaded) == len(loaded.tracks) == len(loaded.features) == len(loaded.log_mel)
    assert loaded.tracks.index.is_unique
    assert loaded.tracks.index.is_monotonic_increasing
    assert loaded.features.index.equals(loaded.tracks.index)
    assert isinstance(loaded.tracks["genre"].dtype, pd.CategoricalDtype)
    assert loaded.tracks["genre"].notna().all()
    assert np.isfinite(loaded.features).all(axis=None)
    assert loaded.features.std().min() > 0, "a column that never changes"
    assert np.isfinite(loaded.log_mel).all()
    assert loaded.source.endswith(".")
    assert loaded.licence.endswith(".")
    assert loaded.hash == corpus.load(name).hash
    assert name in repr(loaded)


def test_gtzan_mini_is_ten_tracks_of_ten_genres():
    mini = corpus.load("gtzan-mini")
    assert mini.tracks["genre"].value_counts().tolist() == [10] * 10
    assert mini.tracks.index[0] == "blues.00000"
    assert (mini.tracks.index.str.split(".").str[0] == mini.tracks["genre"].astype(str)).all()
    assert mini.tracks["sha256"].str.fullmatch("[0-9a-f]{64}").all()
    assert mini.tracks["sha256"].is_unique
    assert mini.log_mel.max() == 0
    assert mini.log_mel.min() == -80


def test_gtzan_mini_says_who_plays_and_where_nobody_knows():
    tracks = corpus.load("gtzan-mini").tracks
    assert (tracks.loc[tracks["genre"] == "blues", "artist"] == "John Lee Hooker").all()
    unknown = tracks.index[tracks["artist"].isna()]
    assert len(unknown) == 4
    assert set(tracks.loc[unknown, "genre"]) == {"country", "metal"}


def test_gtzan_mini_has_the_published_sums(data_home):
    published = pd.read_csv(data_home / "gtzan" / "wav_sha256.csv").set_index("file")["sha256"]
    tracks = corpus.load("gtzan-mini").tracks
    assert tracks["sha256"].tolist() == published[tracks.index + ".wav"].tolist()
    assert all((data_home / path).is_file() for path in tracks["audio"])


def test_what_is_embedded_is_small_and_holds_no_audio():
    embedded = [path for path in (ROOT / "data" / "gtzan_mini").rglob("*") if path.is_file()]
    assert {path.name for path in embedded} == {FACTS, INDEX, FEATURES, LOG_MEL}
    assert sum(path.stat().st_size for path in embedded) < 4e6


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ParameterError, match="name must be one of gtzan-mini, got 'gtzan_mini'"):
        corpus.load("gtzan_mini")


# Saving and reading


def test_what_was_saved_is_read(small_corpus, folder):
    again = corpus.read(folder)
    pd.testing.assert_frame_equal(again.tracks, small_corpus.tracks)
    pd.testing.assert_frame_equal(again.features, small_corpus.features, check_exact=True)
    np.testing.assert_array_equal(again.log_mel, small_corpus.log_mel)
    assert (again.name, again.source, again.licence) == (small_corpus.name, small_corpus.source, small_corpus.licence)
    assert (again.feature_version, again.parameters) == (3, {"n_mels": 4})
    assert again.hash == small_corpus.hash


def test_unknown_artists_stay_unknown_and_an_artist_called_na_does_not_become_one(folder):
    tracks = corpus.read(folder).tracks
    assert tracks["artist"].isna().tolist() == [True] + [False] * 11
    assert tracks["artist"].iloc[1] == "NA"


def test_the_images_survive_the_16_bits_they_are_stored_in(small_corpus, tmp_path):
    fine = replace(small_corpus, log_mel=small_corpus.log_mel + np.float32(0.01))
    corpus.save(fine, tmp_path / "fine")
    again = corpus.read(tmp_path / "fine")
    assert again.hash == fine.hash
    assert np.abs(again.log_mel - fine.log_mel).max() <= 0.0313
    assert again.log_mel.dtype == np.float32


def test_the_hash_follows_the_content_and_nothing_else(small_corpus):
    tracks, features, log_mel = small_corpus.tracks, small_corpus.features, small_corpus.log_mel
    same = [
        replace(small_corpus, source="Elsewhere."),
        replace(small_corpus, tracks=tracks.assign(artist="somebody else")),
    ]
    assert {other.hash for other in same} == {small_corpus.hash}
    genres = tracks["genre"].tolist()
    changed = [
        replace(small_corpus, features=features + 1e-9),
        replace(small_corpus, features=features.rename(columns={"a": "A"})),
        replace(small_corpus, log_mel=log_mel[::-1]),
        replace(small_corpus, tracks=tracks.assign(genre=pd.Categorical([genres[-1], *genres[1:]]))),
        replace(small_corpus, tracks=tracks.iloc[:6], features=features.iloc[:6], log_mel=log_mel[:6]),
    ]
    assert len({other.hash for other in [small_corpus, *changed]}) == 1 + len(changed)


def test_saving_replaces_the_old_corpus_alone(small_corpus, folder):
    other = replace(small_corpus, name="other")
    corpus.save(other, folder)
    assert corpus.read(folder).name == "other"
    assert [path.name for path in folder.parent.iterdir()] == ["small"]


@pytest.mark.parametrize("broken", ["numpy.save", "pathlib.Path.rename"])
def test_a_failed_save_loses_nothing(small_corpus, folder, monkeypatch, broken):
    before = files(folder)

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(broken, fail)
        with pytest.raises(ParameterError, match=r"cannot write .*small: No space left on device"):
            corpus.save(replace(small_corpus, name="other"), folder)
    assert files(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["small"]


def test_a_failed_swap_puts_the_old_corpus_back(small_corpus, folder, monkeypatch):
    before, rename = files(folder), type(folder).rename

    def fail_for_the_new(path, target):
        if path.name == "new":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(type(folder), "rename", fail_for_the_new)
        with pytest.raises(ParameterError, match="Input/output error"):
            corpus.save(replace(small_corpus, name="other"), folder)
    assert files(folder) == before


def test_a_folder_with_other_files_is_not_replaced(small_corpus, tmp_path):
    (tmp_path / "thesis.docx").write_text("all my work")
    with pytest.raises(ParameterError, match=r"holds thesis\.docx"):
        corpus.save(small_corpus, tmp_path)
    assert (tmp_path / "thesis.docx").read_text() == "all my work"


def test_a_folder_that_cannot_be_written_is_named(small_corpus, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ParameterError, match=r"cannot write .*file/small: .*give a folder you may write to"):
        corpus.save(small_corpus, tmp_path / "file" / "small")


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def set_cell(path, row, column, value):
    table = pd.read_csv(path, dtype=str)
    table.loc[row, column] = value
    table.to_csv(path, index=False)


def change_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def resave(path, change):
    np.save(path, change(np.load(path)))


DAMAGES = {
    "missing facts": (FACTS, lambda p: p.unlink(), "no such file"),
    "missing index": (INDEX, lambda p: p.unlink(), "no such file"),
    "missing features": (FEATURES, lambda p: p.unlink(), "no such file"),
    "missing images": (LOG_MEL, lambda p: p.unlink(), "no such file"),
    "facts are no JSON": (FACTS, lambda p: p.write_text('{"name": '), "cannot be read as JSON"),
    "facts without a source": (FACTS, lambda p: change_json(p, source=None), "source must be of type str, got None"),
    "a later format": (FACTS, lambda p: change_json(p, format=99), "format must be 1 .* got 99"),
    "a label without column": (FACTS, lambda p: change_json(p, labels=["mood"]), "no column mood"),
    "an empty table": (FEATURES, lambda p: p.write_text(""), "cannot be read as a table"),
    "a binary table": (INDEX, lambda p: p.write_bytes(b"\xff\xfe\x00\x81" * 99), "cannot be read as a table"),
    "no ids": (FEATURES, lambda p: edit(p, "track_id", "id"), "must have a column track_id"),
    "an id twice": (INDEX, lambda p: set_cell(p, 1, "track_id", "blues.0"), "'blues.0' comes more"),
    "ids out of order": (INDEX, lambda p: set_cell(p, 0, "track_id", "zydeco.0"), "must be sorted by track_id"),
    "a track without id": (INDEX, lambda p: set_cell(p, 0, "track_id", None), "index of strings called track_id"),
    "a track without genre": (INDEX, lambda p: set_cell(p, 5, "genre", None), "'jazz.1' has none"),
    "NaN": (FEATURES, lambda p: set_cell(p, 2, "c", None), "must be finite: 1 value.* row 2, column 'c'"),
    "infinity": (FEATURES, lambda p: set_cell(p, 2, "c", "inf"), "must be finite: 1 value.* row 2, column 'c'"),
    "a word": (FEATURES, lambda p: set_cell(p, 2, "c", "loud"), "must hold numbers only: .*loud"),
    "another track": (
        FEATURES,
        lambda p: set_cell(p, 0, "track_id", "a"),
        "row 0 is 'a', the track there is 'blues.0'",
    ),
    "a row less": (
        FEATURES,
        lambda p: p.write_text("\n".join(p.read_text().split("\n")[:-2])),
        "11 rows for 12 tracks",
    ),
    "an image less": (LOG_MEL, lambda p: resave(p, lambda images: images[1:]), "11 images for 12 tracks"),
    "flat images": (LOG_MEL, lambda p: resave(p, lambda images: images[0]), r"got float16 of shape \(4, 6\)"),
    "NaN in an image": (LOG_MEL, lambda p: resave(p, lambda images: images * np.nan), "12 image.* first in row 0"),
    "half an array": (LOG_MEL, lambda p: p.write_bytes(p.read_bytes()[:300]), "cannot be read as an array"),
    "pickled objects": (
        LOG_MEL,
        lambda p: np.save(p, np.array([{}] * 12), allow_pickle=True),
        "cannot be read as an array",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_and_the_file_named(folder, damage):
    name, change, message = DAMAGES[damage]
    change(folder / name)
    with pytest.raises(ParameterError, match=message) as caught:
        corpus.read(folder)
    assert str(folder / name) in str(caught.value) or damage == "a label without column"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (LOG_MEL, lambda p: resave(p, lambda images: images[::-1])),
        (FEATURES, lambda p: set_cell(p, 3, "a", "0.5")),
        (INDEX, lambda p: set_cell(p, 3, "genre", "jazz")),
    ],
    ids=["images in another order", "an edited value", "an edited label"],
)
def test_files_that_do_not_belong_together_are_noticed(folder, name, change):
    change(folder / name)
    with pytest.raises(ParameterError, match=f"are not those that {FACTS} was written with"):
        corpus.read(folder)


def test_a_corpus_of_tables_that_do_not_fit_cannot_be_made(small_corpus):
    with pytest.raises(ParameterError, match="features must have one row per track, in their order: 11 rows for 12"):
        replace(small_corpus, features=small_corpus.features.iloc[1:])
    with pytest.raises(ParameterError, match=r"row 0 is 'pop\.3', the track there is 'blues\.0'"):
        replace(small_corpus, features=small_corpus.features.iloc[::-1])
    with pytest.raises(ParameterError, match="tracks must have a column genre of categories"):
        replace(small_corpus, tracks=small_corpus.tracks.astype({"genre": str}))
    with pytest.raises(ParameterError, match="log_mel must be an array of floats"):
        replace(small_corpus, log_mel=small_corpus.log_mel.astype(int))
    with pytest.raises(ParameterError, match="tracks must have at least one track"):
        replace(small_corpus, tracks=small_corpus.tracks.iloc[:0])


# The command that builds the embedded corpus


@pytest.fixture
def home(tmp_path):
    """A data folder like the real one, with four short tracks of two genres; one artist and one title are unknown."""
    home = tmp_path / "home"
    ids = [f"{genre}.0000{i}" for genre in ("blues", "rock") for i in range(2)]
    sums = []
    for seed, track_id in enumerate(ids):
        path = home / "gtzan_mini" / "genres" / track_id.split(".")[0] / f"{track_id}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, bench.clip(2.0, seed=seed), SAMPLE_RATE, subtype="PCM_16")
        sums.append((f"{track_id}.wav", rebuild.wav_sha256(path), 0))
    (home / "gtzan").mkdir()
    pd.DataFrame(sums, columns=["file", "sha256", "bytes"]).to_csv(home / "gtzan" / "wav_sha256.csv", index=False)
    lines = ["## by nobody", *(f"{track_id}.wav ::: Ann & Co ::: Song, {track_id}" for track_id in ids)]
    lines[2] = "blues.00001.wav :::  ::: "
    (home / "gtzan" / "artist_title_index.txt").write_text("\n".join(lines) + "\n")
    return home


def run(home, output, *more):
    return rebuild.main(["gtzan-mini", "--data-home", str(home), "--output", str(output), "--workers", "1", *more])


def test_rebuild_writes_a_corpus_with_the_facts(home, tmp_path):
    assert run(home, tmp_path / "out") == 0
    built = corpus.read(tmp_path / "out")
    assert isinstance(built, Corpus)
    assert built.tracks.index.tolist() == ["blues.00000", "blues.00001", "rock.00000", "rock.00001"]
    assert built.tracks["artist"].isna().tolist() == [False, True, False, False]
    assert built.tracks.loc["rock.00001", "title"] == "Song, rock.00001"
    assert built.tracks.loc["rock.00001", "audio"] == "gtzan_mini/genres/rock/rock.00001.flac"


def test_the_sum_is_that_of_the_wav_the_copy_was_made_from(tmp_path):
    samples = (bench.clip(2.0) * 32767).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples, SAMPLE_RATE, subtype="PCM_16")
    soundfile.write(tmp_path / "a.flac", samples, SAMPLE_RATE, subtype="PCM_16")
    import hashlib

    assert rebuild.wav_sha256(tmp_path / "a.flac") == hashlib.sha256((tmp_path / "a.wav").read_bytes()).hexdigest()


def test_rebuild_with_a_bad_file_keeps_what_was_there_and_says_why(home, tmp_path, capsys):
    output = tmp_path / "out"
    assert run(home, output) == 0
    before = files(output)
    genres = home / "gtzan_mini" / "genres"
    (genres / "blues" / "blues.00000.flac").write_bytes(b"")
    shutil.copy(genres / "rock" / "rock.00000.flac", genres / "rock" / "rock.00001.flac")
    assert run(home, output) == 2
    assert files(output) == before
    said = capsys.readouterr().err
    assert "skipped blues.00000: " in said
    assert "the file is empty" in said
    assert "skipped rock.00001: is not the published recording" in said

    assert run(home, output, "--partial") == 0
    assert corpus.read(output).tracks.index.tolist() == ["blues.00001", "rock.00000"]


@pytest.mark.parametrize("missing", ["gtzan_mini", "gtzan"])
def test_rebuild_says_what_the_data_folder_lacks(home, tmp_path, capsys, missing):
    shutil.rmtree(home / missing)
    assert run(home, tmp_path / "out") == 1
    assert missing in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_examples_of_the_documentation_are_true():
    ran = doctest.testmod(corpus)
    assert ran.attempted > 0
    assert ran.failed == 0
