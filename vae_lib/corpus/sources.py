"""The corpora that have a name."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from vae_lib import checks, store, synth
from vae_lib.checks import ParameterError
from vae_lib.corpus import download
from vae_lib.corpus.base import Corpus
from vae_lib.corpus.saved import read

#: Those whose numbers come with the project, each in the folder of its name below ``data``.
EMBEDDED = ("bangla", "fma-small", "gtzan", "gtzan-mini", "indian", "lyrics-bn-en", "songs-en-de")


def names() -> list[str]:
    """The names that `load` knows.

    Examples
    --------
    >>> from vae_lib import corpus
    >>> corpus.names()[:4]
    ['bangla', 'fma-small', 'gtzan', 'gtzan-mini']
    """
    return sorted([*EMBEDDED, "songs-bn-en", "synthetic"])


def load(name: str, *, data_home: Path | str | None = None) -> Corpus:
    """Load a corpus by its name, or one that `save` wrote by its folder.

    Parameters
    ----------
    name : str
        One of `names`, or the folder of a saved corpus, with at least one slash; relative to the project.
    data_home : Path or str, optional
        Folder of the audio, which does not come with the project; default: the variable DATA_HOME, else
        ``data/raw``.

    Returns
    -------
    Corpus

    Raises
    ------
    ParameterError
        If the name is unknown, or a file of the corpus is missing or is not the one that was written.

    Examples
    --------
    >>> from vae_lib import corpus
    >>> corpus.load("gtzan")
    Corpus('gtzan': 1000 tracks, 10 genres, 57 features, 64×124 log-mel)
    """
    if isinstance(name, str) and "/" in name:
        return read(store.ROOT / name)
    if name not in names():
        raise ParameterError(f"name must be one of {', '.join(names())}, or path/of/a/saved/corpus, got {name!r}")
    if name == "synthetic":
        return synthetic()
    if name == "songs-bn-en":
        return _songs_bn_en()
    return read(store.ROOT / "data" / name.replace("-", "_"), audio_folder=download.data_home(data_home))


def _songs_bn_en() -> Corpus:
    """GTZAN and BanglaBeats one below the other: they have the same columns."""
    halves = {"bangla": load("bangla"), "english": load("gtzan")}
    kept = ["genre", "duplicate_of"]
    tracks = pd.concat([half.tracks[kept].assign(language=language) for language, half in halves.items()]).sort_index()
    tracks = tracks.astype({"genre": "category", "language": "category"})
    return Corpus(
        name="songs-bn-en",
        tracks=tracks[["genre", "language", "duplicate_of"]],
        features=pd.concat([half.features for half in halves.values()]).loc[tracks.index],
        source=(
            "GTZAN (English) and BanglaBeats (Bangla) in one table, as in the GitHub repository "
            "evanmasrurjaber/CSE425--Neural-Networks--Project. Language and collection are the same thing in it."
        ),
        licence=" ".join(dict.fromkeys(half.licence for half in halves.values())),
    )


def synthetic(count: int = 120, *, seed: int = 0, seconds: float = synth.SECONDS) -> Corpus:
    """Songs made from known factors by `vae_lib.synth`; see there.

    Parameters
    ----------
    count, seed
        As in `vae_lib.synth.factors`.
    seconds : float
        Length of the clips, 1 to 60. Each is rendered when its audio is first asked for, and kept.

    Returns
    -------
    Corpus
        With audio, words and the factors; ``genre``, ``language``, ``theme`` and ``mode`` are labels.

    Raises
    ------
    ParameterError
        If an argument is outside its range.

    Examples
    --------
    >>> from vae_lib import corpus
    >>> music = corpus.synthetic(12)
    >>> len(music), music.labels
    (12, ['genre', 'language', 'theme', 'mode'])
    """
    checks.in_range(seconds, "seconds", low=1, high=60)
    tracks = synth.factors(count, seed=seed)
    rendered = store.ROOT / "_build" / "cache" / "synthetic"
    return Corpus(
        name="synthetic",
        tracks=tracks.assign(audio=[f"{track_id}.wav" for track_id in tracks.index], seconds=seconds),
        texts=pd.Series([synth.lyrics(row) for _, row in tracks.iterrows()], index=tracks.index, name="lyrics"),
        source=synth.SOURCE,
        licence=synth.LICENCE,
        parameters={"synth_version": synth.VERSION, "seed": seed, "seconds": seconds},
        audio_folder=rendered / f"version-{synth.VERSION}-seed-{seed}-{seconds:g}s",
        render=partial(_render, seconds=seconds),
    )


def _render(row: pd.Series, path: Path, *, seconds: float) -> None:
    import soundfile

    soundfile.write(path, synth.render(row, seconds=seconds), synth.SAMPLE_RATE, subtype="PCM_16")


def evidence(file: str) -> Path:
    """Give the path of a file of ``data/evidence``: what was measured on audio and tables that are not held here.

    Raises
    ------
    ParameterError
        If there is no such file; the message lists those there are.
    """
    folder = store.ROOT / "data" / "evidence"
    checks.one_of(file, "file", sorted(path.name for path in folder.iterdir()))
    return folder / file


def peers(music: Corpus) -> dict[str, np.ndarray]:
    """Clusters that the deep clustering of others found in a corpus, as ``make peers`` trained it.

    Returns
    -------
    dict of str to ndarray of int, shape (10, n)
        Clusters by method of ClustPy and setting, such as ``dec_study``, a row per seed; ``data/peers.py`` says what
        the settings are.

    Raises
    ------
    ParameterError
        If the corpus was not clustered, or is no longer what was clustered.

    Examples
    --------
    >>> from vae_lib import corpus
    >>> found = corpus.peers(corpus.load("bangla"))
    >>> list(found), found["dec_study"].shape
    (['dec_study', 'idec_study', 'dcn_study', 'vade_study'], (10, 1617))
    """
    with np.load(evidence("peers.npz"), allow_pickle=False) as file:
        hashes = json.loads(file["about"].item())["corpora"]
        if hashes[checks.one_of(music.name, "music", hashes)] != music.hash:
            raise ParameterError(f"music must be the whole {music.name} that was clustered: `make peers` does it anew")
        start = f"{music.name}/"
        return {name.removeprefix(start): file[name].astype(int) for name in file if name.startswith(start)}
