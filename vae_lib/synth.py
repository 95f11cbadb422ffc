"""A hybrid corpus made from known causes: short clips of music and their lyrics, both written by this module.

`factors` draws what each song is, one row per song; `render` turns a row into sound and `lyrics` turns it into words.
A row holds its own seed, so a song is the same however many others there are, and changing one factor of a row changes
that factor alone: the drummer keeps the same hands, the melody the same motif.

Genre and language go round in turn and meet equally often; theme, key, mode, brightness and density are drawn
independently of them and of each other. Only the tempo depends on something: it lies in the range of its genre. Theme
is heard in the words alone. Language is heard in the words, and in the sound as a mannerism: the Bangla songs here
glide from note to note over a soft drone, the English ones do neither. That is a caricature, meant as a nuisance that a
model can find and remove, not as a description of anyone's music.

A bar is a string with one sign per step, as on a drum machine::

    X always played   x often left out where the song is sparse   o played only where it is dense   . silence

and in a bass line ``1 3 5 8`` are root, third, fifth and octave of the chord.
"""

import math
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.fft
from scipy.ndimage import uniform_filter1d

from vae_lib import checks
from vae_lib.checks import ParameterError

VERSION = 1  # goes up whenever a row, a sound or a word changes
SAMPLE_RATE = 22_050  # Hz
SECONDS = 6.0
SOURCE = "Rendered by vae_lib.synth from known factors; the lyrics come from its own grammars."
LICENCE = "Made by this project and under its licence."

MODES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}  # semitones above the tonic
FACTORS = ("genre", "language", "theme", "tempo", "key", "mode", "brightness", "density")

_TEMPO = (40.0, 240.0)  # beats per minute that a row may ask for
_PARTS = ("drums", "bass", "chords", "melody", "room", "words")  # each has a random stream of its own


class Voice(NamedTuple):
    """An instrument: what a tone of it is made of and how it begins and dies."""

    partials: tuple[float, ...]  # strength of each harmonic, from the fundamental
    attack: float = 0.005  # seconds
    decay: float = 0.0  # per second: how fast the fundamental dies, higher partials faster; 0 sustains
    detune: float = 0.0  # cents between two copies played together
    vibrato: float = 0.0  # cents, in a melody
    plucked: int = 0  # a string excited by noise, instead of harmonics: 1 with a plectrum, more with a softer finger


def _falling(power: float, number: int = 14) -> tuple[float, ...]:
    return tuple(float(h**-power) for h in range(1, number + 1))


VOICES = {
    "piano": Voice(_falling(1.3), decay=1.6),
    "electric piano": Voice((1, 0.15, 0.05, 0.3, 0, 0, 0.12), decay=1.4, detune=4),
    "organ": Voice((1, 0.9, 0.3, 0.6, 0, 0.2, 0, 0.35), attack=0.01),
    "strings": Voice(_falling(1.1), attack=0.07, detune=14, vibrato=18),
    "brass": Voice((0.8, 1, 0.6, 0.8, 0.35, 0.4, 0.2, 0.3, 0.15), attack=0.03, vibrato=10),
    "accordion": Voice((1, 0.8, 0.4, 0.6, 0.2, 0.2, 0.15, 0.25, 0.1), attack=0.025, detune=18),
    "distorted guitar": Voice(_falling(0.8, 10), attack=0.003, decay=0.5, detune=8),
    "steel guitar": Voice((), decay=0.7, plucked=1),
    "nylon guitar": Voice((), decay=1.4, plucked=4),
    "synthesiser": Voice(_falling(1, 16), attack=0.004, decay=0.8, detune=16),
    "flute": Voice((1, 0.25, 0.1, 0.04), attack=0.04, vibrato=22),
    "piccolo": Voice((1, 0.4, 0.2, 0.1), attack=0.02, vibrato=8),
    "singer": Voice((1, 0.9, 0.45, 0.5, 0.2, 0.2, 0.1, 0.1), attack=0.04, vibrato=30),
    "harmonica": Voice((1, 0.9, 0.4, 0.5, 0.2, 0.2, 0.1, 0.2), attack=0.03, vibrato=20),
    "lead guitar": Voice(_falling(0.9, 12), attack=0.006, decay=0.4, vibrato=25),
    "bell": Voice((1, 0.1, 0.4, 0.05, 0.15), decay=2.5),
    "double bass": Voice((1, 0.7, 0.4, 0.25, 0.12, 0.06), attack=0.008, decay=2.2),
    "electric bass": Voice(_falling(1.2, 10), decay=1.2),
    "deep bass": Voice((1, 0.35, 0.12, 0.05), attack=0.012, decay=0.6),
    "tuba": Voice((1, 0.8, 0.5, 0.3, 0.15), attack=0.02, decay=1.5),
    "drone": Voice(_falling(0.6, 24), attack=0.05, decay=0.25),
}


