"""Corpora: each keeps one contract, what comes with the project equals its source, and what is not in order is refused
with the reason."""

import json
import os
import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import ROOT, load_script
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from vae_lib import corpus, features, store
from vae_lib.checks import ParameterError
from vae_lib.corpus import FACTS, INDEX, NUMBERS
from vae_lib.corpus.sources import EMBEDDED

rebuild = load_script("data/rebuild.py")

MANIFEST = """audio,title,artist,genre,language,lyrics
b.mp3,,Somebody,folk,bangla,"আবার বৃষ্টি,
আবার"
c/a.flac,A Song,,pop,english,
a.wav,,,pop,english,Rain again
"""


def manifest(folder, text=MANIFEST, encoding="utf-8"):
    (folder / "c").mkdir(parents=True, exist_ok=True)
    for name in ("b.mp3", "c/a.flac", "a.wav"):
        (folder / name).write_bytes(b"no audio: " + name.encode())
    (folder / "songs.csv").write_bytes(text.encode(encoding))
    return folder / "songs.csv"


def genres(folder, *more):
    names = ("rock/x.mp3", "rock/live/y.OGG", "বাউল/গান.wav", "rock/.hidden.mp3", ".git/z/a.wav", "rock/cover.jpg")
    for name in (*names, *more):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


# One contract for every corpus, wherever it comes from

OWN = {"manifest": lambda f: corpus.from_manifest(manifest(f)), "folder": lambda f: corpus.from_folder(genres(f))}


@pytest.mark.parametrize("source", [*corpus.names(), *OWN])
def test_every_corpus_keeps_the_contract(source, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise AssertionError("loading opens no audio")

    for function in ("read", "write", "SoundFile", "info"):
        monkeypatch.setattr(soundfile, function, fail)
    monkeypatch.delenv("DATA_HOME", raising=False)
    loaded = OWN[source](tmp_path) if source in OWN else corpus.load(source)
    ids = loaded.tracks.index
    assert ids.name == "track_id"
    assert ids.is_unique
    assert ids.is_monotonic_increasing
    assert len(loaded) == len(ids) > 1
    assert "genre" in loaded.labels
    assert loaded.tracks[loaded.labels].notna().all(axis=None)
    assert not {"lyrics", "texts", "length"} & {*loaded.tracks}
    assert loaded.source.endswith(".")
    assert loaded.licence.endswith(".")
    assert loaded.name in repr(loaded)
    if loaded.features is not None:
        assert loaded.features.dtypes.eq(float).all()
        assert "length" not in loaded.features
        assert {*loaded.features} == {column for group in loaded.groups.values() for column in group}
        assert "other" not in loaded.groups
        assert replace(loaded, features=loaded.features * (1 + 1e-6)).hash != loaded.hash
    relabelled = loaded.tracks.assign(genre=pd.Categorical(["another", *loaded.tracks["genre"].astype(str)[1:]]))
    assert replace(loaded, tracks=relabelled).hash != loaded.hash
    assert loaded.select(ids[1:]).hash != loaded.hash


def test_the_public_columns_stand_in_their_order_and_in_the_groups_that_describe_tells():
    columns = [*features.PUBLIC_COLUMNS]
    for name in ("gtzan", "bangla", "songs-bn-en"):
        music = corpus.load(name)
        assert [column for column in music.features if column in columns] == columns
        left = {"harmony_mean", "harmony_var", "perceptr_mean", "perceptr_var"}
        assert {*music.features} == {*columns} | left
    known = features.describe(by="column")["group"]
    for group, found in corpus.load("gtzan-mini").groups.items():
        assert {known[column] for column in found} == {group}


def test_what_is_embedded_is_small_and_holds_neither_audio_nor_words():
    there = [path for path in (ROOT / "data").rglob("*") if path.is_file() and "raw" not in path.parts]
    assert sum(path.stat().st_size for path in there) < 12e6
    for name in EMBEDDED:
        folder = ROOT / "data" / name.replace("-", "_")
        assert {path.name for path in folder.iterdir()} == {FACTS, INDEX, NUMBERS}
        index = pd.read_csv(folder / INDEX, dtype=str).fillna("")
        assert index.map(len).max(axis=None) < 160, "a title is one line of a few words; a song is not"
        assert not index.map(lambda cell: "\n" in cell).any(axis=None)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ParameterError, match=r"name must be one of bangla, fma-small, .*, got 'gtzan_mini'"):
        corpus.load("gtzan_mini")
    known = r"example\.npz, peers\.npz, public_check\.csv, published\.csv, second_run\.csv"
    with pytest.raises(ParameterError, match=rf"file must be one of {known}, got 'nothing'"):
        corpus.evidence("nothing")


