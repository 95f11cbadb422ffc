"""Corpora: each keeps one contract, and what is not in order is refused with the reason."""

import hashlib
import json
import shutil
import unicodedata
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import ROOT, load_script
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from vae_lib import corpus, download
from vae_lib.checks import ParameterError
from vae_lib.corpus import FACTS, FEATURES, INDEX, LOG_MEL, LYRICS, Corpus
from vae_lib.features import SAMPLE_RATE

bench = load_script("benchmarks/features.py")
rebuild = load_script("data/rebuild.py")


@pytest.fixture
def folder(small_corpus, tmp_path):
    corpus.save(small_corpus, tmp_path / "small")
    return tmp_path / "small"


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# One contract for every corpus, wherever it comes from

GTZAN = ["blues.00000", "blues.00001", "metal.00058", "pop.00000", "pop.00001", "rock.00016"]


@pytest.fixture
def six_tracks(monkeypatch):
    """GTZAN of six tracks, two of them the same recording in two genres, one of them faulty."""
    facts = pd.DataFrame(
        {
            "sha256": ["a" * 64, "b" * 64, "c" * 64, "d" * 64, "e" * 64, "c" * 64],
            "fault_filtered": ["train", "train", "test", None, "valid", None],
        },
        index=pd.Index(GTZAN, name="track_id"),
    )
    monkeypatch.setattr(download, "published", facts.copy)


