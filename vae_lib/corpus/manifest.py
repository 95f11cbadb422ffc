"""Your own songs: out of a CSV file that lists them, or a folder that holds them."""

import csv
import io
import os
import unicodedata
from itertools import zip_longest
from pathlib import Path

import pandas as pd

from vae_lib.checks import ParameterError
from vae_lib.corpus.base import Corpus

#: What counts as audio in a folder.
AUDIO_SUFFIXES = (".aif", ".aiff", ".au", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav")

_FILES = ("audio", "lyrics_file")  # whose names may begin or end with white space
_NOT_LABELS = ("audio", "track_id", "title", "artist", "lyrics", "lyrics_file")
_UNLICENSED = "Not stated; recordings and words belong to their owners."


def from_manifest(
    path: Path | str, *, name: str | None = None, source: str | None = None, licence: str = _UNLICENSED
) -> Corpus:
    r"""A corpus of your own songs, listed in a CSV file.

    Parameters
    ----------
    path : Path or str
        The manifest: UTF-8 with or without byte order mark, any line ends, commas between the columns. ``audio`` is the
        file, relative to the manifest; ``track_id`` the name of the row (default: `audio` without its ending);
        ``title`` and ``artist`` may be empty; ``lyrics`` holds the words, or ``lyrics_file`` the text file (UTF-8) that
        does, empty where there are none. Every other column, such as ``genre`` or ``language``, is a label and has a
        value in every row. Without ``audio`` there must be ``track_id`` and lyrics.
    name : str, optional
        What to call the corpus; default: the name of the file.
    source, licence : str, optional
        See `Corpus`.

    Returns
    -------
    Corpus
        With nothing computed; no audio file has been opened.

    Raises
    ------
    ParameterError
        If the manifest cannot be used; the message names the file, the line, the value and what is allowed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from vae_lib import corpus
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     manifest = Path(folder) / "songs.csv"
    ...     _ = manifest.write_text("track_id,language,lyrics\nb,english,Rain again\na,bangla,আবার বৃষ্টি\n")
    ...     corpus.from_manifest(manifest).tracks["language"].tolist()
    ['bangla', 'english']
    """
    path = Path(path)
    table = _read(path)
    if "lyrics" in table and "lyrics_file" in table:
        raise ParameterError(f"{path}: give lyrics or lyrics_file, not both")
    if "audio" not in table and not ("track_id" in table and {"lyrics", "lyrics_file"} & {*table}):
        raise ParameterError(
            f"{path}: must have a column audio (or track_id and lyrics or lyrics_file), got the columns "
            f"{', '.join(table)}; the first line names them, with commas in between"
        )
    labels = [column for column in table if column not in _NOT_LABELS]
    for column in [c for c in ("audio", "track_id", *labels) if c in table]:
        empty = table.index[table[column].isna()]
        if len(empty):
            remedy = "" if column in _NOT_LABELS else ", or leave the column out"
            raise ParameterError(
                f"{path}, line {empty[0]}: {column} is empty ({len(empty)} such line(s)); fill it in{remedy}"
            )
    if "audio" in table:
        table["audio"] = _found(table["audio"], path)
    given = "track_id" in table
    if not given:
        table["track_id"] = [Path(audio).with_suffix("").as_posix() for audio in table["audio"]]
    if "lyrics_file" in table:
        files = _found(table.pop("lyrics_file").dropna(), path)
        table["lyrics"] = files.map(lambda file: _decode(path.parent / file)).reindex(table.index)
    lines = table.index[table["track_id"].duplicated(keep=False)]
    if len(lines):
        track_id = table["track_id"][lines[0]]
        first, second = table.index[table["track_id"] == track_id][:2]
        remedy = "each must be unique" if given else "give names that differ in a column track_id"
        raise ParameterError(f"{path}, lines {first} and {second}: the same track_id {track_id!r}; {remedy}")
    tracks = table.set_index("track_id").sort_index().astype(dict.fromkeys(labels, "category"))
    return Corpus(
        name=name or path.stem,
        texts=tracks.pop("lyrics") if "lyrics" in tracks else None,
        tracks=tracks,
        source=source or f"The songs listed in {path.name}.",
        licence=licence,
        audio_folder=path.parent if "audio" in tracks else None,
    )


def _read(path: Path) -> pd.DataFrame:
    """The table as text without white space around it, None where a cell is empty; the index is the line number."""
    if not path.is_file():
        raise ParameterError(f"{path}: {'is a folder; see from_folder' if path.is_dir() else 'no such file'}")
    reader = csv.reader(io.StringIO(_decode(path), newline=""), strict=True)
    rows = {}
    try:
        header = [column.strip() for column in next(reader, [])]
        while header and not header[-1]:
            header.pop()
        if not header:
            raise ParameterError(
                f"{path}: is empty; the first line must name the columns, such as audio,genre,language"
            )
        if not all(header) or len(set(header)) < len(header):
            raise ParameterError(f"{path}: every column needs a name of its own, got {', '.join(header)}")
        end = reader.line_num
        for row in reader:
            line, end = end + 1, reader.line_num  # a row with line breaks in a cell ends further down
            named = zip_longest(row, header)
            cells = [
                (cell if column in _FILES else cell.strip()) if cell and cell.strip() else None
                for cell, column in named
            ]
            if any(cells[len(header) :]):
                raise ParameterError(
                    f"{path}, line {line}: has {len(cells)} cells for {len(header)} columns; put a cell that holds a "
                    "comma between double quotes"
                )
            if any(cells):
                rows[line] = cells[: len(header)]
    except csv.Error as error:
        long = (
            "; put long words into files of their own, named by a column lyrics_file" if "limit" in str(error) else ""
        )
        raise ParameterError(f"{path}, line {reader.line_num}: cannot be read as CSV: {error}{long}") from None
    if not rows:
        raise ParameterError(f"{path}: must list at least one song, it has only the names of columns")
    return pd.DataFrame(rows.values(), columns=header, index=rows.keys(), dtype=object)


def _decode(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ParameterError(
            f"{path}, line {line}: is not UTF-8 (byte 0x{data[error.start]:02x}); save it as UTF-8"
        ) from None


def _found(values: pd.Series, manifest: Path) -> pd.Series:
    """The files that a column of a manifest names, relative to it, as the file system writes them."""

    def find(value: str) -> str | None:
        # Systems write accented and Bengali names in different forms of Unicode, and Windows parts folders by \\.
        bare = value.strip()
        forms = [value, bare, *(unicodedata.normalize(form, bare) for form in ("NFC", "NFD")), bare.replace("\\", "/")]
        # os.path.isfile says False, and raises nothing, for a name that no file can have.
        return next((form for form in forms if os.path.isfile(manifest.parent / form)), None)  # noqa: PTH113

    found = values.map(find)
    absent = values.index[found.isna()]
    if len(absent):
        value = values[absent[0]].strip()
        raise ParameterError(
            f"{manifest}, line {absent[0]}: {values.name} {value!r} is no file ({len(absent)} such line(s)); "
            f"looked for {manifest.parent / value}"
        )
    return found


def from_folder(
    folder: Path | str, *, name: str | None = None, source: str | None = None, licence: str = _UNLICENSED
) -> Corpus:
    """A corpus of your own songs, sorted into one folder per genre.

    Parameters
    ----------
    folder : Path or str
        ``genre/file.ext``; folders further down count to the genre above them. Hidden files and folders and files that
        are no audio (by their endings: AIFF, AU, FLAC, MP3, OGG, Opus or WAV) are passed over.
    name : str, optional
        What to call the corpus; default: the name of the folder.
    source, licence : str, optional
        See `Corpus`.

    Returns
    -------
    Corpus
        With nothing computed; ``track_id`` is ``genre/file``, without the ending.

    Raises
    ------
    ParameterError
        If there is no such folder or no audio in it, a file lies in no genre, or two differ only in their endings.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from vae_lib import corpus
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for file in ("jazz/one.wav", "jazz/live/two.mp3", "pop/three.flac"):
    ...         (Path(folder) / file).parent.mkdir(parents=True, exist_ok=True)
    ...         (Path(folder) / file).touch()
    ...     corpus.from_folder(folder).tracks["genre"].to_dict()
    {'jazz/live/two': 'jazz', 'jazz/one': 'jazz', 'pop/three': 'pop'}
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ParameterError(f"{folder}: {'is a file; see from_manifest' if folder.is_file() else 'no such folder'}")
    files = {}
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        if any(part.startswith(".") for part in below.parts) or path.suffix.lower() not in AUDIO_SUFFIXES:
            continue
        if any("\ud800" <= sign <= "\udfff" for sign in str(below)):  # how Python holds bytes that are no text
            raise ParameterError(f"{os.fsencode(path)}: the name of the file is not UTF-8; rename it")
        if len(below.parts) == 1:
            raise ParameterError(f"{path}: lies in no genre; it must be {folder}/GENRE/{path.name}")
        track_id = below.with_suffix("").as_posix()
        if track_id in files:
            raise ParameterError(f"{path}: the same track as {folder / files[track_id]}; keep one of them")
        files[track_id] = below.as_posix()
    if not files:
        raise ParameterError(f"{folder}: holds no GENRE/FILE with one of the endings {', '.join(AUDIO_SUFFIXES)}")
    tracks = pd.DataFrame({"audio": files}).sort_index().rename_axis("track_id")
    tracks.insert(0, "genre", pd.Categorical(tracks.index.str.split("/").str[0]))
    return Corpus(
        name=name or folder.resolve().name,
        tracks=tracks,
        source=source or f"The audio files of a folder {folder.resolve().name}.",
        licence=licence,
        audio_folder=folder,
    )