def test_the_clusters_of_others_are_complete_and_of_the_corpora_as_they_are():
    small, large = {"dec_study", "idec_study", "dcn_study", "vade_study"}, {"dec_default", "idec_default"}
    for name, models in {"gtzan": small | large, "bangla": small}.items():
        music = corpus.load(name)
        found = corpus.peers(music)
        assert {*found} == models
        for model, clusters in found.items():
            assert clusters.shape == (10, len(music)), model
            assert clusters.min() == 0, model
            assert clusters.max() < music.tracks["genre"].nunique(), model
            assert len(np.unique(clusters, axis=0)) > 1, f"{model}: a seed is a training of its own"
    with pytest.raises(ParameterError, match="music must be the whole bangla that was clustered"):
        corpus.peers(replace(music, features=music.features + 1))
    with pytest.raises(ParameterError, match="music must be one of gtzan, bangla, got 'indian'"):
        corpus.peers(corpus.load("indian"))


# What is embedded equals its source. Of the test corpora numbers are compared, and nothing is looked at by label.

TABLES = {
    "gtzan": ("gtzan/features_30_sec.csv", "filename", (1000, 57)),
    "songs-bn-en": ("songs_bn_en/features_30_sec.csv", "filename", (2617, 57)),
    "bangla": ("songs_bn_en/features_30_sec.csv", "filename", (1617, 57)),
    "fma-small": ("fma_small/features.csv", "track_id", (2091, 155)),
    "indian": ("indian/features.csv", "track_id", (500, 69)),
}


@pytest.mark.parametrize("name", TABLES)
def test_an_embedded_table_equals_its_source(name, data_home):
    path, ids, shape = TABLES[name]
    music = corpus.load(name)
    theirs = pd.read_csv(data_home / path, dtype=str)
    theirs.index = theirs[ids].str.removesuffix(".wav").str.zfill(6 if name == "fma-small" else 0)
    if name == "bangla":
        theirs = theirs[theirs["language"] == "bng"]
    assert music.features.shape == shape
    assert len(theirs) == len(music)
    theirs = theirs.loc[music.tracks.index]
    numbers = theirs.drop(columns=[ids, "length", "label", "language"], errors="ignore").astype(float)
    assert [*numbers] == [*music.features]
    np.testing.assert_array_equal(music.features.to_numpy("f4"), numbers.to_numpy("f4"))
    assert music.tracks["genre"].tolist() == theirs["label"].str.lower().tolist()
    if "language" in theirs and name == "songs-bn-en":
        assert music.tracks["language"].tolist() == theirs["language"].map({"bng": "bangla", "eng": "english"}).tolist()
    # Rows that come again are known by the first of them.
    content = numbers.groupby([*numbers]).ngroup()
    copies = music.tracks["duplicate_of"].dropna()
    assert len(copies) == len(numbers) - content.nunique()
    assert (content[copies.index].to_numpy() == content[copies].to_numpy()).all()


def test_the_facts_of_gtzan_are_those_of_their_sources(data_home):
    gtzan = corpus.load("gtzan")
    sums = pd.read_csv(data_home / "gtzan" / "wav_sha256.csv").set_index("file")["sha256"]
    assert gtzan.tracks["sha256"].tolist() == sums[gtzan.tracks.index + ".wav"].tolist()
    for split in ("train", "valid", "test"):
        lines = (data_home / "gtzan" / f"fault_filtered_{split}.txt").read_text(encoding="utf-8").split()
        found = gtzan.tracks.index[gtzan.tracks["fault_filtered"] == split]
        assert sorted(line.split("/")[-1].removesuffix(".wav") for line in lines) == found.tolist()
    known = rebuild.artists_and_titles(data_home / "gtzan" / "artist_title_index.txt")
    pd.testing.assert_frame_equal(gtzan.tracks[["artist", "title"]], known.loc[gtzan.tracks.index], check_dtype=False)


