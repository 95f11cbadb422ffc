"""Synthetic songs as words: two verses and a chorus."""

from collections.abc import Mapping

import pandas as pd

from vae_lib.synth.causes import WORDS, ready, sentence


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
    song = ready(row)
    generator = song.streams["words"]
    language = WORDS[song.language]
    words = language["themes"][song.theme]
    verse, chorus = language["markers"]

    def line() -> str:
        form = language["lines"][generator.integers(len(language["lines"]))]
        thing = words["things"][generator.integers(len(words["things"]))]
        return form.format(*([thing] if isinstance(thing, str) else thing))

    own = list(generator.permutation(words["lines"]))
    refrain = [own.pop(), line()]
    refrain = refrain * 2 if generator.random() < 0.5 else [*refrain[:-1], f"{refrain[-1]} (x2)"]
    size = int(generator.integers(3, 5))
    one = [line() for _ in range(size - 1)] + [own.pop()]
    two = [own.pop()] + [line() for _ in range(size - 1)]
    parts = [(f"[{verse} 1]", one), (f"[{chorus}]", refrain), (f"[{verse} 2]", two), (f"[{chorus}]", refrain)]
    return "\n\n".join("\n".join([marker, *map(sentence, lines)]) for marker, lines in parts)
