"""A hybrid corpus made from known causes: short clips of music and their lyrics, both written by this package.

`factors` draws what each song is, one row per song; `render` turns a row into sound and `lyrics` turns it into words.
A row holds its own seed, so a song is the same however many others there are, and changing one factor of a row changes
that factor alone: the drummer keeps the same hands, the melody the same motif.

Genre and language go round in turn and meet equally often; theme, key, mode, brightness and density are drawn
independently of them and of each other. Only the tempo depends on something: it lies in the range of its genre. Theme
is heard in the words alone. Language is heard in the words, and in the sound as a mannerism: the Bangla songs here
glide from note to note over a soft drone, the English ones do neither. That is a caricature, meant as a nuisance that a
model can find and remove, not as a description of anyone's music.

Genres and their instruments stand in ``genres.toml``, words in ``words.toml``.
"""

from vae_lib.synth.causes import DRUMS, FACTORS, GENRES, LANGUAGES, MODES, THEMES, VERSION, VOICES, WORDS, factors
from vae_lib.synth.sound import SAMPLE_RATE, SECONDS, render
from vae_lib.synth.words import lyrics

SOURCE = "Rendered by vae_lib.synth from known factors; the lyrics come from its own grammars."
LICENCE = "Made by this project and under its licence."

__all__ = [
    "DRUMS",
    "FACTORS",
    "GENRES",
    "LANGUAGES",
    "LICENCE",
    "MODES",
    "SAMPLE_RATE",
    "SECONDS",
    "SOURCE",
    "THEMES",
    "VERSION",
    "VOICES",
    "WORDS",
    "factors",
    "lyrics",
    "render",
]