def test_the_images_of_gtzan_are_those_of_their_source(data_home):
    with np.load(data_home / "gtzan" / "log_mel_30s.npz") as source:
        theirs, names = source["X"], [name.removesuffix(".png") for name in source["name"]]
    gtzan = corpus.load("gtzan")
    pictured = gtzan.having("log_mel")
    assert gtzan.tracks.index.difference(pictured.tracks.index).tolist() == ["jazz.00054"]
    assert pictured.tracks.index.tolist() == names
    assert np.abs(pictured.log_mel - theirs).max() <= 1 / 128  # half a step


def test_gtzan_has_the_copies_and_faults_that_are_known():
    gtzan = corpus.load("gtzan")
    assert gtzan.tracks["fault_filtered"].value_counts().to_dict() == {"train": 443, "test": 290, "valid": 197}
    assert len(gtzan.fault_filtered()) == 930
    assert "jazz.00054" in gtzan.fault_filtered().tracks.index
    assert gtzan.tracks["artist"].notna().sum() == 919
    pairs = gtzan.tracks["duplicate_of"].dropna()
    across = pairs[pairs.index.str.split(".").str[0] != pairs.str.split(".").str[0]]
    assert across.to_dict() == {"rock.00016": "metal.00058"}
    assert len(gtzan.without_duplicates()) == 1000 - 13 - 2, "of the pair in two genres neither is kept"
    drawn = [gtzan.one_per_artist(seed=seed).tracks for seed in (0, 0, 1)]
    for tracks in drawn:
        assert tracks["artist"].str.strip().str.casefold().is_unique
    assert drawn[0].index.equals(drawn[1].index)
    assert not drawn[0].index.equals(drawn[2].index)
    with pytest.raises(ParameterError, match="songs-en-de has no column fault_filtered"):
        corpus.load("songs-en-de").fault_filtered()


def test_gtzan_mini_is_ten_tracks_of_ten_genres_in_decibels():
    mini = corpus.load("gtzan-mini")
    assert mini.tracks["genre"].value_counts().tolist() == [10] * 10
    facts = ["genre", "artist", "title", "sha256", "fault_filtered", "duplicate_of"]
    whole = corpus.load("gtzan").select(mini.tracks.index)
    pd.testing.assert_frame_equal(mini.tracks[facts], whole.tracks[facts], check_dtype=False)
    assert (mini.tracks.loc[mini.tracks["genre"] == "blues", "artist"] == "John Lee Hooker").all()
    assert (mini.log_mel.min(), mini.log_mel.max()) == (-80, 0)


def test_songs_bn_en_names_a_genre_the_same_in_both_languages():
    tracks = corpus.load("songs-bn-en").tracks
    both = tracks.groupby("genre", observed=True)["language"].nunique()
    assert both.index[both == 2].tolist() == ["hiphop", "metal", "pop", "rock"]
    assert tracks["language"].value_counts().to_dict() == {"bangla": 1617, "english": 1000}


def test_the_songs_with_words_are_what_they_are_said_to_be():
    songs = corpus.load("songs-en-de")
    counts = pd.crosstab(songs.tracks["genre"], songs.tracks["language"])
    assert counts.to_dict("list") == {"english": [40, 15, 45], "german": [40, 15, 45]}
    assert songs.tracks["artist"].nunique() == 154
    assert songs.texts is None
    words = corpus.load("lyrics-bn-en")
    assert words.tracks["language"].value_counts().to_dict() == {"bangla": 250, "english": 200}
    assert len(words.having("lyrics")) == 446, "songs without words are missing, not zero"
    assert all(name.isascii() for name in words.tracks["genre"].cat.categories)
    for music in (songs, words.having("lyrics")):
        found = KMeans(2, n_init=10, random_state=0).fit_predict(music.lyrics)
        assert adjusted_rand_score(music.tracks["language"], found) >= 0.95, "the vectors tell the languages apart"


