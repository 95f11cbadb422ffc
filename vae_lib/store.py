"""Files that are whole or not there, and hashes of content."""

import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vae_lib.checks import ParameterError

ROOT = Path(__file__).resolve().parents[1]
"""Folder of the project. What comes with it lies in ``data``, what is made in ``_build``."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""What goes wrong while writing, of which Python does not say where."""


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` if the block succeeds, remove it if not.

    A reader of `path` therefore sees the old file or the new one, never a part of it.

    Raises
    ------
    ParameterError
        If the folder of `path` cannot be made or written to.
    OSError
        If the disk is full or fails; the message names `path`.

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
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(error.errno, f"{error.strerror}; what was there is whole", str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path | str, value: object) -> None:
    """Write `value` as readable UTF-8 JSON, whole or not at all; NaN is refused (use ``None``)."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


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
