"""Your own songs as a table: out of a CSV file that lists them, or a folder that holds them."""

import csv
import io
import os
import unicodedata
from pathlib import Path

import pandas as pd

from vae_lib.checks import ParameterError

#: What counts as audio in a folder.
AUDIO_SUFFIXES = (".aif", ".aiff", ".au", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav")

_NOT_LABELS = ("audio", "track_id", "title", "artist", "lyrics", "lyrics_file")


def read_manifest(path: Path | str) -> pd.DataFrame:
    r"""The songs of a manifest; `vae_lib.corpus.from_manifest` tells what it looks like.

    Parameters
    ----------
    path : Path or str
        A CSV file.

    Returns
    -------
    DataFrame
        Index ``track_id``, sorted. ``audio`` is a file below the manifest's folder that is there; ``lyrics`` are words;
        labels are categories.

    Raises
    ------
    ParameterError
        If it cannot be used; the message names the file, the line, the value and what is allowed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from vae_lib import manifest
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "songs.csv"
    ...     _ = path.write_text("track_id,genre,lyrics\na,pop,La la\na,jazz,Doo\n")
    ...     try:
    ...         manifest.read_manifest(path)
    ...     except manifest.ParameterError as error:
    ...         print(str(error).removeprefix(str(path)))
    , lines 2 and 3: the same track_id 'a'; each must be unique
    """
    path = Path(path)
    table = _read_manifest(path)
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
    if "track_id" not in table:
        table["track_id"] = [Path(audio).with_suffix("").as_posix() for audio in table["audio"]]
    if "lyrics_file" in table:
        table["lyrics"] = _read_lyrics(table.pop("lyrics_file"), path)
    twice = table["track_id"].duplicated(keep=False)
    if twice.any():
        track_id = table.loc[twice, "track_id"].iloc[0]
        lines = table.index[table["track_id"] == track_id]
        raise ParameterError(
            f"{path}, lines {' and '.join(map(str, lines[:2]))}: the same track_id {track_id!r}; each must be unique"
        )
    return table.set_index("track_id").sort_index().astype(dict.fromkeys(labels, "category"))


def _read_manifest(path: Path) -> pd.DataFrame:
    """The table as text without white space around it, None where a cell is empty; the index is the line number."""
    if not path.is_file():
        raise ParameterError(f"{path}: {'is a folder; see from_folder' if path.is_dir() else 'no such file'}")
    reader = csv.reader(io.StringIO(_decode(path), newline=""), strict=True)
    lines, rows = [], []
    try:
        header = [column.strip() for column in next(reader, [])]
        if not any(header):
            raise ParameterError(
                f"{path}: is empty; the first line must name the columns, such as audio,genre,language"
            )
        while header and not header[-1]:
            header.pop()
        for column in header:
            if not column or header.count(column) > 1:
                raise ParameterError(f"{path}: every column needs a name of its own, got {', '.join(header)}")
        end = reader.line_num
        for row in reader:
            line, end = end + 1, reader.line_num  # a row with line breaks in a cell ends further down
            cells = [cell.strip() or None for cell in row]
            if any(cells):
                if any(cells[len(header) :]):
                    raise ParameterError(
                        f"{path}, line {line}: has {len(cells)} cells for {len(header)} columns; put a cell "
                        "that holds a comma between double quotes"
                    )
                lines.append(line)
                rows.append((cells + [None] * len(header))[: len(header)])
    except csv.Error as error:
        raise ParameterError(f"{path}, line {reader.line_num}: cannot be read as CSV: {error}") from None
    if not rows:
        raise ParameterError(f"{path}: must list at least one song, it has only the names of columns")
    return pd.DataFrame(rows, columns=header, index=pd.Index(lines, name="line"), dtype=object)


def _decode(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ParameterError(
            f"{path}, line {line}: is not UTF-8 (byte 0x{data[error.start]:02x}); save it as UTF-8"
        ) from None


def _found(values: pd.Series, manifest: Path) -> list[str]:
    """The files that a column of a manifest names, relative to it, as the file system writes them."""
    found, absent = [], []
    for line, value in values.items():
        # Systems write accented and Bengali names in different forms of Unicode, and Windows parts folders by \\.
        forms = [value, *(unicodedata.normalize(form, value) for form in ("NFC", "NFD")), value.replace("\\", "/")]
        there = next((form for form in forms if _is_file(manifest.parent / form)), None)
        found.append(there)
        if there is None:
            absent.append(line)
    if absent:
        value = values[absent[0]]
        raise ParameterError(
            f"{manifest}, line {absent[0]}: {values.name} {value!r} is no file ({len(absent)} such line(s)); "
            f"looked for {manifest.parent / value}"
        )
    return found


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - False, and no error, for a name that no file can have


def _read_lyrics(files: pd.Series, manifest: Path) -> list[str | None]:
    there = files.dropna()
    paths = dict(zip(there.index, _found(there, manifest), strict=True))
    return [_decode(manifest.parent / paths[line]) if line in paths else None for line in files.index]


def read_folder(folder: Path | str) -> pd.DataFrame:
    """The audio files of a folder that has one folder per genre; see `vae_lib.corpus.from_folder`.

    Parameters
    ----------
    folder : Path or str
        ``genre/file.ext``.

    Returns
    -------
    DataFrame
        Index ``track_id``, sorted; columns ``genre``, a category, and ``audio``.

    Raises
    ------
    ParameterError
        If it cannot be used; the message names the file and what is allowed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ParameterError(f"{folder}: {'is a file; see from_manifest' if folder.is_file() else 'no such folder'}")
    files = {}
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        if any(part.startswith(".") for part in below.parts) or path.suffix.lower() not in AUDIO_SUFFIXES:
            continue
        if len(below.parts) == 1:
            raise ParameterError(f"{path}: lies in no genre; it must be {folder}/GENRE/{path.name}")
        track_id = below.with_suffix("").as_posix()
        if track_id in files:
            raise ParameterError(f"{path}: the same track as {folder / files[track_id]}; keep one of them")
        files[track_id] = below.as_posix()
    if not files:
        raise ParameterError(f"{folder}: holds no GENRE/FILE with one of the endings {', '.join(AUDIO_SUFFIXES)}")
    ids = pd.Index(sorted(files), name="track_id")
    genres = pd.Categorical([track_id.split("/")[0] for track_id in ids])
    return pd.DataFrame({"genre": genres, "audio": [files[i] for i in ids]}, index=ids)