def public_table(path, files, language=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame({"filename": files, "length": range(len(files)), "tempo": 120.5, "label": "blues"})
    table["rms_mean"] = np.linspace(0, 1, len(files))
    table["label"] = [file.split(".")[0] for file in files]
    if language:
        table["language"] = language
    table.iloc[::-1].to_csv(path, index=False)


def gtzan_table(folder):
    public_table(folder / "gtzan" / "features_30_sec.csv", [f"{track_id}.wav" for track_id in GTZAN])
    return corpus.load("gtzan", data_home=folder)


def gtzan_audio(folder):
    for track_id in GTZAN:
        path = download.track_path(folder / "gtzan", track_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(track_id.encode())
    return corpus.load("gtzan", data_home=folder)


def songs_bn_en(folder):
    files = ["Folk.1.wav", "Pop.1.wav", "pop.1.wav", "rock.1.wav"]
    public_table(folder / "songs_bn_en" / "features_30_sec.csv", files, ["bng", "bng", "eng", "eng"])
    return corpus.load("songs-bn-en", data_home=folder)


MANIFEST = """audio,title,artist,genre,language,lyrics
b.mp3,,Somebody,folk,bangla,"আবার বৃষ্টি,
আবার"
c/a.flac,A Song,,pop,english,
a.wav,,,pop,english,Rain again
"""


def manifest(folder, text=MANIFEST, encoding="utf-8"):
    folder.mkdir(exist_ok=True)
    (folder / "c").mkdir(exist_ok=True)
    for name in ("b.mp3", "c/a.flac", "a.wav"):
        (folder / name).write_bytes(b"no audio: " + name.encode())
    (folder / "songs.csv").write_bytes(text.encode(encoding))
    return folder / "songs.csv"


def genres(folder):
    for name in ("rock/x.mp3", "rock/live/y.OGG", "বাউল/গান.wav", "rock/.hidden.mp3", ".git/z/a.wav", "rock/cover.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"no audio: " + name.encode())
    return folder


SOURCES = {
    "gtzan, table": gtzan_table,
    "gtzan, audio": gtzan_audio,
    "gtzan-mini": lambda folder: corpus.load("gtzan-mini", data_home=folder),
    "lyrics-bn-en": lambda folder: corpus.load("lyrics-bn-en", data_home=folder),
    "songs-bn-en": songs_bn_en,
    "songs-en-de": lambda folder: corpus.load("songs-en-de", data_home=folder),
    "synthetic": lambda folder: corpus.load("synthetic", data_home=folder),
    "manifest": lambda folder: corpus.from_manifest(manifest(folder)),
    "folder": lambda folder: corpus.from_folder(genres(folder / "my music")),
}


def check_contract(loaded, again):
    ids = loaded.tracks.index
    assert len(loaded) == len(ids) > 1
    assert ids.is_unique
    assert ids.is_monotonic_increasing
    assert ids.name == "track_id"
    assert again.tracks.index.equals(ids)
    for part in [loaded.features, loaded.texts]:
        assert part is None or part.index.equals(ids)
    for part in [loaded.log_mel, loaded.lyrics]:
        assert part is None or len(part) == len(ids)
    if loaded.features is not None:
        assert np.isfinite(loaded.features).all(axis=None)
        assert "length" not in loaded.features
    assert "genre" in loaded.labels
    assert loaded.tracks[loaded.labels].notna().all(axis=None)
    assert not {"lyrics", "texts"} & {*loaded.tracks}, "words belong where no page shows them"
    assert loaded.source.endswith(".")
    assert loaded.licence.endswith(".")
    assert loaded.name in repr(loaded)
    assert loaded.hash == again.hash
    assert loaded.select(ids[1:]).hash != loaded.hash
    if loaded.features is not None:
        assert replace(loaded, features=loaded.features + 1e-9).hash != loaded.hash
    relabelled = loaded.tracks.assign(genre=pd.Categorical(["another", *loaded.tracks["genre"].astype(str)[1:]]))
    assert replace(loaded, tracks=relabelled).hash != loaded.hash


@pytest.mark.parametrize("source", SOURCES)
def test_every_corpus_keeps_the_contract(source, tmp_path, six_tracks, monkeypatch):
    monkeypatch.setattr(corpus, "_RENDERED", tmp_path / "rendered")

    def fail(*arguments, **options):
        raise AssertionError("loading opens no audio")

    with monkeypatch.context() as patch:
        for function in ("read", "write", "SoundFile", "info"):
            patch.setattr(soundfile, function, fail)
        loaded, again = SOURCES[source](tmp_path / "home"), SOURCES[source](tmp_path / "home")
        check_contract(loaded, again)
    assert not (tmp_path / "rendered").exists(), "nothing is rendered unasked"
    assert {name.split(",")[0] for name in SOURCES} >= {*corpus.names()}


@pytest.mark.parametrize("name", ["gtzan", "songs-bn-en"])
def test_the_real_tables_keep_the_contract(name, data_home):
    check_contract(corpus.load(name, data_home=data_home), corpus.load(name, data_home=data_home))


def test_audio_is_found_where_it_is_and_else_it_is_said_where_it_goes(tmp_path, six_tracks):
    gtzan = gtzan_audio(tmp_path)
    assert gtzan.audio("pop.00000").read_bytes() == b"pop.00000"
    assert [path.stem for path in gtzan.audio_paths()] == GTZAN
    mini = corpus.load("gtzan-mini", data_home=tmp_path)
    with pytest.raises(
        ParameterError, match=r"gtzan_mini/genres/blues/blues\.00000\.flac: no such file; .* goes there"
    ):
        mini.audio("blues.00000")
    wav = download.track_path(tmp_path / "gtzan_mini", "blues.00000")  # as `make data` brings it
    wav.parent.mkdir(parents=True)
    wav.touch()
    assert mini.audio("blues.00000") == wav
    with pytest.raises(ParameterError, match="lyrics-bn-en has no audio"):
        corpus.load("lyrics-bn-en").audio("bangla.000")
    with pytest.raises(ParameterError, match=r"track_id must be one of gtzan-mini, .* got 'blues'"):
        mini.audio("blues")


def test_a_synthetic_song_is_rendered_once_when_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "_RENDERED", tmp_path)
    songs = corpus.synthetic(3, seed=5, seconds=1.5)
    path = songs.audio("synthetic.00001")
    samples, sample_rate = soundfile.read(path)
    assert len(samples) == 1.5 * sample_rate
    assert np.abs(samples).max() > 0.5
    before = songs.hash
    path.write_bytes(b"kept")
    assert songs.audio("synthetic.00001").read_bytes() == b"kept"
    assert [p.name for p in tmp_path.rglob("*.wav")] == ["synthetic.00001.wav"]
    assert songs.hash == before, "the hash knows the factors, whether a song was rendered or not"
    others = [corpus.synthetic(3, seed=6, seconds=1.5), corpus.synthetic(3, seed=5, seconds=2)]
    assert before not in [other.hash for other in others]
    assert songs.texts.notna().all()


def test_the_hash_of_own_music_follows_the_audio_and_the_words(tmp_path):
    path = manifest(tmp_path)
    before = corpus.from_manifest(path).hash
    (tmp_path / "b.mp3").write_bytes(b"another song")
    other_audio = corpus.from_manifest(path).hash
    path.write_text(MANIFEST.replace("Rain again", "Sun again"), encoding="utf-8")
    assert len({before, other_audio, corpus.from_manifest(path).hash}) == 3


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


@pytest.mark.parametrize(
    ("folder", "files", "megabytes"),
    [
        ("gtzan_mini", {FACTS, INDEX, FEATURES, LOG_MEL}, 4),
        ("lyrics_bn_en", {FACTS, INDEX, LYRICS}, 0.3),
        ("songs_en_de", {FACTS, INDEX, FEATURES, LOG_MEL, LYRICS}, 6),
        ("gtzan", {INDEX}, 0.1),
    ],
)
def test_what_is_embedded_is_small_and_holds_neither_audio_nor_words(folder, files, megabytes):
    embedded = [path for path in (ROOT / "data" / folder).rglob("*") if path.is_file()]
    assert {path.name for path in embedded} == files
    assert sum(path.stat().st_size for path in embedded) < megabytes * 1e6
    # A title is one line of a few words; a song is not.
    index = pd.read_csv(ROOT / "data" / folder / INDEX, dtype=str).fillna("")
    assert not {"lyrics", "text", "words"} & {*index}
    assert index.apply(lambda column: column.str.len().max()).max() < 160
    assert not index.apply(lambda column: column.str.contains("\n").any()).any()


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ParameterError, match=r"name must be one of gtzan, gtzan-mini, .*, got 'gtzan_mini'"):
        corpus.load("gtzan_mini")


# The embedded songs and lyrics


def test_songs_en_de_is_balanced_in_language_within_each_genre():
    songs = corpus.load("songs-en-de")
    counts = pd.crosstab(songs.tracks["genre"], songs.tracks["language"])
    assert counts.to_dict("list") == {"english": [40, 15, 45], "german": [40, 15, 45]}
    assert counts.index.tolist() == ["pop", "rap", "rock"]
    assert songs.tracks["artist"].nunique() == 154
    assert songs.lyrics.shape == (200, 64)
    assert np.isfinite(songs.lyrics).all()
    assert songs.texts is None


def test_lyrics_bn_en_has_names_that_any_font_draws_and_the_bengali_ones():
    words = corpus.load("lyrics-bn-en")
    assert words.tracks["language"].value_counts().to_dict() == {"bangla": 250, "english": 200}
    assert all(name.isascii() for name in words.tracks["genre"].cat.categories)
    native = words.tracks.groupby("genre", observed=True)["genre_bengali"].agg(lambda names: [*names.dropna().unique()])
    assert native["rabindrasangeet"] == ["রবীন্দ্রসঙ্গীত"]
    assert native["country"] == []
    assert (words.features, words.log_mel) == (None, None)
    assert np.isnan(words.lyrics).all(axis=1).sum() == 4, "songs without words are missing, not zero"


@pytest.mark.parametrize("name", ["songs-en-de", "lyrics-bn-en"])
def test_the_lyric_vectors_tell_the_languages_apart(name):
    music = corpus.load(name)
    there = np.isfinite(music.lyrics).all(axis=1)
    found = KMeans(2, n_init=10, random_state=0).fit_predict(music.lyrics[there])
    assert adjusted_rand_score(music.tracks["language"][there], found) >= 0.95


@pytest.mark.parametrize("name", ["songs-en-de", "lyrics-bn-en"])
def test_rebuilding_gives_what_is_embedded(name, data_home, tmp_path):
    embedded = corpus.load(name)
    arguments = [name, "--data-home", str(data_home), "--output", str(tmp_path / "rebuilt"), "--workers", "2"]
    assert rebuild.main(arguments) == 0
    rebuilt = corpus.read(tmp_path / "rebuilt")
    pd.testing.assert_frame_equal(rebuilt.tracks, embedded.tracks)
    if embedded.features is not None:
        # Single precision, summed in other orders on other processors.
        pd.testing.assert_frame_equal(rebuilt.features, embedded.features, rtol=1e-4, atol=1e-6)
        assert np.abs(rebuilt.log_mel - embedded.log_mel).max() <= 0.07  # one step of 16 bits at −80 dB
    np.testing.assert_allclose(rebuilt.lyrics, embedded.lyrics, atol=1e-5)


# GTZAN: what is known of its faults


def test_copies_in_two_genres_are_both_left_out_and_of_others_one_is_kept(tmp_path, six_tracks):
    gtzan = gtzan_table(tmp_path)
    assert gtzan.tracks["duplicate_of"].dropna().to_dict() == {"rock.00016": "metal.00058"}
    assert gtzan.without_duplicates().tracks.index.tolist() == ["blues.00000", "blues.00001", "pop.00000", "pop.00001"]
    assert gtzan.fault_filtered().tracks.index.tolist() == ["blues.00000", "blues.00001", "metal.00058", "pop.00001"]
    same_genre = gtzan.tracks.assign(genre=pd.Categorical(["blues"] * 6))
    kept = replace(gtzan, tracks=same_genre).without_duplicates().tracks.index
    assert kept.tolist() == GTZAN[:-1]


def test_one_track_of_each_artist_is_drawn_by_the_seed(tmp_path, six_tracks):
    gtzan_table(tmp_path)
    lines = ["## notes", "blues.00000.wav ::: Ann ::: x", "blues.00001.wav ::: ann  ::: y", "pop.00000.wav ::: Bob :::"]
    (tmp_path / "gtzan" / "artist_title_index.txt").write_text("\n".join([*lines, "pop.00001.wav :::  ::: z"]))
    gtzan = corpus.load("gtzan", data_home=tmp_path)
    assert gtzan.tracks["artist"].dropna().tolist() == ["Ann", "ann", "Bob"]
    drawn = [gtzan.one_per_artist(seed=seed).tracks.index.tolist() for seed in range(20)]
    assert {tuple(ids) for ids in drawn} == {("blues.00000", "pop.00000"), ("blues.00001", "pop.00000")}
    assert drawn == [gtzan.one_per_artist(seed=seed).tracks.index.tolist() for seed in range(20)]


def test_what_a_filter_needs_is_named(tmp_path, six_tracks):
    gtzan = gtzan_table(tmp_path)
    with pytest.raises(
        ParameterError, match=r"gtzan has no column artist; put gtzan/artist_title_index\.txt of B\. L\."
    ):
        gtzan.one_per_artist()
    with pytest.raises(ParameterError, match="songs-en-de has no column fault_filtered"):
        corpus.load("songs-en-de").fault_filtered()


def test_the_facts_of_gtzan_are_those_of_their_sources(data_home, tmp_path):
    gtzan = corpus.load("gtzan", data_home=data_home)
    assert len(gtzan) == 1000
    assert len(gtzan.fault_filtered()) == 930
    assert gtzan.tracks["fault_filtered"].value_counts().to_dict() == {"train": 443, "test": 290, "valid": 197}
    assert gtzan.tracks["artist"].notna().sum() == 919
    pairs = gtzan.tracks["duplicate_of"].dropna()
    assert len(pairs) == 14
    # The sums and the public table, which others made, know the same copies.
    identical = gtzan.features.groupby([*gtzan.features]).ngroup()
    assert (identical[pairs.index].to_numpy() == identical[pairs].to_numpy()).all()
    assert identical.nunique() == 986
    across = pairs[pairs.index.str.split(".").str[0] != pairs.str.split(".").str[0]]
    assert across.to_dict() == {"rock.00016": "metal.00058"}
    assert "jazz.00054" in gtzan.fault_filtered().tracks.index
    assert rebuild.main(["gtzan", "--data-home", str(data_home), "--output", str(tmp_path / "index.csv")]) == 0
    assert (tmp_path / "index.csv").read_bytes() == (ROOT / "data" / "gtzan" / "index.csv").read_bytes()


def test_songs_bn_en_names_a_genre_the_same_in_both_languages(data_home):
    songs = corpus.load("songs-bn-en", data_home=data_home)
    assert len(songs) == 2617
    both = songs.tracks.groupby("genre", observed=True)["language"].nunique()
    assert both.index[both == 2].tolist() == ["hiphop", "metal", "pop", "rock"]
    assert songs.features.shape[1] == 57


def test_gtzan_without_its_files_says_which_to_put_where(tmp_path, six_tracks):
    with pytest.raises(ParameterError, match=r"put the public table .* at .*gtzan/features_30_sec\.csv, or the audio"):
        corpus.load("gtzan", data_home=tmp_path)
    with pytest.raises(ParameterError, match=r"put features_30_sec\.csv .* at .*songs_bn_en/features_30_sec\.csv"):
        corpus.load("songs-bn-en", data_home=tmp_path)


def test_audio_of_gtzan_goes_before_the_table_and_must_be_complete(tmp_path, six_tracks):
    gtzan_table(tmp_path)
    gtzan = gtzan_audio(tmp_path)
    assert gtzan.features is None
    download.track_path(tmp_path / "gtzan", "pop.00001").unlink()
    with pytest.raises(ParameterError, match=r"lacks 1 of 6 tracks, the first is pop\.00001\.wav: run `make data`, or"):
        corpus.load("gtzan", data_home=tmp_path)


def test_a_table_with_an_unknown_language_or_a_word_among_its_numbers_is_refused(tmp_path):
    songs_bn_en(tmp_path)
    path = tmp_path / "songs_bn_en" / "features_30_sec.csv"
    edit(path, ",eng", ",deu")
    with pytest.raises(ParameterError, match="must have a column language with eng or bng in every row"):
        corpus.load("songs-bn-en", data_home=tmp_path)
    songs_bn_en(tmp_path)
    edit(path, "120.5", "fast")
    with pytest.raises(ParameterError, match=r"must hold numbers only: .*fast"):
        corpus.load("songs-bn-en", data_home=tmp_path)


# Parts put in place, and some of the tracks


def test_features_and_lyrics_are_put_in_place_by_id(small_corpus):
    bare = replace(small_corpus, features=None, log_mel=None)
    ids = bare.tracks.index
    order = [3, 0, 7]
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
    assert bare.computed == []
    with pytest.raises(ParameterError, match=r"which must be ids of small, got 'nobody'"):
        bare.with_features(small_corpus.features.rename(index={"blues.0": "nobody"}))
    with pytest.raises(ParameterError, match="lyrics must have one vector per track: 2 vectors for 3 tracks"):
        music.with_lyrics(vectors[:2])
    with pytest.raises(ParameterError, match=r"NaN throughout a row .*; row 0 is neither"):
        music.with_lyrics(np.array([[1.0, np.nan], [0, 1], [0, 1]]))


def test_selected_tracks_keep_what_belongs_to_them(small_corpus):
    full = small_corpus.with_lyrics(np.arange(24.0).reshape(12, 2))
    for which in [["pop.3", "blues.1"], full.tracks.index.isin(["pop.3", "blues.1"])]:
        some = full.select(which)
        assert some.tracks.index.tolist() == ["blues.1", "pop.3"]
        assert some.tracks["genre"].cat.categories.tolist() == ["blues", "pop"]
        np.testing.assert_array_equal(some.lyrics, full.lyrics[[1, 11]])
        np.testing.assert_array_equal(some.log_mel, full.log_mel[[1, 11]])
        assert some.features.index.tolist() == ["blues.1", "pop.3"]
    with pytest.raises(ParameterError, match="must leave at least one track of small"):
        full.select([])
    with pytest.raises(ParameterError, match="must name each track once"):
        full.select(["pop.3", "pop.3"])
    with pytest.raises(ParameterError, match=r"one truth value per track: \(3,\) for 12"):
        full.select([True, False, True])


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


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(MANIFEST, "utf-8-sig"), (MANIFEST.replace("\n", "\r\n"), "utf-8"), (MANIFEST.replace("\n", "\r"), "utf-8")],
    ids=["byte order mark", "Windows line ends", "old Macintosh line ends"],
)
def test_manifests_of_other_programs_are_read(tmp_path, text, encoding):
    plain = corpus.from_manifest(manifest(tmp_path / "plain"))
    other = corpus.from_manifest(manifest(tmp_path / "other", text, encoding))
    pd.testing.assert_frame_equal(other.tracks, plain.tracks)


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
        r"line 4: audio 'x\.mp3' is no file .*looked for .*/x\.mp3",
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
    "a file twice": ("audio\nb.mp3\nb.mp3\n", "lines 2 and 3: the same track_id 'b'"),
    "an open quote": ('audio,genre\n"b.mp3,pop\n', "cannot be read as CSV"),
    "both kinds of lyrics": ("audio,lyrics,lyrics_file\nb.mp3,a,a.txt\n", "give lyrics or lyrics_file, not both"),
    "missing lyrics": ("audio,lyrics_file\nb.mp3,no.txt\n", r"line 2: lyrics_file 'no\.txt' is no file"),
    "lyrics that are no text": (
        "audio,lyrics_file\nb.mp3,latin.txt\n",
        r"latin\.txt, line 2: is not UTF-8 \(byte 0xe9",
    ),
}


