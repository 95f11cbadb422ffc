"""Files that are whole or not there, hashes of content, and rows of arrays that are kept under such hashes."""

import hashlib
import io
import json
import os
import re
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vae_lib.checks import ParameterError

if TYPE_CHECKING:
    import pyarrow

#: The folder of the project: what comes with it lies in ``data``, what is made in ``_build``.
ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` if the block succeeds, remove it if not.

    A reader of `path` therefore sees the old file or the new one, never a part of it.

    Raises
    ------
    ParameterError
        If the folder of `path` cannot be made or written to.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from vae_lib import store
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "rows.csv"
    ...     with store.replacing(path) as temporary:
    ...         _ = temporary.write_text("whole")
    ...         there = path.exists()
    ...     there, path.read_text()
    (False, 'whole')
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    except OSError as error:
        raise ParameterError(
            f"cannot write {path}: {error.strerror or error}; give a folder you may write to"
        ) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path | str, value: object) -> None:
    """Write `value` as readable UTF-8 JSON, whole or not at all; NaN is refused (use ``None``)."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def prepare(folder: Path | str) -> None:
    """Make a folder, and clear it of temporary files more than an hour old: a process that was killed left them.

    Raises
    ------
    ParameterError
        If the folder cannot be made.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ParameterError(
            f"cannot write {folder}: {error.strerror or error}; give a folder you may write to"
        ) from None
    for path in folder.glob(".*-*"):
        with suppress(FileNotFoundError):  # another process clears it too
            if time.time() - path.stat().st_mtime > 3600:
                path.unlink()


def file_sha256(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plain_name(text: str, *, longest: int = 80) -> str:
    """Turn a text into a name of a file or folder that needs no quotes in a shell, in Make or in an address.

    Where characters are replaced or cut off, a hash at the end keeps different texts apart.

    Examples
    --------
    >>> from vae_lib.store import plain_name
    >>> plain_name("book+beta=8")
    'book+beta=8'
    >>> plain_name("book+corpus_name=my songs")
    'book+corpus_name=my-songs-9692824b'
    """
    name = re.sub(r"[^\w.,+=-]+", "-", text, flags=re.ASCII).lstrip(".-")[:longest]
    return name if name == text else f"{name.rstrip('-')}-{content_hash(text)[:8]}"


def content_hash(*parts: object) -> str:
    """SHA-256 of arrays (dtype, shape and bytes) and JSON values, in hexadecimal; depends on their order.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import store
    >>> store.content_hash(np.zeros(3), {"beta": 1.0})[:12]
    '93a0ed843dad'
    >>> store.content_hash(np.zeros(3)) == store.content_hash(np.zeros(3, dtype="float32"))
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True, ensure_ascii=False).encode())
        digest.update(b"\0")
    return digest.hexdigest()


# Rows under keys: a folder of Parquet files, each whole and named by the hash of its content


def write_rows(
    folder: Path | str, keys: Sequence[str], columns: Mapping[str, np.ndarray], *, about: object = None
) -> Path:
    """Add rows to a folder as one further Parquet file.

    Parameters
    ----------
    folder : Path or str
        Made if need be.
    keys : sequence of str, length n
        What `read_rows` finds the rows by: a hash of everything that they depend on.
    columns : mapping of str to ndarray, shape (n, ...)
        Arrays of numbers; one with more than one dimension is stored as nested lists of fixed size.
    about : JSON value, optional
        How the rows came about, for whoever opens the file; put into its metadata.

    Returns
    -------
    Path
        The file: the SHA-256 of its bytes is its name.
    """
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"key": pyarrow.array(keys)} | {name: _to_arrow(values) for name, values in columns.items()})
    content = io.BytesIO()
    table = table.replace_schema_metadata({"about": json.dumps(about)})
    # Measured numbers hardly repeat: dictionaries and compression would cost forty times the time and save nothing.
    pyarrow.parquet.write_table(table, content, use_dictionary=False, compression="none")
    path = Path(folder) / f"{hashlib.sha256(content.getbuffer()).hexdigest()}.parquet"
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())
    return path


def stored_keys(folder: Path | str) -> set[str]:
    """The keys of all rows in a folder; a damaged file is removed.

    Warns
    -----
    UserWarning
        If a file is damaged, that is if its bytes are not those that its name tells.
    """
    keys = set()
    for path, table in _parts(folder, ["key"]):
        if table is None:
            warnings.warn(f"{path} is damaged and was removed; its rows will be computed again", stacklevel=2)
            path.unlink()
        else:
            keys.update(table["key"].to_pylist())
    return keys


def read_rows(folder: Path | str, keys: Sequence[str], *, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Read rows by their keys.

    Parameters
    ----------
    folder : Path or str
        What `write_rows` was given.
    keys : sequence of str, length n
        Which rows, in which order; a key may come more than once.
    columns : sequence of str
        Which columns.

    Returns
    -------
    dict of str to ndarray, shape (n, ...)

    Raises
    ------
    ParameterError
        If `keys` is empty, or a row is missing (a damaged file counts as missing) or was written without one of the
        columns.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from vae_lib import store
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = store.write_rows(folder, ["a", "b"], {"tempo": np.array([90.0, 120.0])})
    ...     store.read_rows(folder, ["b", "a"], columns=["tempo"])
    {'tempo': array([120.,  90.])}
    """
    position = {key: row for row, key in enumerate(dict.fromkeys(keys))}
    if not position:
        raise ParameterError("keys must name at least one row, got none")
    found = np.zeros(len(position), bool)
    gathered: dict[str, np.ndarray] = {}
    for path, table in _parts(folder, ["key", *columns]):
        rows = np.array([position.get(key, -1) for key in table["key"].to_pylist()] if table else [], dtype=int)
        here = np.flatnonzero(rows >= 0)
        if not len(here):
            continue
        absent = [name for name in columns if name not in table.column_names]
        if absent:
            raise ParameterError(f"{path}: was written without {', '.join(absent)}")
        for name in columns:
            values = _from_arrow(table[name].take(here))
            whole = gathered.setdefault(name, np.empty((len(position), *values.shape[1:]), values.dtype))
            whole[rows[here]] = values
        found[rows[here]] = True
    if not found.all():
        raise ParameterError(
            f"{folder}: {np.count_nonzero(~found)} of {len(found)} rows are missing, because a file is gone or damaged"
        )
    order = [position[key] for key in keys]
    return {name: values[order] for name, values in gathered.items()}


def _parts(folder: Path | str, columns: Sequence[str]) -> Iterator[tuple[Path, "pyarrow.Table | None"]]:
    """Each file with those of the columns that it has, or with None if it is damaged."""
    import pyarrow
    import pyarrow.parquet

    for path in sorted(Path(folder).glob("[0-9a-f]*.parquet")):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == path.stem:
            yield path, pyarrow.parquet.ParquetFile(io.BytesIO(content)).read(columns=list(columns))
        else:
            yield path, None


def _to_arrow(values: np.ndarray) -> "pyarrow.Array":
    import pyarrow

    array = pyarrow.array(values.reshape(-1))
    for size in reversed(values.shape[1:]):
        array = pyarrow.FixedSizeListArray.from_arrays(array, size)
    return array


def _from_arrow(column: "pyarrow.ChunkedArray") -> np.ndarray:
    array, shape = column.combine_chunks(), [len(column)]
    while hasattr(array.type, "list_size"):
        shape.append(array.type.list_size)
        array = array.flatten()
    return array.to_numpy().reshape(shape)
