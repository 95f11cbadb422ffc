"""Lyrics: what is cleaned and what stays, vectors that repeat, and languages that are found in real songs."""

import sys
import types
import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from vae_lib import synth
from vae_lib.checks import ParameterError
from vae_lib.features.lyrics import centre_by, clean, embed, missing

SONGS = [
    "The rain is falling on the town",
    "Rain on the roof and rain on me",
    "I love you more than words can say",
    "Love me now and love me tomorrow",
    "বৃষ্টি পড়ে টিনের চালে",
    "মেঘের পরে মেঘ জমেছে আকাশে",
    "তোমায় আমি ভালোবাসি",
    "নদীর জলে নৌকা ভাসে",
]


@pytest.fixture(scope="module")
def songs():
    table = synth.factors(120, seed=5)
    return table.assign(lyrics=[synth.lyrics(row) for _, row in table.iterrows()])


# Cleaning


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Hello,   World!\n\tAgain", "hello world again"),
        ("[Verse 1: Somebody & Others]\nI go\n[অন্তরা]\nযাই", "i go যাই"),
        ("Chorus:\nSing\n  Verse 2 :\nkeep this: sing\nকোরাস:\nগাই", "sing keep this sing গাই"),
        ("Na na (x2)\nla (2x) la ( × 3 )\nআয় (২ বার)\nso (Repeat) it goes (Chorus x2)", "na na la la আয় so it goes"),
        (
            "Some Song LyricsLate at night\nread my lyrics, love\nand embed me12Embed",
            "late at night read my lyrics love and embed me",
        ),
        ("Her Lyrics are sung", "her lyrics are sung"),
        ("go to http://example.org/a?b or www.example.org now", "go to or now"),
        ("She said (oh yeah) to the chorus", "she said oh yeah to the chorus"),
        ("[a poem\nthat is spoken]", "a poem that is spoken"),
        ("Don’t rock ’n’ roll, ক'দিন", "dont rock n roll কদিন"),
        ("২০২৪ and 2024 and ٣", "2024 and 2024 and 3"),
        ("আমি যাই। তুমি কই?॥ শেষ—হায়…", "আমি যাই তুমি কই শেষ হায়"),
        ("STRASSE Straße ÉTÉ", "strasse strasse été"),
        ("♪ 100% ❤️ $", "100"),
        ("\ufeffre\u00adfrain \u200bfoo\u2060bar", "refrain foobar"),
    ],
)
def test_what_is_not_sung_goes_and_the_rest_stays(text, cleaned):
    assert clean(text) == unicodedata.normalize("NFC", cleaned)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\u09df", "\u09af\u09bc"),  # য়, as one character or as য and a dot
        ("\u09dc", "\u09a1\u09bc"),  # ড়
        ("\u0995\u09cb", "\u0995\u09c7\u09be"),  # কো, its vowel sign in one piece or in two
        ("\u0995\u09cc", "\u0995\u09c7\u09d7"),  # কৌ
        ("\u0989\u09ce\u09b8\u09ac", "\u0989\u09a4\u09cd\u200d\u09b8\u09ac"),  # উৎসব, with the old khanda ta
        ("\u09b0\u09cd\u09af\u09be\u09ac", "\u09b0\u200d\u09cd\u09af\u09be\u09ac"),  # র‍্যাব, joiner before the virama
        ("\u0989\u09a6\u09cd\u09af\u09be\u09aa\u09a8", "\u0989\u09a6\u09cd\u200c\u09af\u09be\u09aa\u09a8"),  # উদ্‌যাপন
    ],
)
def test_two_ways_to_type_a_bengali_word_are_one_word(one, other):
    assert clean(one) == clean(other)


def test_bengali_vowel_signs_and_conjuncts_stay():
    for word in ("ভালোবাসা", "বৃষ্টি", "চাঁদ", "দুঃখ", "বাংলা", "ক্ষণ", "হৃদয়", "উৎসব"):
        assert clean(word) == unicodedata.normalize("NFC", word)


@given(
    st.text(alphabet=st.one_of(st.sampled_from("[](): \nx2২X'’\u0301\u200d\u09cd\u09a4\u09c7\u09be"), st.characters()))
)
def test_cleaning_twice_changes_nothing(text):
    once = clean(text)
    assert clean(once) == once
    assert once == " ".join(once.split())


@pytest.mark.parametrize("text", [None, float("nan"), np.nan, pd.NA, "", "  \n", "[Instrumental]", "♪ ♪ (x2)"])
def test_no_lyrics_is_empty(text):
    assert clean(text) == ""


# Vectors


def test_vectors_repeat_whatever_the_seed_and_have_length_1():
    vectors = embed(SONGS, dimensions=4)
    assert vectors.shape == (len(SONGS), 4)
    assert np.array_equal(vectors, embed(SONGS, dimensions=4))
    # Signs included: another start of the solver must not mirror a component.
    np.testing.assert_allclose(vectors, embed(SONGS, dimensions=4, seed=1), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1)


def test_markers_do_not_move_a_song():
    marked = [f"[Verse 1]\n{text} (x2)\n\n[Chorus]\n" for text in SONGS]
    np.testing.assert_array_equal(embed(SONGS, dimensions=4), embed(marked, dimensions=4))