@pytest.mark.parametrize("case", BAD_MANIFESTS)
def test_a_bad_manifest_is_one_clear_error(case, tmp_path):
    text, message = BAD_MANIFESTS[case]
    path = manifest(tmp_path, text or "")
    (tmp_path / "latin.txt").write_bytes("one\nété".encode("latin-1"))
    if text is None:
        path.unlink()
    with pytest.raises(ParameterError, match=message) as caught:
        corpus.from_manifest(path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_manifest_in_another_encoding_is_refused_and_not_garbled(tmp_path, encoding):
    path = manifest(tmp_path, "audio,artist\nb.mp3,Béla\n", encoding)
    with pytest.raises(ParameterError, match=r"songs\.csv, line .*is not UTF-8 \(byte 0x.*save it as UTF-8"):
        corpus.from_manifest(path)


def test_a_folder_becomes_a_corpus(tmp_path):
    music = corpus.from_folder(genres(tmp_path))
    assert music.tracks.index.tolist() == ["rock/live/y", "rock/x", "বাউল/গান"]
    assert music.tracks["genre"].tolist() == ["rock", "rock", "বাউল"]
    assert music.audio("বাউল/গান").is_file()


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (["loose.mp3"], r"loose\.mp3: lies in no genre; it must be .*/GENRE/loose\.mp3"),
        (["rock/x.mp3", "rock/x.wav"], r"x\.wav: the same track as .*x\.mp3; keep one"),
        (["rock/cover.jpg", ".hidden/a.mp3"], r"holds no GENRE/FILE with one of the endings \.aif"),
    ],
)
def test_a_bad_folder_is_one_clear_error(tmp_path, add, message):
    for name in add:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(ParameterError, match=message):
        corpus.from_folder(tmp_path)