def test_what_is_computed_anew_is_what_is_embedded(data_home, tmp_path):
    songs = corpus.load("songs-en-de", data_home=data_home)
    some = songs.select(songs.tracks.index[::50])
    # Single precision, summed in other orders on other processors.
    computed, log_mel, _ = features.extract_many(some.audio_paths(), ids=some.tracks.index, progress=False)
    pd.testing.assert_frame_equal(computed, some.features, rtol=1e-4, atol=1e-6, check_names=False)
    assert np.abs(log_mel - some.log_mel).max() <= 0.07  # one step of 16 bits at −80 dB
    assert rebuild.main(["lyrics-bn-en", "--data-home", str(data_home), "--output", str(tmp_path / "words")]) == 0
    embedded, rebuilt = corpus.load("lyrics-bn-en"), corpus.read(tmp_path / "words")
    pd.testing.assert_frame_equal(rebuilt.tracks, embedded.tracks)
    np.testing.assert_allclose(rebuilt.lyrics, embedded.lyrics, atol=1e-5)


def test_the_embedded_check_says_what_the_tables_say():
    check = pd.read_csv(corpus.evidence("public_check.csv"), index_col="column")
    assert check.index.tolist() == [*features.PUBLIC_COLUMNS]
    ours = corpus.load("gtzan-mini").features[check.index]
    relative = (ours / corpus.load("gtzan").features.loc[ours.index, check.index] - 1).abs()
    # Both tables are rounded to 32 bits here.
    np.testing.assert_allclose(check["median"], relative.median(), rtol=0.02, atol=2e-7)
    np.testing.assert_allclose(check["worst"], relative.max(), rtol=0.02, atol=2e-7)
    assert (check["median"] < 0.01).all()


def test_rebuilding_with_a_bad_file_keeps_what_was_there_and_says_why(data_home, tmp_path, capsys):
    ids = ["blues.00000", "rock.00000", "rock.00001"]
    home, output = tmp_path / "home", tmp_path / "out"
    for track_id in ids:
        path = home / "gtzan_mini" / "genres" / track_id.split(".")[0] / f"{track_id}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(data_home / path.relative_to(home), path)
    run = ["gtzan-mini", "--data-home", str(home), "--output", str(output), "--workers", "1"]
    assert rebuild.main(run) == 0
    assert corpus.read(output).tracks.index.tolist() == ids
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    (home / "gtzan_mini/genres/blues/blues.00000.flac").write_bytes(b"")
    shutil.copy(home / "gtzan_mini/genres/rock/rock.00000.flac", home / "gtzan_mini/genres/rock/rock.00001.flac")
    assert rebuild.main(run) == 2
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
    said = capsys.readouterr().err
    assert "skipped blues.00000: " in said
    assert "skipped rock.00001: is not the published recording" in said
    assert rebuild.main([*run, "--partial"]) == 0
    assert corpus.read(output).tracks.index.tolist() == ["rock.00000"]
    assert rebuild.main(["indian", "--data-home", str(home)]) == 1
    assert "indian/features.csv: no such file" in capsys.readouterr().err


# Audio


def test_audio_is_found_where_it_is_and_else_it_is_said_where_it_goes(tmp_path):
    mini = corpus.load("gtzan-mini", data_home=tmp_path)
    place = r"gtzan_mini/genres/blues/blues\.00000\.flac: no such file; .* goes there"
    with pytest.raises(ParameterError, match=place):
        mini.audio("blues.00000")
    wav = tmp_path / "gtzan_mini/genres/blues/blues.00000.wav"  # as `make data` brings it
    wav.parent.mkdir(parents=True)
    wav.touch()
    assert mini.audio("blues.00000") == wav
    assert mini.select(["blues.00000"]).audio_paths() == [wav]
    with pytest.raises(ParameterError, match="lyrics-bn-en has no audio"):
        corpus.load("lyrics-bn-en").audio("bangla.000")
    with pytest.raises(ParameterError, match=r"track_id must be one of gtzan-mini, .* got 'blues'"):
        mini.audio("blues")


def test_a_synthetic_song_is_rendered_once_when_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "ROOT", tmp_path)
    songs = corpus.synthetic(3, seed=5, seconds=1.5)
    assert not [*tmp_path.rglob("*")], "nothing is rendered unasked"
    path = songs.audio("synthetic.00001")
    samples, sample_rate = soundfile.read(path)
    assert len(samples) == 1.5 * sample_rate
    assert np.abs(samples).max() > 0.5
    path.write_bytes(b"kept")
    assert songs.audio("synthetic.00001").read_bytes() == b"kept"
    assert [file.name for file in tmp_path.rglob("*.wav")] == ["synthetic.00001.wav"]
    assert path not in [corpus.synthetic(3, seed=6, seconds=1.5).audio("synthetic.00001")]
    assert songs.texts.notna().all()