def test_a_song_without_lyrics_is_missing_and_moves_no_other():
    vectors = embed(SONGS, dimensions=4)
    with_gaps = embed([None, *SONGS[:3], "[Instrumental]", *SONGS[3:], float("nan")], dimensions=4)
    assert missing(with_gaps).tolist() == [True] + [False] * 3 + [True] + [False] * 5 + [True]
    np.testing.assert_array_equal(with_gaps[~missing(with_gaps)], vectors)


def test_a_song_that_shares_nothing_lies_at_zero_not_at_random():
    vectors = embed([*SONGS[:4], "ψψψψψψ"], dimensions=2)
    assert np.abs(vectors[4]).max() < 1e-6
    assert not missing(vectors).any()


def found(vectors, labels, k=2):
    present = ~missing(vectors)
    groups = KMeans(k, n_init=10, random_state=0).fit_predict(vectors[present])
    return adjusted_rand_score(np.asarray(labels)[present], groups)


def test_synthetic_lyrics_tell_language_then_theme_never_genre(songs):
    vectors = embed(songs["lyrics"], dimensions=16)
    assert found(vectors, songs["language"]) > 0.95
    centred = centre_by(vectors, songs["language"])
    assert found(centred, songs["language"]) < 0.1
    for language in synth.LANGUAGES:
        of = (songs["language"] == language).to_numpy()
        assert found(vectors[of], songs["theme"][of], k=len(synth.THEMES)) > 0.6
        assert abs(found(vectors[of], songs["genre"][of], k=len(synth.GENRES))) < 0.1


@pytest.mark.parametrize("table", ["songs_en_de/tracks.csv", "lyrics_bn_en/songs.csv"])
def test_languages_of_real_songs_are_found(data_home, table):
    if not (data_home / table).is_file():
        pytest.skip(f"no {data_home / table}")
    real = pd.read_csv(data_home / table)
    vectors = embed(real["lyrics"])
    assert missing(vectors).sum() == real["lyrics"].isna().sum()
    assert found(vectors, real["language"]) >= 0.95
    # What the centred vectors are for: the language is gone from where they lie.
    assert found(centre_by(vectors, real["language"]), real["language"]) < 0.05


# Groups


def test_centring_takes_the_mean_of_each_group_and_leaves_gaps():
    vectors = np.array([[1.0, 2.0], [3.0, 4.0], [np.nan, np.nan], [10.0, 0.0]])
    before = vectors.copy()
    centred = centre_by(vectors, ["en", "en", "en", "bn"])
    np.testing.assert_array_equal(centred, [[-1, -1], [1, 1], [np.nan, np.nan], [0, 0]])
    np.testing.assert_array_equal(vectors, before)


# The optional sentence model


def test_the_sentence_model_comes_from_the_disk_and_reads_sentences_without_markers(monkeypatch):
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "sentence_transformers", None)
        with pytest.raises(ParameterError, match=r"needs the package sentence-transformers \(pip install"):
            embed(SONGS, method="labse", dimensions=2)
    seen = {}

    class SentenceTransformer:  # stands in for the real one: counts letters
        def __init__(self, name, **options):
            seen.update(options)
            if name != "on disk":
                raise OSError("couldn't find it in the cached files")

        def encode(self, texts, **options):
            seen["texts"] = texts
            return np.array([[text.count(letter) for letter in "aeiounrst"] for text in texts], dtype=np.float32)

    package = types.SimpleNamespace(SentenceTransformer=SentenceTransformer)
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    with pytest.raises(ParameterError, match=r"'some/model' is not on this disk.*downloaded unasked"):
        embed(SONGS, method="labse", dimensions=2, model="some/model")
    texts = ["[Verse]\nHello, World!", None, *SONGS[:4]]
    vectors = embed(texts, method="labse", dimensions=3, model="on disk")
    assert seen["local_files_only"] is True
    assert seen["texts"][0] == "Hello, World!"
    assert vectors.shape == (6, 3)
    assert missing(vectors).tolist() == [False, True, False, False, False, False]


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "bert"}, "method must be one of lsa, labse, got 'bert'"),
        ({"dimensions": 0}, "dimensions must be a whole number of at least 1, got 0"),
        ({"dimensions": 8}, "dimensions must be less than 8, the smaller of 8 songs with lyrics and .* got 8"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        embed(SONGS, **{"dimensions": 2, **options})


def test_texts_that_are_none_are_refused():
    with pytest.raises(ParameterError, match="texts must be a list of lyrics, one per song"):
        embed("la la la", dimensions=1)
    with pytest.raises(ParameterError, match=r"text must be a string, None or NaN, got 7 \(int\)"):
        embed(["la", 7], dimensions=1)
    with pytest.raises(ParameterError, match="texts must have lyrics for some song, all 2 are empty"):
        embed([None, "[Intro]"], dimensions=1)


def test_vectors_and_groups_that_cannot_be_are_refused():
    for vectors in ([[1.0, 2.0], [np.nan, 2.0]], [[np.inf, 2.0]], [1.0, 2.0, 3.0]):
        with pytest.raises(
            ParameterError, match=r"vectors must be a (table, each row finite or, .* NaN|non-empty table)"
        ):
            missing(vectors)
    with pytest.raises(ParameterError, match="groups must have 2 labels, one per track, got 3"):
        centre_by(np.ones((2, 2)), ["en", "bn", "bn"])
    with pytest.raises(ParameterError, match="groups must have a label for every track"):
        centre_by(np.ones((2, 2)), ["en", None])