def test_a_manifest_is_no_folder_and_a_folder_no_manifest(tmp_path):
    with pytest.raises(ParameterError, match="is a file; see from_manifest"):
        corpus.from_folder(manifest(tmp_path))
    with pytest.raises(ParameterError, match="is a folder; see from_folder"):
        corpus.from_manifest(tmp_path)
    with pytest.raises(ParameterError, match="no such folder"):
        corpus.from_folder(tmp_path / "none")


# Saving and reading


def test_what_was_saved_is_read(small_corpus, folder):
    again = corpus.read(folder)
    pd.testing.assert_frame_equal(again.tracks, small_corpus.tracks)
    pd.testing.assert_frame_equal(again.features, small_corpus.features, check_exact=True)
    np.testing.assert_array_equal(again.log_mel, small_corpus.log_mel)
    assert (again.name, again.source, again.licence) == (small_corpus.name, small_corpus.source, small_corpus.licence)
    assert (again.feature_version, again.parameters) == (3, {"n_mels": 4})
    assert again.hash == small_corpus.hash


def test_lyric_vectors_are_saved_and_words_are_not(small_corpus, tmp_path):
    words = pd.Series(["never to be published", *[None] * 11], index=small_corpus.tracks.index)
    vectors = np.random.default_rng(0).normal(size=(12, 3))
    vectors[4] = np.nan
    music = replace(small_corpus, features=None, log_mel=None, texts=words).with_lyrics(vectors)
    corpus.save(music, tmp_path / "words")
    again = corpus.read(tmp_path / "words")
    assert again.hash == music.hash
    np.testing.assert_allclose(again.lyrics, vectors, rtol=1e-6)
    assert (again.features, again.log_mel, again.texts) == (None, None, None)
    assert files(tmp_path / "words").keys() == {FACTS, INDEX, LYRICS}
    assert not any(b"never to be published" in content for content in files(tmp_path / "words").values())