# Parts put in place, and some of the tracks


def test_features_and_lyrics_are_put_in_place_by_id(small_corpus):
    bare = replace(small_corpus, features=None, log_mel=None)
    ids, order = bare.tracks.index, [3, 0, 7]
    music = bare.with_features(small_corpus.features.iloc[order], small_corpus.log_mel[order], version=2)
    assert music.tracks.index.tolist() == [ids[0], ids[3], ids[7]]
    pd.testing.assert_frame_equal(music.features, small_corpus.features.loc[music.tracks.index])
    np.testing.assert_array_equal(music.log_mel, small_corpus.log_mel[[0, 3, 7]])
    assert music.feature_version == 2
    vectors = np.array([[1.0, 0], [np.nan, np.nan], [0, 1]])
    with_words = music.with_lyrics(vectors, parameters={"method": "lsa"})
    assert with_words.computed == ["features", "log_mel", "lyrics"]
    assert with_words.parameters["lyrics"] == {"method": "lsa"}
    assert with_words.hash != music.hash
    assert with_words.having("lyrics").tracks.index.tolist() == [ids[0], ids[7]]
    with pytest.raises(ParameterError, match=r"small has no lyrics"):
        music.having("lyrics")


def test_selected_tracks_keep_what_belongs_to_them(small_corpus):
    full = small_corpus.with_lyrics(np.arange(24.0).reshape(12, 2))
    for which in [["pop.3", "blues.1"], full.tracks.index.isin(["pop.3", "blues.1"])]:
        some = full.select(which)
        assert some.tracks.index.tolist() == some.features.index.tolist() == ["blues.1", "pop.3"]
        assert some.tracks["genre"].cat.categories.tolist() == ["blues", "pop"]
        np.testing.assert_array_equal(some.lyrics, full.lyrics[[1, 11]])
        np.testing.assert_array_equal(some.log_mel, full.log_mel[[1, 11]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.select([]), "must leave at least one track of small"),
        (lambda c: c.select(["pop.3", "pop.3"]), "must name each track once"),
        (lambda c: c.select([True, False, True]), r"one truth value per track: \(3,\) for 12"),
        (lambda c: c.with_features(c.features.rename(index={"pop.3": "nobody"})), r"ids of small, got 'nobody'"),
        (lambda c: c.with_lyrics(np.ones((2, 2))), "lyrics must have one row per track: 2 rows for 12 tracks"),
        (lambda c: c.with_lyrics(np.where(np.eye(12, 2), np.nan, 1)), r"NaN throughout the row .*; row 0 is neither"),
        (lambda c: c.with_lyrics(np.full((12, 2), np.nan)), "lyrics must have values for at least one track"),
        (lambda c: replace(c, features=c.features[1:]), "in their order: 11 rows for 12"),
        (lambda c: replace(c, features=c.features[::-1]), r"row 0 is 'pop\.3', the track there is 'blues\.0'"),
        (lambda c: replace(c, features=c.features.rename(columns={"b": "a"})), "each column once, 'a' comes more"),
        (lambda c: replace(c, features=c.features.replace(c.features.iloc[2, 2], np.inf)), "row 2, column 'c'"),
        (lambda c: replace(c, features=c.features.assign(a="loud")), "features must hold numbers only"),
        (lambda c: replace(c, log_mel=c.log_mel.astype(int)), "log_mel must be an array of floats"),
        (lambda c: replace(c, log_mel=c.log_mel[0]), r"got float32 of shape \(4, 6\)"),
        (lambda c: replace(c, tracks=c.tracks[:0]), "tracks must have at least one track"),
        (lambda c: replace(c, tracks=c.tracks[::-1]), "tracks must be sorted by track_id"),
        (lambda c: replace(c, tracks=c.tracks.rename(index={"pop.3": "pop.2"})), r"'pop\.2' comes more than once"),
        (lambda c: replace(c, tracks=c.tracks.rename_axis("id")), "an index of strings called track_id, got 'id'"),
        (lambda c: replace(c, tracks=c.tracks.astype({"genre": str})), "genre as categories, got str"),
        (
            lambda c: replace(c, tracks=c.tracks.assign(genre=c.tracks["genre"].cat.set_categories(["blues", "pop"]))),
            r"tracks must have a genre for every track, 'jazz\.0' has none",
        ),
    ],
)
def test_parts_that_do_not_fit_are_one_clear_error(change, message, small_corpus):
    with pytest.raises(ParameterError, match=message):
        change(small_corpus)


