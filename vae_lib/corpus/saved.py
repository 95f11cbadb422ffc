"""A corpus as a folder of three files: what is known of it, its tracks, and its numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from vae_lib import store
from vae_lib.checks import ParameterError
from vae_lib.corpus.base import Corpus

FORMAT = 3  # of the folder; goes up when an older program could no longer read it
FACTS, INDEX, NUMBERS = "corpus.json", "index.csv", "numbers.npz"


def save(corpus: Corpus, folder: Path | str) -> None:
    """Write a corpus into a folder: what was derived, neither audio nor words.

    All three files are complete before the first takes the place of an old one.

    Parameters
    ----------
    corpus : Corpus
        What to write.
    folder : Path or str
        Made if need be. The images are stored in 16 bits (of dB: steps of at most 0.06), features and lyric vectors in
        32, everything else exactly.

    Raises
    ------
    ParameterError
        If nothing was computed yet or the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from vae_lib import corpus
    >>> music = corpus.load("gtzan-mini")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     corpus.save(music, folder)
    ...     again = corpus.read(folder)
    >>> again.hash == music.hash
    True
    """
    if not corpus.computed:
        raise ParameterError(f"{corpus.name} holds nothing to save: compute features or lyric vectors first")
    folder = Path(folder)
    with (
        store.replacing(folder / FACTS) as facts,
        store.replacing(folder / INDEX) as index,
        store.replacing(folder / NUMBERS) as numbers,
    ):
        corpus.tracks.to_csv(index, lineterminator="\n")
        np.savez_compressed(numbers, **corpus.arrays)
        about = {
            "name": corpus.name,
            "source": corpus.source,
            "licence": corpus.licence,
            "tracks": len(corpus),
            "labels": corpus.labels,
            "feature_version": corpus.feature_version,
            "parameters": corpus.parameters or {},
            "files": {INDEX: store.file_sha256(index), NUMBERS: store.file_sha256(numbers)},
            "format": FORMAT,
        }
        store.write_json(facts, about)


def read(folder: Path | str, *, audio_folder: Path | str | None = None) -> Corpus:
    """Read the corpus that `save` wrote into a folder.

    Parameters
    ----------
    folder : Path or str
        A folder with ``corpus.json``, ``index.csv`` and ``numbers.npz``.
    audio_folder : Path or str, optional
        Where the audio files lie that ``index.csv`` names.

    Returns
    -------
    Corpus
        With features in 64 bits, images and lyric vectors in 32.

    Raises
    ------
    ParameterError
        If a file is missing or is not the one that was written; the message names it.
    """
    folder = Path(folder)
    facts = _facts(folder / FACTS)
    for name in (INDEX, NUMBERS):
        path = folder / name
        if not path.is_file():
            raise ParameterError(f"{path}: no such file; {folder} is no whole corpus without it")
        if store.file_sha256(path) != facts["files"].get(name):
            raise ParameterError(
                f"{path}: is not the file that {FACTS} was written with (another SHA-256): it was edited, cut off or "
                "comes from another build; fetch it or build the corpus again"
            )
    # An artist may well be called "NA" or "None": only an empty field is missing; and a name may hold a bare "\r".
    cells = {"dtype": str, "keep_default_na": False, "na_values": [""], "lineterminator": "\n"}
    tracks = pd.read_csv(folder / INDEX, **cells).set_index("track_id")
    with np.load(folder / NUMBERS, allow_pickle=False) as arrays:
        parts = {name: array.astype(np.float32) for name, array in arrays.items() if name in ("log_mel", "lyrics")}
        if "features" in arrays:
            values = arrays["features"].astype(float)
            parts["features"] = pd.DataFrame(values, index=tracks.index, columns=arrays["columns"].tolist())
    return Corpus(
        name=facts["name"],
        tracks=tracks.astype(dict.fromkeys(facts["labels"], "category")),
        source=facts["source"],
        licence=facts["licence"],
        feature_version=facts["feature_version"],
        parameters=facts["parameters"],
        audio_folder=None if audio_folder is None else Path(audio_folder),
        **parts,
    )


def _facts(path: Path) -> dict:
    if not path.is_file():
        raise ParameterError(f"{path}: no such file; {path.parent} is no whole corpus without it")
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ParameterError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        found = facts.get("format") if isinstance(facts, dict) else type(facts).__name__
        raise ParameterError(f"{path}: format must be {FORMAT} for this version of vae_lib, got {found}")
    needed = ("name", "source", "licence", "labels", "feature_version", "parameters", "files")
    absent = [name for name in needed if name not in facts]
    if absent:
        raise ParameterError(f"{path}: has no {absent[0]}")
    return facts