class Genre(NamedTuple):
    """An archetype. A bar has ``beats`` × ``steps`` steps; a progression lists scale degrees, 0 being the tonic."""

    tempo: tuple[float, float]  # beats per minute
    drums: dict[str, str]
    bass: tuple[str, str]  # voice, bar
    chords: tuple[str, str]
    melody: tuple[str, str]
    major: tuple[int, ...]
    minor: tuple[int, ...]
    levels: tuple[float, float, float, float]  # drums, bass, chords, melody in the mix
    beats: int = 4  # per bar
    steps: int = 4  # per beat; 3 is a shuffle
    swing: float = 0.0  # of a step, by which every second one is late
    chords_per_bar: int = 1
    shape: tuple[int, ...] = (0, 2, 4)  # scale degrees of a chord above its root
    short: bool = False  # chords are cut off, instead of ringing on to the next one
    broken: bool = False  # notes of a chord one after the other
    drive: float = 0.0  # distortion of the chords
    reach: int = 48  # lowest note of a chord, MIDI
    room: float = 0.15  # share of reverberation


GENRES = {
    "ballad": Genre(
        tempo=(66, 84),
        drums={"kick": "X.......X.o.....", "rim": "....X.......X.o.", "hat": "xoxoxoxoxoxoxoxo"},
        bass=("electric bass", "1.......1...3..."),
        chords=("piano", "X.x.x.x.X.x.x.o."),
        melody=("singer", "x...x.x.x...o.o."),
        major=(0, 3, 4, 0),
        minor=(0, 5, 3, 0),
        levels=(0.5, 0.7, 1.0, 0.8),
        chords_per_bar=2,
        broken=True,
        room=0.35,
    ),
    "march": Genre(
        tempo=(104, 126),
        drums={"kick": "X...X...X...X...", "snare": "oooxXoxxoooxXoxx", "crash": "X..............."},
        bass=("tuba", "1...5...1...3..."),
        chords=("brass", "..X...X...X...X."),
        melody=("piccolo", "X..xx.x.X...x.o."),
        major=(0, 0, 3, 0),
        minor=(0, 0, 3, 0),
        levels=(0.8, 0.8, 0.7, 0.8),
        short=True,
    ),
    "waltz": Genre(
        tempo=(132, 172),
        drums={"brush": "oooooooooooo", "snare": "....x...x.o.", "kick": "X..........."},
        bass=("double bass", "1..........."),
        chords=("accordion", "....X...X..."),
        melody=("strings", "X...o...x.o."),
        major=(0, 3, 4, 0),
        minor=(0, 3, 4, 0),
        levels=(0.45, 0.9, 0.9, 0.9),
        beats=3,
        short=True,
        room=0.3,
    ),
    "reggae": Genre(
        tempo=(70, 92),
        drums={"kick": "........X.......", "rim": "..o.....X.o...o.", "hat": "xoxoxoxoxoxoxoxo"},
        bass=("deep bass", "1..1..3.1...3.1."),
        chords=("organ", "..X...X...X...X."),
        melody=("singer", "x.....x.x.o...o."),
        major=(0, 3, 0, 4),
        minor=(0, 3, 0, 6),
        levels=(0.7, 1.0, 0.8, 0.5),
        swing=0.15,
        short=True,
        room=0.25,
    ),
    "disco": Genre(
        tempo=(112, 130),
        drums={
            "kick": "X...X...X...X...",
            "clap": "....X.......X...",
            "open hat": "..X...X...X...X.",
            "hat": "xoooxoooxoooxooo",
        },
        bass=("electric bass", "1.8.1.8.1.8.1.8."),
        chords=("strings", "X.....x.....o.x."),
        melody=("synthesiser", "x..x..x.x.o.o.x."),
        major=(0, 3, 0, 4),
        minor=(0, 6, 0, 5),
        levels=(1.0, 0.8, 0.7, 0.5),
    ),
    "metal": Genre(
        tempo=(140, 180),
        drums={"kick": "XoxxXoxxXoxxXoxx", "snare": "....X.......X.oo", "crash": "X...o...o...o..."},
        bass=("electric bass", "1.111.111.111.11"),
        chords=("distorted guitar", "X.xxX.xxX.xxX.xo"),
        melody=("lead guitar", "X.x.x.o.X.o.x.o."),
        major=(0, 0, 3, 4),
        minor=(0, 0, 5, 6),
        levels=(0.8, 0.6, 1.0, 0.6),
        shape=(0, 4, 7),
        short=True,
        drive=6.0,
        reach=40,
        room=0.08,
    ),
    "blues": Genre(
        tempo=(76, 116),
        drums={"kick": "X..o..X..o..", "snare": "o.oX.oo.oX.o", "ride": "xoxxoxxoxxox"},
        bass=("double bass", "1..1..3..5.."),
        chords=("piano", "X....XX....o"),
        melody=("harmonica", "X.xo.xX..o.."),
        major=(0, 0, 3, 0),
        minor=(0, 0, 3, 0),
        levels=(0.7, 0.9, 0.6, 0.8),
        steps=3,
        shape=(0, 2, 4, 6),
        short=True,
        drive=0.8,
    ),
    "hip hop": Genre(
        tempo=(80, 100),
        drums={"kick": "X.....x.X.o....o", "snare": "....X....o..X..o", "hat": "XoooxoooXoooxooo"},
        bass=("deep bass", "1.......1.5....."),
        chords=("electric piano", "X.....o.x......."),
        melody=("bell", "x..x..o.x...o..."),
        major=(0, 3),
        minor=(0, 3),
        levels=(1.1, 1.0, 0.6, 0.4),
        swing=0.25,
        shape=(0, 2, 4, 6),
        room=0.1,
    ),
    "folk": Genre(
        tempo=(92, 126),
        drums={"shaker": "ooxoooxoooxoooxo", "stomp": "X...o...x...o..."},
        bass=("double bass", "1.......5......."),
        chords=("steel guitar", "X...x.o.x...x.oo"),
        melody=("flute", "X...x.x.x...o.x."),
        major=(0, 3, 0, 4),
        minor=(0, 3, 0, 4),
        levels=(0.35, 0.6, 1.0, 0.7),
        room=0.2,
    ),
    "bossa nova": Genre(
        tempo=(116, 144),
        drums={"rim": "x..o..x...o.x...", "kick": "x...X...x...X...", "shaker": "XoooxoooXoooxooo"},
        bass=("double bass", "1.....5.5.....1."),
        chords=("nylon guitar", "X...x..xX..x..o."),
        melody=("flute", "x.....x.o...x.o."),
        major=(0, 1, 0, 3),
        minor=(0, 3, 0, 3),
        levels=(0.45, 0.8, 1.0, 0.6),
        shape=(0, 2, 4, 6),
        room=0.2,
    ),
}