# Your own music: a manifest or a folder


def test_a_manifest_becomes_a_corpus(tmp_path):
    music = corpus.from_manifest(manifest(tmp_path))
    assert music.tracks.index.tolist() == ["a", "b", "c/a"]
    assert music.labels == ["genre", "language"]
    assert music.tracks["genre"].tolist() == ["pop", "folk", "pop"]
    assert music.texts.fillna("").tolist() == ["Rain again", "আবার বৃষ্টি,\nআবার", ""]
    assert music.tracks["artist"].isna().tolist() == [True, False, True]
    assert music.audio("c/a").read_bytes() == b"no audio: c/a.flac"
    assert music.name == "songs"
    for text, encoding in [(MANIFEST, "utf-8-sig"), (MANIFEST.replace("\n", "\r\n"), "utf-8")]:  # of other programs
        other = corpus.from_manifest(manifest(tmp_path, text, encoding))
        pd.testing.assert_frame_equal(other.tracks, music.tracks)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_is_found_in_either_form_of_unicode_and_with_the_other_slash(tmp_path, form):
    name = "গান/য়ূ é.mp3"
    path = tmp_path / unicodedata.normalize("NFC" if form == "NFD" else "NFD", name)
    path.parent.mkdir()
    path.touch()
    listed = tmp_path / "songs.csv"
    listed.write_text("audio,genre\n" + unicodedata.normalize(form, name) + ",folk\n", encoding="utf-8")
    assert corpus.from_manifest(listed).audio_paths()[0].samefile(path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.mp3").touch()
    listed.write_text("audio,genre\na\\b.mp3,folk\n", encoding="utf-8")
    assert corpus.from_manifest(listed).tracks.index.tolist() == ["a/b"]


def test_lyrics_come_from_files_too_and_alone(tmp_path):
    (tmp_path / "words.txt").write_text("আবার বৃষ্টি", encoding="utf-8")
    listed = tmp_path / "songs.csv"
    listed.write_text("track_id,mood,lyrics_file\n2,calm,words.txt\n1,calm,\n")
    music = corpus.from_manifest(listed)
    assert music.texts.fillna("").tolist() == ["", "আবার বৃষ্টি"]
    assert music.labels == ["mood"]
    with pytest.raises(ParameterError, match="songs has no audio"):
        music.audio("1")


BAD_MANIFESTS = {
    "no such file": (None, r"songs\.csv: no such file"),
    "empty": ("", "is empty; the first line must name the columns"),
    "only blank lines": ("\n\n", "is empty"),
    "no songs": ("audio,genre\n", "must list at least one song"),
    "no audio": ("file,genre\nb.mp3,pop\n", "must have a column audio .* got the columns file, genre"),
    "semicolons": ("audio;genre\nb.mp3;pop\n", "got the columns audio;genre; .* commas in between"),
    "a column without name": ("audio,,genre\nb.mp3,1,pop\n", "every column needs a name of its own"),
    "a column twice": ("audio,genre,genre\nb.mp3,pop,pop\n", "every column needs a name of its own"),
    "a wrong path": (
        "audio,genre\nb.mp3,pop\n\nx.mp3,pop\n",
        r"line 4: audio 'x\.mp3' is no file .*looked for .*/x",
    ),
    "a folder": ("audio,genre\nc,pop\n", "line 2: audio 'c' is no file"),
    "an endless name": (f"audio,genre\n{'x' * 5000},pop\n", "line 2: audio 'xxx.* is no file"),
    "no path": ("audio,genre\n,pop\n", "line 2: audio is empty"),
    "a missing label": ("audio,genre\nb.mp3,\n", r"line 2: genre is empty \(1 such line\(s\)\).* leave the column out"),
    "a short row": ("audio,genre\nb.mp3\n", "line 2: genre is empty"),
    "a long row": ("audio,title\nb.mp3,Me, You\n", "line 2: has 3 cells for 2 columns; put a cell .* double quotes"),
    "an id twice": (
        'audio,track_id,lyrics\nb.mp3,x,"a\nb"\na.wav,y,\nc/a.flac,x,\n',
        "lines 2 and 5: the same track_id 'x'",
    ),
    "a file twice": (
        "audio\nb.mp3\nb.mp3\n",
        "lines 2 and 3: the same track_id 'b'; give .* a column track_id",
    ),
    "words without end": (f"audio,lyrics\nb.mp3,{'la ' * 50_000}\n", "line 2: .* field limit.* a column lyrics_file"),
    "an open quote": ('audio,genre\n"b.mp3,pop\n', "cannot be read as CSV"),
    "both kinds of lyrics": ("audio,lyrics,lyrics_file\nb.mp3,a,a.txt\n", "give lyrics or lyrics_file, not both"),
    "missing lyrics": ("audio,lyrics_file\nb.mp3,no.txt\n", r"line 2: lyrics_file 'no\.txt' is no file"),
    "no UTF-8": ("audio,artist\nb.mp3,B\xe9la\n", r"songs\.csv, line 2: is not UTF-8 \(byte 0xe9\); save it as UTF-8"),
}


@pytest.mark.parametrize("case", BAD_MANIFESTS)
def test_a_bad_manifest_is_one_clear_error(case, tmp_path):
    text, message = BAD_MANIFESTS[case]
    path = manifest(tmp_path, text or "", "latin-1")
    if text is None:
        path.unlink()
    with pytest.raises(ParameterError, match=message) as caught:
        corpus.from_manifest(path)
    assert str(tmp_path) in str(caught.value)


def test_a_folder_becomes_a_corpus(tmp_path):
    music = corpus.from_folder(genres(tmp_path))
    assert music.tracks.index.tolist() == ["rock/live/y", "rock/x", "বাউল/গান"]
    assert music.tracks["genre"].tolist() == ["rock", "rock", "বাউল"]
    assert music.audio("বাউল/গান").is_file()


def test_a_bad_folder_is_one_clear_error(tmp_path):
    with pytest.raises(ParameterError, match=r"loose\.mp3: lies in no genre; it must be .*/GENRE/loose\.mp3"):
        corpus.from_folder(genres(tmp_path / "a", "loose.mp3"))
    with pytest.raises(ParameterError, match=r"x\.wav: the same track as .*x\.mp3; keep one"):
        corpus.from_folder(genres(tmp_path / "b", "rock/x.wav"))
    (tmp_path / "empty" / ".hidden").mkdir(parents=True)
    (tmp_path / "empty" / ".hidden" / "a.mp3").touch()
    with pytest.raises(ParameterError, match=r"holds no GENRE/FILE with one of the endings \.aif"):
        corpus.from_folder(tmp_path / "empty")
    with pytest.raises(ParameterError, match="is a file; see from_manifest"):
        corpus.from_folder(manifest(tmp_path))
    with pytest.raises(ParameterError, match="is a folder; see from_folder"):
        corpus.from_manifest(tmp_path)
    with pytest.raises(ParameterError, match="no such folder"):
        corpus.from_folder(tmp_path / "none")


# Saving and reading


@pytest.fixture
def folder(small_corpus, tmp_path):
    corpus.save(small_corpus, tmp_path / "small")
    return tmp_path / "small"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=12, max_size=12, unique=True))
