"""Corpora: tables of tracks with what is known of them and what was computed from them, rows aligned by `track_id`.

A corpus comes from `load` by its name, from `from_manifest` or `from_folder` out of your own music, or from `read` out
of a folder that `save` wrote. What was not computed yet is None: this floor knows where audio and words are, the floors
of features and lyrics turn them into numbers, and `Corpus.with_features` and `Corpus.with_lyrics` put these in place::

    music = corpus.from_folder("my music")
    computed, log_mel, report = features.extract_many(music.audio_paths(), ids=music.tracks.index)
    music = music.with_features(computed, log_mel)
    music = music.with_lyrics(lyrics.embed(music.texts))  # where there are lyrics

A saved corpus holds what was derived, never audio or words.
"""

from vae_lib.corpus.base import Corpus
from vae_lib.corpus.manifest import from_folder, from_manifest
from vae_lib.corpus.saved import FACTS, INDEX, NUMBERS, read, save
from vae_lib.corpus.sources import evidence, load, names, peers, synthetic

__all__ = [
    "FACTS",
    "INDEX",
    "NUMBERS",
    "Corpus",
    "evidence",
    "from_folder",
    "from_manifest",
    "load",
    "names",
    "peers",
    "read",
    "save",
    "synthetic",
]