class Drum(NamedTuple):
    """A percussion sound: a burst of noise, a dropping tone, or both. Decays are per second."""

    noise: float = 0.0  # level
    decay: float = 30.0
    thin: int = 0  # how often the noise is differenced: each time 6 dB per octave less bass
    tone: float = 0.0  # level
    pitch: float = 0.0  # Hz in the end
    drop: float = 0.0  # Hz by which it starts higher
    body: float = 30.0  # decay of the tone
    attack: float = 0.0005  # seconds


DRUMS = {
    "kick": Drum(noise=0.15, decay=150, tone=1.0, pitch=46, drop=120, body=14),
    "stomp": Drum(noise=0.1, decay=60, tone=0.8, pitch=62, drop=50, body=22),
    "snare": Drum(noise=0.6, decay=22, thin=1, tone=0.5, pitch=185, drop=60, body=28),
    "clap": Drum(noise=0.6, decay=26, thin=1, attack=0.012),
    "brush": Drum(noise=0.35, decay=18, thin=1, attack=0.03),
    "rim": Drum(noise=0.2, decay=140, thin=1, tone=0.6, pitch=820, drop=500, body=75),
    "hat": Drum(noise=0.25, decay=65, thin=2),
    "open hat": Drum(noise=0.25, decay=13, thin=2, attack=0.003),
    "ride": Drum(noise=0.14, decay=9, thin=2, tone=0.06, pitch=3150, body=10),
    "crash": Drum(noise=0.3, decay=3.5, thin=1, attack=0.002),
    "shaker": Drum(noise=0.25, decay=45, thin=2, attack=0.02),
}


# Words. A thing is named in the forms that a line may ask for: in Bangla nominative, genitive and locative; English
# needs one. Every form fits every line of its language, so that words tell the theme and lines tell nothing.