def test_any_text_is_read_as_it_was_saved(cells, small_corpus, tmp_path):
    cells = ["a\rb", "\n\r", " c ", "NA", *cells[4:]]
    if len(set(cells)) == 12:
        ids = pd.Index(sorted(cells), name="track_id")
        tracks = small_corpus.tracks.set_index(ids).assign(title=cells, genre=pd.Categorical(cells[::-1]))
        odd = replace(small_corpus, tracks=tracks, features=small_corpus.features.set_index(ids))
        corpus.save(odd, tmp_path)
        again = corpus.read(tmp_path)
        assert again.tracks.index.tolist() == ids.tolist()
        for column in ("title", "genre"):
            assert again.tracks[column].tolist() == tracks[column].tolist()


def test_a_name_that_no_table_can_hold_is_refused(tmp_path):
    (tmp_path / "pop").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/pop/\xff.wav")).touch()
    with pytest.raises(ParameterError, match=r"xff\.wav.*: the name of the file is not UTF-8; rename it"):
        corpus.from_folder(tmp_path)


def test_names_that_begin_or_end_with_white_space_are_found(tmp_path):
    path = manifest(tmp_path, "audio,title\n b.mp3, b \n")
    (tmp_path / "b.mp3").rename(path.parent / " b.mp3")
    music = corpus.from_manifest(path)
    assert music.tracks["title"].tolist() == ["b"]
    assert music.audio(" b").name == " b.mp3"