def test_a_corpus_of_which_nothing_was_computed_is_not_saved(tmp_path):
    with pytest.raises(ParameterError, match="songs holds nothing to save: compute features or lyric vectors first"):
        corpus.save(corpus.from_manifest(manifest(tmp_path)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


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
    "a later format": (FACTS, lambda p: change_json(p, format=99), "format must be 2 .* got 99"),
    "an unknown part": (
        FACTS,
        lambda p: change_json(p, parts=["video"]),
        "parts must be one of features.* got 'video'",
    ),
    "a label without column": (FACTS, lambda p: change_json(p, labels=["mood"]), "no column mood"),
    "an empty table": (FEATURES, lambda p: p.write_text(""), "cannot be read as a table"),
    "a binary table": (INDEX, lambda p: p.write_bytes(b"\xff\xfe\x00\x81" * 99), "cannot be read as a table"),
    "no ids": (FEATURES, lambda p: edit(p, "track_id", "id"), "must have a column track_id"),
    "an id twice": (INDEX, lambda p: set_cell(p, 1, "track_id", "blues.0"), "'blues.0' comes more"),
    "ids out of order": (INDEX, lambda p: set_cell(p, 0, "track_id", "zydeco.0"), "must be sorted by track_id"),
    "a track without id": (INDEX, lambda p: set_cell(p, 0, "track_id", None), "index of strings called track_id"),
    "a track without genre": (
        INDEX,
        lambda p: set_cell(p, 5, "genre", None),
        "must have a genre for every track, 'jazz.1' has none",
    ),
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
    with pytest.raises(ParameterError, match="tracks must have genre as categories, got str"):
        replace(small_corpus, tracks=small_corpus.tracks.astype({"genre": str}))
    with pytest.raises(ParameterError, match="log_mel must be an array of floats"):
        replace(small_corpus, log_mel=small_corpus.log_mel.astype(int))
    with pytest.raises(ParameterError, match="tracks must have at least one track"):
        replace(small_corpus, tracks=small_corpus.tracks.iloc[:0])


# The command that builds the embedded corpus


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A data folder like the real one, with four short tracks of two genres; one artist and one title are unknown."""
    home = tmp_path / "home"
    ids = [f"{genre}.0000{i}" for genre in ("blues", "rock") for i in range(2)]
    sums = []
    for seed, track_id in enumerate(ids):
        path = home / "gtzan_mini" / "genres" / track_id.split(".")[0] / f"{track_id}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, bench.clip(2.0, seed=seed), SAMPLE_RATE, subtype="PCM_16")
        sums.append(hashlib.sha256(download.as_wav(path.read_bytes())).hexdigest())
    facts = pd.DataFrame({"sha256": sums, "fault_filtered": None}, index=pd.Index(ids, name="track_id"))
    monkeypatch.setattr(download, "published", facts.copy)
    (home / "gtzan").mkdir()
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


# What was measured on audio and tables that are not held here


def test_evidence_is_found_by_name_and_an_unknown_name_lists_what_there_is():
    assert corpus.evidence("public_check.csv").is_file()
    known = r"example\.npz, public_check\.csv, published\.csv"
    with pytest.raises(ParameterError, match=rf"file must be one of {known}, got 'nothing'"):
        corpus.evidence("nothing")


def test_the_embedded_check_says_what_the_tables_say(data_home):
    table = pd.read_csv(data_home / "gtzan" / "features_30_sec.csv")
    theirs = table.set_index(table["filename"].str.removesuffix(".wav"))
    check = pd.read_csv(corpus.evidence("public_check.csv"), index_col="column")
    ours = corpus.load("gtzan-mini").features[list(check.index)]
    relative = (ours / theirs.loc[ours.index, list(check.index)] - 1).abs()
    assert len(check) == 53
    np.testing.assert_allclose(check["median"], relative.median(), rtol=0.01, atol=1e-14)
    np.testing.assert_allclose(check["worst"], relative.max(), rtol=0.01, atol=1e-14)
    assert (check["median"] < 0.01).all()