WORDS = {
    "bangla": {
        "love": {
            "things": [
                ("ভালোবাসা", "ভালোবাসার", "ভালোবাসায়"),
                ("তোমার হাসি", "তোমার হাসির", "তোমার হাসিতে"),
                ("তোমার চোখ", "তোমার চোখের", "তোমার চোখে"),
                ("হৃদয়", "হৃদয়ের", "হৃদয়ে"),
                ("প্রেম", "প্রেমের", "প্রেমে"),
            ],
            "lines": [
                "তুমি আমার প্রাণের আলো",
                "হাতটি ধরো, থাকো পাশে",
                "তোমায় ছাড়া কিছু চাই না",
                "দুটি মনে একই সুর",
            ],
        },
        "rain": {
            "things": [
                ("বৃষ্টি", "বৃষ্টির", "বৃষ্টিতে"),
                ("কালো মেঘ", "কালো মেঘের", "কালো মেঘে"),
                ("ভেজা হাওয়া", "ভেজা হাওয়ার", "ভেজা হাওয়ায়"),
                ("শ্রাবণ", "শ্রাবণের", "শ্রাবণে"),
                ("বর্ষার আকাশ", "বর্ষার আকাশের", "বর্ষার আকাশে"),
            ],
            "lines": [
                "ঝিরিঝিরি জল পড়ে আজ",
                "জানালা ভিজে যায় আমার",
                "ছাতা নেই, তবু পথে নামি",
                "মেঘ ডাকে দূর আকাশে",
            ],
        },
        "city": {
            "things": [
                ("শহর", "শহরের", "শহরে"),
                ("ব্যস্ত রাস্তা", "ব্যস্ত রাস্তার", "ব্যস্ত রাস্তায়"),
                ("পুরোনো গলি", "পুরোনো গলির", "পুরোনো গলিতে"),
                ("মানুষের ভিড়", "মানুষের ভিড়ের", "মানুষের ভিড়ে"),
                ("উঁচু দালান", "উঁচু দালানের", "উঁচু দালানে"),
            ],
            "lines": [
                "গাড়ির শব্দে ঘুম আসে না",
                "রিকশা চলে মোড়ে মোড়ে",
                "চায়ের দোকানে ২৪ ঘণ্টা আলো",
                "সবাই ছোটে, কেউ থামে না",
            ],
        },
        "river": {
            "things": [
                ("নদী", "নদীর", "নদীতে"),
                ("ছোট নৌকা", "ছোট নৌকার", "ছোট নৌকায়"),
                ("নদীর ঢেউ", "নদীর ঢেউয়ের", "নদীর ঢেউয়ে"),
                ("খেয়াঘাট", "খেয়াঘাটের", "খেয়াঘাটে"),
                ("ভাটার টান", "ভাটার টানের", "ভাটার টানে"),
            ],
            "lines": [
                "মাঝি, তুমি পাল তোলো আজ",
                "জলের বুকে আলো কাঁপে",
                "ওপারে কে বাঁশি বাজায়?",
                "স্রোতে ভেসে সাগরে যাই",
            ],
        },
        "work": {
            "things": [
                ("কাজ", "কাজের", "কাজে"),
                ("ধানের মাঠ", "ধানের মাঠের", "ধানের মাঠে"),
                ("কারখানা", "কারখানার", "কারখানায়"),
                ("পাকা ধান", "পাকা ধানের", "পাকা ধানে"),
                ("গ্রামের হাট", "গ্রামের হাটের", "গ্রামের হাটে"),
            ],
            "lines": [
                "ভোর ৫টায় ঘুম ভেঙে যায়",
                "ঘাম ঝরে, তবু হাত থামে না",
                "মজুরি পেলে বাড়ি ফিরব",
                "সোনার ফসল ঘরে তুলি",
            ],
        },
        "night": {
            "things": [
                ("রাত", "রাতের", "রাতে"),
                ("চাঁদের আলো", "চাঁদের আলোর", "চাঁদের আলোয়"),
                ("অন্ধকার", "অন্ধকারের", "অন্ধকারে"),
                ("তারার মেলা", "তারার মেলার", "তারার মেলায়"),
                ("ঘুমের স্বপ্ন", "ঘুমের স্বপ্নের", "ঘুমের স্বপ্নে"),
            ],
            "lines": [
                "জোনাকি জ্বলে ঝোপের ধারে",
                "সবাই ঘুমায়, আমি জাগি",
                "নিভে গেছে শেষ প্রদীপটি",
                "জোছনা নামে উঠান জুড়ে",
            ],
        },
    },
    "english": {
        "love": {
            "things": ["your love", "your smile", "my beating heart", "a tender kiss", "the warmth of you"],
            "lines": [
                "Darling, hold me in your arms",
                "I'm yours and you are mine",
                "Two hearts are dancing in one tune",
                "I never want to say goodbye",
            ],
        },
        "rain": {
            "things": ["the rain", "a heavy cloud", "the thunder", "an autumn storm", "the dripping roof"],
            "lines": [
                "Puddles shine along the lane",
                "I've lost my umbrella again",
                "Drops are drumming on the glass",
                "The sky is grey, my coat is wet",
            ],
        },
        "city": {
            "things": ["the city", "a crowded street", "the subway", "the traffic", "that neon sign"],
            "lines": [
                "Taxis honk at every corner",
                "The shops stay open, 24 hours",
                "Everybody's in a hurry here",
                "Towers of concrete, windows of steel",
            ],
        },
        "river": {
            "things": ["the river", "a little boat", "the ferry", "the rolling tide", "the muddy shore"],
            "lines": [
                "Boatman, raise the sail today",
                "The water carries me along",
                "Fishes are jumping near the bridge",
                "Downstream it's wide, so let us drift",
            ],
        },
        "work": {
            "things": ["the factory", "my daily job", "the harvest", "this old hammer", "the foreman"],
            "lines": [
                "I wake at 5 to earn my bread",
                "My hands are rough, my back is sore",
                "Payday's coming, hold on tight",
                "We plough the field and mend the fence",
            ],
        },
        "night": {
            "things": ["the night", "the moon", "the darkness", "a falling star", "the midnight hour"],
            "lines": [
                "Fireflies are glowing by the hedge",
                "Everyone's asleep but me",
                "The candle's burning low",
                "I count the shadows on the wall",
            ],
        },
    },
}

LINES = {
    "bangla": (
        "{0} আজ আমায় ডাকে",
        "{0} জানে আমার গল্প",
        "{0} আছে, তুমিও আছো",
        "{1} গান গাই সারাদিন",
        "{1} কথা মনে পড়ে",
        "{1} কাছে ফিরে আসি",
        "{1} মতো আর কী আছে?",
        "{2} আমি পথ হারাই",
        "{2} দিন কেটে যায়",
        "{2} খুঁজি তোমার নাম",
        "{2} মিশে আছে আমার মন",
    ),
    "english": (
        "{0} is calling out my name",
        "{0} knows where I belong",
        "I sing about {0} all day long",
        "I remember {0}, oh, I do",
        "I come back to {0} once more",
        "There is nothing like {0}",
        "I lose my way because of {0}",
        "Tell me, what would {0} say?",
        "{0} is here, and so are you",
        "Oh, {0}, stay with me tonight",
    ),
}

MARKERS = {"bangla": ("অন্তরা", "কোরাস"), "english": ("Verse", "Chorus")}

LANGUAGES = tuple(WORDS)
THEMES = tuple(WORDS["english"])