def test_what_was_saved_is_read(small_corpus, folder):
    again = corpus.read(folder)
    pd.testing.assert_frame_equal(again.tracks, small_corpus.tracks)  # an artist called "NA" stays one
    pd.testing.assert_frame_equal(again.features, small_corpus.features, rtol=1e-7)
    np.testing.assert_allclose(again.log_mel, small_corpus.log_mel, atol=0.0313)
    assert again.log_mel.dtype == np.float32
    for name in ("name", "source", "licence", "feature_version", "parameters", "hash"):
        assert getattr(again, name) == getattr(small_corpus, name)
    corpus.save(replace(small_corpus, name="other"), folder)
    assert corpus.read(folder).name == "other"
    assert [path.name for path in folder.parent.iterdir()] == ["small"]


def test_lyric_vectors_are_saved_and_words_are_not(small_corpus, tmp_path):
    words = pd.Series(["never to be published", *[None] * 11], index=small_corpus.tracks.index)
    vectors = np.random.default_rng(0).normal(size=(12, 3))
    vectors[4] = np.nan
    bare = replace(small_corpus, features=None, log_mel=None, texts=words)
    with pytest.raises(ParameterError, match="small holds nothing to save: compute features or lyric vectors first"):
        corpus.save(bare, tmp_path)
    corpus.save(bare.with_lyrics(vectors), tmp_path)
    again = corpus.read(tmp_path)
    np.testing.assert_allclose(again.lyrics, vectors, rtol=1e-6)
    assert (again.features, again.log_mel, again.texts) == (None, None, None)
    assert not any(b"never to be published" in path.read_bytes() for path in tmp_path.iterdir())


def test_a_failed_save_loses_nothing(small_corpus, folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez_compressed", fail)
        with pytest.raises(OSError, match="No space left"):
            corpus.save(replace(small_corpus, name="other"), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    with pytest.raises(ParameterError, match=r"cannot write .*: .*give a folder you may write to"):
        corpus.save(small_corpus, folder / FACTS / "small")


def write_facts(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGES = {
    "missing facts": (FACTS, lambda p: p.unlink(), "no such file"),
    "missing index": (INDEX, lambda p: p.unlink(), "no such file"),
    "missing numbers": (NUMBERS, lambda p: p.unlink(), "no such file"),
    "facts are no JSON": (FACTS, lambda p: p.write_text('{"name": '), "cannot be read as JSON"),
    "facts without a source": (FACTS, lambda p: p.write_text('{"format": 3, "name": "a"}'), "has no source"),
    "a list of facts": (FACTS, lambda p: p.write_text("[]"), "format must be 3 .* got list"),
    "a later format": (FACTS, lambda p: write_facts(p, format=99), "format must be 3 .* got 99"),
    "an edited label": (INDEX, lambda p: p.write_text(p.read_text().replace("jazz,", "pop,", 1)), "is not the file"),
    "half an array": (NUMBERS, lambda p: p.write_bytes(p.read_bytes()[:300]), "is not the file"),
    "one bit": (NUMBERS, lambda p: p.write_bytes(p.read_bytes()[:-1] + b"\1"), "is not the file that corpus.json was"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_and_the_file_named(folder, damage):
    name, change, message = DAMAGES[damage]
    change(folder / name)
    with pytest.raises(ParameterError, match=message) as caught:
        corpus.read(folder)
    assert str(caught.value).startswith(str(folder / name))


def test_an_embedded_file_with_a_wrong_hash_is_named(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "data" / "indian", tmp_path / "data" / "indian")
    monkeypatch.setattr(store, "ROOT", tmp_path)
    assert len(corpus.load("indian")) == 500
    with (tmp_path / "data" / "indian" / NUMBERS).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ParameterError, match=r"data/indian/numbers\.npz: is not the file .* \(another SHA-256\)"):
        corpus.load("indian")
