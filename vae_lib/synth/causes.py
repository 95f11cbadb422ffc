"""What the synthetic songs are made of, and what each of them is."""

import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from vae_lib import checks
from vae_lib.checks import ParameterError

VERSION = 1  # goes up whenever a row, a sound or a word changes

MODES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}  # semitones above the tonic
FACTORS = ("genre", "language", "theme", "tempo", "key", "mode", "brightness", "density")

_TEMPO = (40.0, 240.0)  # beats per minute that a row may ask for
_PARTS = ("drums", "bass", "chords", "melody", "room", "words")  # each has a random stream of its own


# The files say what the fields mean.


class Voice(NamedTuple):
    """An instrument of ``genres.toml``."""

    partials: Sequence[float]
    attack: float = 0.005
    decay: float = 0.0
    detune: float = 0.0
    vibrato: float = 0.0
    plucked: int = 0


class Drum(NamedTuple):
    """A percussion sound of ``genres.toml``."""

    noise: float = 0.0
    decay: float = 30.0
    thin: int = 0
    tone: float = 0.0
    pitch: float = 0.0
    drop: float = 0.0
    body: float = 30.0
    attack: float = 0.0005


class Genre(NamedTuple):
    """An archetype of ``genres.toml``."""

    tempo: Sequence[float]
    drums: dict[str, str]
    bass: Sequence[str]
    chords: Sequence[str]
    melody: Sequence[str]
    major: Sequence[int]
    minor: Sequence[int]
    levels: Sequence[float]
    beats: int = 4
    steps: int = 4
    swing: float = 0.0
    chords_per_bar: int = 1
    shape: Sequence[int] = (0, 2, 4)
    short: bool = False
    broken: bool = False
    drive: float = 0.0
    reach: int = 48
    room: float = 0.15


def _read(name: str) -> dict:
    return tomllib.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))


def _voice(partials: Sequence[float] = (), falling: Sequence[float] = (), **others: float) -> Voice:
    if falling:
        power, number = falling
        partials = [float(h**-power) for h in range(1, number + 1)]
    return Voice(partials, **others)


_TABLES = _read("genres.toml")
VOICES = {name: _voice(**values) for name, values in _TABLES["voices"].items()}
DRUMS = {name: Drum(**values) for name, values in _TABLES["drums"].items()}
GENRES = {name: Genre(**values) for name, values in _TABLES["genres"].items()}
WORDS = _read("words.toml")
LANGUAGES = tuple(WORDS)
THEMES = tuple(WORDS["english"]["themes"])

_CATEGORIES = {"genre": tuple(GENRES), "language": LANGUAGES, "theme": THEMES, "mode": tuple(MODES)}


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


def _draw(number: int, seed: int) -> dict:
    generator = np.random.default_rng([seed, number])
    genre = GENRES[name := tuple(GENRES)[number % len(GENRES)]]
    language = LANGUAGES[number // len(GENRES) % len(LANGUAGES)]
    theme = THEMES[generator.integers(len(THEMES))]
    things = WORDS[language]["themes"][theme]["things"]
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
        "title": sentence(thing if isinstance(thing, str) else thing[0]),
        "seed": int(generator.integers(2**31)),
    }


class Song(NamedTuple):
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


def ready(row: Mapping | pd.Series) -> Song:
    """Check a row of `factors`, or one that was changed, and make it ready to play."""
    absent = [name for name in (*FACTORS, "seed") if name not in row]
    if absent:
        raise ParameterError(f"row must have {', '.join((*FACTORS, 'seed'))}; it has no {absent[0]}")
    for name, values in _CATEGORIES.items():
        checks.one_of(row[name], f"row[{name!r}]", values)
    seeds = np.random.SeedSequence(checks.count(row["seed"], "row['seed']", low=0)).spawn(len(_PARTS))
    return Song(
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


def sentence(text: str) -> str:
    """Begin a text with a capital, in Unicode NFC."""
    text = unicodedata.normalize("NFC", text)
    return text[0].upper() + text[1:]