def factors(count: int, *, seed: int = 0) -> pd.DataFrame:
    """What each song is: the causes from which `render` and `lyrics` make it.

    Parameters
    ----------
    count : int
        Number of songs, 1 to 100 000. Song i is the same for every count.
    seed : int
        At least 0. Another seed gives other songs.

    Returns
    -------
    DataFrame, n rows
        Index ``track_id``: ``synthetic.00000`` and so on. Columns: ``genre``, ``language``, ``theme`` and ``mode`` are
        categories; ``tempo`` in beats per minute, ``brightness`` and ``density`` from 0 to 1 are floats; ``key`` is the
        tonic, 0 (C) to 11 (B); ``title`` is text; ``seed`` is the song's own.

    Raises
    ------
    ParameterError
        If an argument is no whole number or outside its range.

    Examples
    --------
    >>> from vae_lib import synth
    >>> synth.factors(2).index.tolist()
    ['synthetic.00000', 'synthetic.00001']
    """
    checks.count(count, "count", high=100_000)
    checks.count(seed, "seed", low=0)
    index = pd.Index([f"synthetic.{number:05d}" for number in range(count)], name="track_id")
    table = pd.DataFrame([_draw(number, seed) for number in range(count)], index=index)
    for name, values in _CATEGORIES.items():
        table[name] = pd.Categorical(table[name], categories=sorted(values))
    return table


_CATEGORIES = {"genre": tuple(GENRES), "language": LANGUAGES, "theme": THEMES, "mode": tuple(MODES)}


def _draw(number: int, seed: int) -> dict:
    generator = np.random.default_rng([seed, number])
    genre = GENRES[name := tuple(GENRES)[number % len(GENRES)]]
    language = LANGUAGES[number // len(GENRES) % len(LANGUAGES)]
    theme = THEMES[generator.integers(len(THEMES))]
    things = WORDS[language][theme]["things"]
    thing = things[generator.integers(len(things))]
    return {
        "genre": name,
        "language": language,
        "theme": theme,
        "tempo": round(generator.uniform(*genre.tempo), 2),
        "key": int(generator.integers(12)),
        "mode": tuple(MODES)[generator.integers(len(MODES))],
        "brightness": round(generator.random(), 4),
        "density": round(generator.random(), 4),
        "title": _sentence(thing if isinstance(thing, str) else thing[0]),
        "seed": int(generator.integers(2**31)),
    }


class _Song(NamedTuple):
    """A row of `factors` made ready to play."""

    genre: Genre
    language: str
    theme: str
    tempo: float
    key: int
    mode: str
    brightness: float
    density: float
    streams: dict[str, np.random.Generator]  # one per part, so that no part changes when another plays more


def _song(row: Mapping | pd.Series) -> _Song:
    absent = [name for name in (*FACTORS, "seed") if name not in row]
    if absent:
        raise ParameterError(f"row must have {', '.join((*FACTORS, 'seed'))}; it has no {absent[0]}")
    for name, values in _CATEGORIES.items():
        checks.one_of(row[name], f"row[{name!r}]", values)
    seeds = np.random.SeedSequence(checks.count(row["seed"], "row['seed']", low=0)).spawn(len(_PARTS))
    return _Song(
        genre=GENRES[row["genre"]],
        language=row["language"],
        theme=row["theme"],
        tempo=float(checks.in_range(row["tempo"], "row['tempo']", low=_TEMPO[0], high=_TEMPO[1])),
        key=checks.count(row["key"], "row['key']", low=0, high=11),
        mode=row["mode"],
        brightness=float(checks.in_range(row["brightness"], "row['brightness']", low=0, high=1)),
        density=float(checks.in_range(row["density"], "row['density']", low=0, high=1)),
        streams=dict(zip(_PARTS, map(np.random.default_rng, seeds), strict=True)),
    )


# Sound


def render(row: Mapping | pd.Series, *, seconds: float = SECONDS, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Play a song: drums, bass, chords and a melody, from the first bar on.

    Parameters
    ----------
    row : Series or mapping
        A row of `factors`, or one that was changed.
    seconds : float
        Length of the clip, 1 to 60.
    sample_rate : int
        In Hz, 16 000 to 48 000.

    Returns
    -------
    ndarray, shape (samples,), float32
        One channel; full scale is −1 to 1, the loudest sample is at 0.9.

    Raises
    ------
    ParameterError
        If a factor is missing or not what it may be, or an argument is outside its range.

    Examples
    --------
    >>> from vae_lib import synth
    >>> song = synth.factors(1).iloc[0]
    >>> y = synth.render(song, seconds=2)
    >>> y.shape, round(float(abs(y).max()), 2)
    ((44100,), 0.9)
    """
    song = _song(row)
    checks.in_range(seconds, "seconds", low=1, high=60)
    checks.count(sample_rate, "sample_rate", low=16_000, high=48_000)
    length = round(seconds * sample_rate)
    starts = _step_starts(song, seconds, sample_rate)

    parts = (_drums, _bass, _chords, _melody)
    mix = np.zeros(length, dtype=np.float32)
    for part, level in zip(parts, song.genre.levels, strict=True):
        mix += level * _levelled(part(song, starts, length, sample_rate))
    if song.language == "bangla":
        mix += 0.4 * _levelled(_drone(song, starts, length, sample_rate))
    return _finish(mix, song, sample_rate)


def _step_starts(song: _Song, seconds: float, sample_rate: int) -> np.ndarray:
    """First sample of each step of as many bars as the clip needs, and of the step after the last one."""
    step = 60 / song.tempo / song.genre.steps
    bar = song.genre.beats * song.genre.steps
    number = np.arange(math.ceil(seconds / (bar * step)) * bar + 1)
    return ((number + song.genre.swing * (number % 2)) * step * sample_rate).astype(int)


def _strikes(bar: str, song: _Song, starts: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Steps on which a pattern is played, how hard (0 to 1), and the signs that stand there."""
    signs = np.resize(np.array(list(bar)), len(starts) - 1)
    chance, touch = generator.random((len(signs), 2)).T  # for every step, so that density moves no other stroke
    likely = np.select([signs == ".", signs == "x", signs == "o"], [0.0, 0.55 + song.density, song.density], 1.0)
    likely[np.argmax(signs != ".")] = 1.0  # every part enters, however sparse the song and short the clip
    steps = np.flatnonzero(chance < likely)
    strength = np.select([signs == "X", signs == "o"], [1.0, 0.5], 0.75) * (0.85 + 0.3 * touch)
    return steps, strength[steps], signs[steps]


def _place(track: np.ndarray, sound: np.ndarray, start: int) -> None:
    """Add a sound to a track; what lies beyond its end is lost."""
    part = track[start : start + len(sound)]
    part += sound[: len(part)]


def _drums(song: _Song, starts: np.ndarray, length: int, sample_rate: int) -> np.ndarray:
    kit = song.genre.drums
    track = np.zeros(length, dtype=np.float32)
    for (name, bar), generator in zip(kit.items(), song.streams["drums"].spawn(len(kit)), strict=True):
        sound = _drum(DRUMS[name], sample_rate, generator)
        steps, strength, _ = _strikes(bar, song, starts, generator)
        late = 0.005 * np.maximum(1 - strength, 0) * sample_rate  # nobody hits the grid exactly; soft strokes drag
        for start, level in zip(starts[steps] + late.astype(int), strength, strict=True):
            _place(track, level * sound, start)
    return track


def _drum(drum: Drum, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    size = int(min(7 / min(drum.decay, drum.body), 1.5) * sample_rate)
    t = np.arange(size, dtype=np.float32) / sample_rate
    pitch = drum.pitch * generator.uniform(0.92, 1.08)  # every song has its own kit
    burst = generator.standard_normal(size, dtype=np.float32)
    for _ in range(drum.thin):
        burst = np.diff(burst, prepend=burst[:1]) * 0.7
    sound = drum.noise * burst * np.exp(-drum.decay * t)
    if drum.tone:
        phase = pitch * t + drum.drop / 35 * (1 - np.exp(-35 * t))
        sound += drum.tone * np.sin(2 * np.pi * phase) * np.exp(-drum.body * t)
    return sound * np.minimum(t / drum.attack, 1)


def _pitch(song: _Song, degree: int) -> int:
    """MIDI number of a scale degree, counted from the tonic between C4 (60) and B4."""
    octave, place = divmod(degree, 7)
    return 60 + song.key + 12 * octave + MODES[song.mode][place]


def _roots(song: _Song, steps: np.ndarray) -> np.ndarray:
    """Scale degree of the chord that sounds at each step."""
    genre = song.genre
    progression = genre.major if song.mode == "major" else genre.minor
    each = genre.beats * genre.steps // genre.chords_per_bar
    return np.array(progression)[steps // each % len(progression)]


def _bass(song: _Song, starts: np.ndarray, length: int, sample_rate: int) -> np.ndarray:
    name, bar = song.genre.bass
    steps, strength, signs = _strikes(bar, song, starts, song.streams["bass"])
    lowest = 28  # E1
    pitches = [
        lowest + (_pitch(song, root + int(sign) - 1) - lowest) % 12 + 12 * (sign == "8")
        for root, sign in zip(_roots(song, steps), signs, strict=True)
    ]
    return _line(VOICES[name], starts[np.r_[steps, -1]], pitches, strength, length, sample_rate)


def _chords(song: _Song, starts: np.ndarray, length: int, sample_rate: int) -> np.ndarray:
    genre = song.genre
    name, bar = genre.chords
    voice = VOICES[name]
    generator = song.streams["chords"]
    low = genre.reach + int(generator.integers(6))  # each chord takes the inversion that lies under the hand
    steps, strength, _ = _strikes(bar, song, starts, generator)
    onsets = starts[np.r_[steps, -1]]
    track = np.zeros(length, dtype=np.float32)
    held = np.full(len(steps), 0.8) if genre.broken else np.diff(onsets) / sample_rate
    held = np.minimum(held, 0.2 if genre.short else 2.0)
    tones: dict[int, np.ndarray] = {}  # each pitch is made once, as long as the longest chord, and cut to length
    for number, root in enumerate(_roots(song, steps)):
        pitches = sorted(low + (_pitch(song, root + degree) - low) % 12 for degree in genre.shape)
        if genre.broken:
            pitches = [pitches[number % len(pitches)]]
        for string, pitch in enumerate(pitches):
            if pitch not in tones:
                tones[pitch] = _tone(voice, pitch, held.max(), sample_rate)
            strum = int(0.009 * sample_rate) * string * bool(voice.plucked)
            sound = _released(tones[pitch], held[number], sample_rate)
            _place(track, strength[number] * sound, onsets[number] + strum)
    return np.tanh(genre.drive * _levelled(track)) if genre.drive else track


def _melody(song: _Song, starts: np.ndarray, length: int, sample_rate: int) -> np.ndarray:
    """One motif, moved to the chord of each bar; every second bar comes home to the tonic."""
    genre = song.genre
    name, bar = genre.melody
    generator = song.streams["melody"]
    size = genre.beats * genre.steps
    motif = generator.choice([-2, -1, -1, 0, 1, 1, 2], size)  # scale degrees from note to note
    degree = int(generator.integers(0, 5))
    steps, strength, _ = _strikes(bar, song, starts, generator)
    pitches = []
    for step, following, root in zip(steps, [*steps[1:], len(starts)], _roots(song, steps), strict=True):
        degree += motif[step % size]
        if step // size % 2 == 1 and following // size > step // size:
            degree = _nearest(degree, [0])
        elif step % genre.steps == 0:
            degree = _nearest(degree, [root, root + 2, root + 4])
        degree += 7 * (degree < -3) - 7 * (degree > 9)  # stays within an octave and a half
        pitches.append(_pitch(song, degree))
    glide = 0.09 if song.language == "bangla" else 0.0
    return _line(VOICES[name], starts[np.r_[steps, -1]], pitches, strength, length, sample_rate, glide=glide)


def _nearest(position: int, tones: list[int]) -> int:
    """The scale degree closest to a position among some tones and their octaves."""
    return min((tone + 7 * octave for tone in tones for octave in range(-3, 4)), key=lambda d: (abs(d - position), d))


def _drone(song: _Song, starts: np.ndarray, length: int, sample_rate: int) -> np.ndarray:
    """Fifth, octave, octave, tonic on one beat after the other, each string ringing into the next."""
    tonic = 43 + (song.key - 7) % 12  # G2 to F#3
    strings = [_tone(VOICES["drone"], tonic + above, 2.0, sample_rate) for above in (7, 12, 0)]
    track = np.zeros(length, dtype=np.float32)
    for beat, start in enumerate(starts[: -1 : song.genre.steps]):
        _place(track, strings[(0, 1, 1, 2)[beat % 4]], start)
    return track


def _hertz(pitch: np.ndarray | float) -> np.ndarray | float:
    return 440 * 2 ** ((pitch - 69) / 12)


def _tone(voice: Voice, pitch: int, seconds: float, sample_rate: int) -> np.ndarray:
    """One note of an instrument that plays chords, let ring."""
    t = np.arange(int(seconds * sample_rate)) / sample_rate
    if voice.plucked:
        sound = _plucked(pitch, voice, len(t), sample_rate)
    else:
        copies = (-voice.detune / 2, voice.detune / 2) if voice.detune else (0.0,)
        cycles = [_hertz(pitch + cents / 100) * t for cents in copies]
        sound = sum(_harmonics(c, voice, _hertz(pitch + 1), sample_rate, fading=voice.decay * t) for c in cycles)
    return (sound * np.minimum(t / voice.attack, 1)).astype(np.float32)


def _harmonics(
    cycles: np.ndarray, voice: Voice, highest: float, sample_rate: int, fading: np.ndarray | float = 0.0
) -> np.ndarray:
    """The sum of a voice's partials over a phase in cycles; partial h fades h times as fast as the fundamental.

    With z = exp(2πi·phase − fading) partial h is the imaginary part of its weight times z to the power h, so that the
    sum is a polynomial in z: one exponential serves all partials.
    """
    audible = np.array(voice.partials[: max(1, int(0.45 * sample_rate / highest))], dtype=np.float32)
    angle = (2 * np.pi * (cycles % 1)).astype(np.float32)
    z = np.empty(len(angle), dtype=np.complex64)
    z.real, z.imag = np.cos(angle), np.sin(angle)
    z *= np.exp(-np.asarray(fading, dtype=np.float32))
    sound = np.empty_like(angle)
    for start in range(0, len(z), 8192):  # a block stays in the processor's cache while the partials go over it
        block = z[start : start + 8192]
        total = np.zeros_like(block)
        for weight in audible[::-1]:
            total += weight
            total *= block
        sound[start : start + 8192] = total.imag
    return sound


def _plucked(pitch: int, voice: Voice, length: int, sample_rate: int) -> np.ndarray:
    """A plucked string after Karplus and Strong (1983): a burst of noise goes round and is averaged on every round.

    All rounds at once: averaging two neighbours is a product in the frequency domain, so round k is the first one times
    the k-th power of cos(πf). The remainder of the period that is no whole sample is a shift of phase, likewise.
    """
    frequency = _hertz(pitch)
    period = sample_rate / frequency
    size = int(period)
    turn = np.fft.rfftfreq(size)  # cycles per sample
    per_round = np.cos(np.pi * turn) * np.exp(-voice.decay / frequency - 2j * np.pi * turn * (period - size))
    noise = np.random.default_rng(pitch).uniform(-1, 1, size)  # the same finger on the same string
    burst = np.fft.rfft(noise) * np.cos(np.pi * turn) ** (4 * voice.plucked)
    burst[0] = 0
    rounds = np.arange(length // size + 1)[:, None]
    return np.fft.irfft(burst * per_round**rounds, n=size).ravel()[:length]


def _line(
    voice: Voice,
    onsets: np.ndarray,
    pitches: list[int],
    strength: np.ndarray,
    length: int,
    sample_rate: int,
    *,
    glide: float = 0.0,
) -> np.ndarray:
    """One note after the other on one instrument; `onsets` has one entry more than there are notes, the end."""
    end = max(length, onsets[-1])
    t = np.arange(end) / sample_rate
    semitones = np.empty(end)
    level = np.zeros(end)
    semitones[: onsets[0]] = pitches[0]
    for start, stop, pitch, strong in zip(onsets[:-1], onsets[1:], pitches, strength, strict=True):
        semitones[start:stop] = pitch
        held = t[: min(int(0.93 * (stop - start)), sample_rate)]  # a breath before the next note
        rise = np.minimum(held / voice.attack, 1) * np.minimum((held[-1] - held) / 0.03, 1)
        level[start : start + len(held)] = strong * rise * np.exp(-voice.decay * held)
    semitones[onsets[-1] :] = pitches[-1]
    if glide:
        semitones = uniform_filter1d(semitones, int(glide * sample_rate), mode="nearest")
    if voice.vibrato:
        semitones += voice.vibrato / 100 * np.sin(2 * np.pi * 5.4 * t)
    cycles = np.cumsum(_hertz(semitones) / sample_rate)
    return (level * _harmonics(cycles, voice, _hertz(max(pitches) + 1), sample_rate))[:length].astype(np.float32)


def _released(tone: np.ndarray, seconds: float, sample_rate: int) -> np.ndarray:
    """The beginning of a tone, damped at its end."""
    size = min(int(seconds * sample_rate), len(tone))
    sound = tone[:size].copy()
    fade = min(int(0.03 * sample_rate), size)
    sound[size - fade :] *= np.linspace(1, 0, fade)
    return sound


def _levelled(track: np.ndarray) -> np.ndarray:
    """A track at the same mean power as any other."""
    return track / max(np.sqrt(np.mean(np.square(track))), 1e-9)


def _finish(mix: np.ndarray, song: _Song, sample_rate: int) -> np.ndarray:
    """Room, tone control, a little tape, and an end that does not click."""
    tail = int(0.8 * sample_rate)
    response = song.streams["room"].standard_normal(tail) * np.exp(-7 * np.arange(tail) / tail)
    size = scipy.fft.next_fast_len(len(mix) + tail, real=True)
    room = scipy.fft.rfft((response / np.linalg.norm(response)).astype(np.float32), size)
    spectrum = scipy.fft.rfft(mix, size) * (1 - song.genre.room + song.genre.room * room)
    # Brightness tilts the spectrum about 700 Hz, by −3.6 to +3.6 dB per octave.
    frequency = np.maximum(scipy.fft.rfftfreq(size, 1 / sample_rate), 60)
    spectrum *= ((frequency / 700) ** (1.2 * (song.brightness - 0.5))).astype(np.float32)
    y = scipy.fft.irfft(spectrum, size)[: len(mix)]
    y = np.tanh(_levelled(y) / 3)
    fade = int(0.2 * sample_rate)
    y[-fade:] *= np.linspace(1, 0, fade)
    return (y * (0.9 / np.abs(y).max())).astype(np.float32)


# Words


def lyrics(row: Mapping | pd.Series) -> str:
    """Write the words of a song: two verses and a chorus in its language, about its theme.

    Parameters
    ----------
    row : Series or mapping
        A row of `factors`, or one that was changed.

    Returns
    -------
    str
        8 to 16 lines, not counting the markers such as ``[Verse 1]`` and ``[Chorus]`` above each part, in Unicode NFC.

    Raises
    ------
    ParameterError
        If a factor is missing or not what it may be.

    Examples
    --------
    >>> from vae_lib import synth
    >>> print(synth.lyrics(synth.factors(11).iloc[10]).splitlines()[0])
    [Verse 1]
    """
    song = _song(row)
    generator = song.streams["words"]
    words = WORDS[song.language][song.theme]
    verse, chorus = MARKERS[song.language]

    def line() -> str:
        form = LINES[song.language][generator.integers(len(LINES[song.language]))]
        thing = words["things"][generator.integers(len(words["things"]))]
        return form.format(*([thing] if isinstance(thing, str) else thing))

    own = list(generator.permutation(words["lines"]))
    refrain = [own.pop(), line()]
    refrain = refrain * 2 if generator.random() < 0.5 else [*refrain[:-1], f"{refrain[-1]} (x2)"]
    size = int(generator.integers(3, 5))
    one = [line() for _ in range(size - 1)] + [own.pop()]
    two = [own.pop()] + [line() for _ in range(size - 1)]
    parts = [(f"[{verse} 1]", one), (f"[{chorus}]", refrain), (f"[{verse} 2]", two), (f"[{chorus}]", refrain)]
    return "\n\n".join("\n".join([marker, *map(_sentence, lines)]) for marker, lines in parts)


def _sentence(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    return text[0].upper() + text[1:]
