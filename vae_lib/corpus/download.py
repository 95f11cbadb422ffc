"""GTZAN fetched and verified, and only where this is asked for.

Each track is one published WAV file, known by its SHA-256. A track is written under its own name, and only when its
sum is right, so an archive cannot put anything anywhere else and an interrupted run goes on where it stopped.
"""

import hashlib
import io
import os
import stat
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from vae_lib import checks, store
from vae_lib.checks import ParameterError

CHUNK = 2**14  # bytes written at a time, at most
MAX_TRACK = 16 * 2**20  # bytes of one track in an archive; the published ones have 1.4 million
MAX_ARCHIVE = MAX_TOTAL = 8 * 2**30  # bytes of an archive, and of everything in it
SLOWEST = 2**16  # bytes that must come in a minute
MINUTE = 60.0  # seconds

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


class ArchiveError(ParameterError):
    """An archive that is damaged or not safe to unpack."""


class Remote(NamedTuple):
    """Where a set of tracks comes from, and where below the data folder it goes."""

    folder: str
    tracks_per_genre: int
    variable: str  # of the environment, with another address
    url: str | None
    hint: str


REMOTES = {
    "gtzan-mini": Remote(
        "gtzan_mini",
        10,
        "GTZAN_MINI_URL",
        "https://github.com/TempoBeatDownbeat/gtzan_mini/archive/refs/heads/main.zip",
        "It is the GitHub repository TempoBeatDownbeat/gtzan_mini.",
    ),
    "gtzan": Remote(
        "gtzan",
        100,
        "GTZAN_URL",
        None,
        "The address that its authors gave (genres.tar.gz on opihi.cs.uvic.ca) no longer answers; the data set page "
        "andradaolteanu/gtzan-dataset-music-genre-classification on Kaggle has it as a .zip behind a login.",
    ),
}


def data_home(folder: Path | str | None = None) -> Path:
    """The folder of music that does not come with the project: `folder`, else DATA_HOME, else ``data/raw``."""
    return Path(folder or os.environ.get("DATA_HOME") or store.ROOT / "data" / "raw")


def published(name: str = "gtzan") -> dict[str, str]:
    """SHA-256 of the WAV file of each track, as it was published.

    Examples
    --------
    >>> from vae_lib.corpus import download
    >>> len(download.published()), len(download.published("gtzan-mini"))
    (1000, 100)
    """
    index = pd.read_csv(store.ROOT / "data" / "gtzan" / "index.csv", dtype=str, index_col="track_id")
    return {i: sha256 for i, sha256 in index["sha256"].items() if int(i[-5:]) < REMOTES[name].tracks_per_genre}


def as_wav(data: bytes) -> bytes:
    """The 16-bit WAV file that a lossless copy (FLAC, AU) was made from, byte by byte; `MAX_TRACK` long at most."""
    import soundfile

    try:
        samples, sample_rate = soundfile.read(io.BytesIO(data), dtype="int16", frames=MAX_TRACK // 2)
        wav = io.BytesIO()
        soundfile.write(wav, samples, sample_rate, format="WAV", subtype="PCM_16")
    except (soundfile.LibsndfileError, OSError) as error:
        raise ParameterError(f"cannot be decoded as audio: {error}") from None
    return wav.getvalue()


def track_path(folder: Path, track_id: str) -> Path:
    """Where `fetch` puts a track of GTZAN: ``genres/GENRE/TRACK.wav`` below `folder`."""
    return folder / "genres" / track_id.split(".")[0] / f"{track_id}.wav"


def fetch(
    name: str, *, folder: Path | str | None = None, url: str | None = None, progress: bool = True
) -> dict[str, str]:
    """Bring those tracks of ``gtzan`` or ``gtzan-mini`` into the data folder that are not there yet.

    They come from an archive that lies in the folder of the corpus, or else from `url` (default: the variable GTZAN_URL
    or GTZAN_MINI_URL, else the known address): a ``.zip``, ``.tar`` or ``.tar.gz`` with WAV, AU or FLAC files in any
    folders. A download that was cut goes on where it stopped, and is deleted when its tracks are out.

    Returns
    -------
    dict
        For each track that is still missing, why; empty if the set is complete.

    Raises
    ------
    ParameterError
        If nothing can be fetched, or the archive is damaged or not safe to unpack; the message says what to do.
    """
    remote = REMOTES[checks.one_of(name, "name", REMOTES)]
    target = data_home(folder) / remote.folder
    url = url or os.environ.get(remote.variable) or remote.url
    sums = published(name)
    reasons = {i: "not in the archive" for i in sums if not _is_there(track_path(target, i), sums[i])}
    placed = sorted(path for path in target.glob("*") if path.name.endswith(_ARCHIVES))
    if reasons and not placed and not url:
        raise ParameterError(
            f"{len(reasons)} tracks of {name} are missing and no public address of it is known that works. "
            f"{remote.hint} Put the archive into {target} and run this again, or set {remote.variable} to an address"
        )
    for archive in placed:
        if reasons:
            reasons = _unpack(archive, target, {i: sums[i] for i in reasons}, progress=progress)
    if reasons and url:
        archive = target / f"{name}.download"
        _download(url, archive, progress=progress, otherwise=f"{remote.hint} Or put the archive into {target}")
        try:
            reasons = _unpack(archive, target, {i: sums[i] for i in reasons}, progress=progress)
        except ArchiveError:
            archive.unlink()  # the next run must not meet it again
            raise
        archive.unlink()
    return reasons


def _is_there(path: Path, sha256: str) -> bool:
    return path.is_file() and store.file_sha256(path) == sha256


def _download(url: str, target: Path, *, progress: bool, otherwise: str) -> None:
    import pooch
    import requests
    from urllib3.exceptions import HTTPError

    pooch.get_logger().setLevel("WARNING")  # it would print a checksum to pin: each track has its own
    resume = partial(_resume, part=target.with_suffix(".part"), progress=progress)
    try:
        pooch.retrieve(url, known_hash=None, fname=target.name, path=target.parent, downloader=resume)
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        raise ParameterError(f"{url}: cannot be fetched: {error}. {otherwise}, and run this again") from None


def _resume(url: str, output_file: str, pooch: object, *, part: Path, progress: bool) -> None:
    """Download to `output_file` by way of `part`, which outlives a cut connection and an interrupted run."""
    import requests
    from tqdm import tqdm
    from urllib3 import Retry
    from urllib3.exceptions import HTTPError

    session = requests.Session()
    retry = requests.adapters.HTTPAdapter(max_retries=Retry(5, backoff_factor=1, status_forcelist=[502, 503, 504]))
    session.mount("http://", retry)
    session.mount("https://", retry)
    while True:
        have = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            with session.get(url, headers=headers, stream=True, timeout=60) as response:
                if response.status_code == requests.codes.requested_range_not_satisfiable:
                    break  # all of it is there
                response.raise_for_status()
                resumed = response.status_code == requests.codes.partial_content
                bar = tqdm(desc=part.stem, initial=have * resumed, unit="B", unit_scale=True, disable=not progress)
                came = have * resumed
                bar.total = total = int(response.headers.get("Content-Length", 0)) + came
                with part.open("ab" if resumed else "wb") as file, bar:
                    begun, before = time.monotonic(), came
                    while chunk := response.raw.read1(CHUNK):  # what is there, however little
                        bar.update(file.write(chunk))
                        came += len(chunk)
                        if max(came, total) > MAX_ARCHIVE:
                            raise OSError(f"it is larger than {MAX_ARCHIVE / 2**30:.0f} GiB")
                        if time.monotonic() - begun > MINUTE:
                            if came - before < SLOWEST:
                                raise OSError(f"fewer than {SLOWEST} bytes came in a minute")
                            begun, before = time.monotonic(), came
                    if came < total:
                        raise requests.ConnectionError(f"{came} of {total} bytes came")
            break
        except (requests.ConnectionError, HTTPError):
            if not part.exists() or part.stat().st_size <= have:
                raise
    part.replace(output_file)


def _unpack(archive: Path, target: Path, sums: Mapping[str, str], *, progress: bool) -> dict[str, str]:
    """Take tracks out of an archive, each under its own name and only if its sum is right; say why one was not."""
    from tqdm import tqdm

    reasons = dict.fromkeys(sums, "not in the archive")
    total = 0
    try:
        with tqdm(desc=archive.stem, total=len(sums), unit="track", disable=not progress) as bar:
            for name, size, plain, read in _members(archive):
                total += size
                track_id = PurePosixPath(name).stem
                parts = name.replace("\\", "/").split("/")
                if not plain:
                    raise ArchiveError(f"{archive}: refused, {name!r} is a link or a device")
                if parts[0] == "" or ".." in parts or ":" in parts[0]:
                    raise ArchiveError(f"{archive}: refused, {name!r} leads out of the archive's folder")
                if total > MAX_TOTAL:
                    raise ArchiveError(f"{archive}: refused, it holds more than {MAX_TOTAL / 2**30:.0f} GiB")
                if track_id not in reasons or name.endswith("/"):
                    continue
                if size > MAX_TRACK:
                    raise ArchiveError(f"{archive}: refused, {name} has {size} bytes, at most {MAX_TRACK} are allowed")
                reasons[track_id] = _place(read(), track_path(target, track_id), sha256=sums[track_id])
                if not reasons[track_id]:
                    del reasons[track_id]
                    bar.update()
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, zlib.error, RuntimeError) as error:
        raise ArchiveError(f"{archive}: cannot be read as an archive: {error}; fetch it again") from None
    return reasons


def _members(archive: Path) -> Iterator[tuple[str, int, bool, Callable[[], bytes]]]:
    """Name (of a folder with a slash at its end), size, whether it is a file or folder, and reader of each member."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                link = stat.S_ISLNK(info.external_attr >> 16)
                yield info.filename, info.file_size, not link, partial(file.read, info)
    else:
        with tarfile.open(archive, mode="r|*") as file:  # a stream: a large archive is read once
            for member in file:
                name = member.name + "/" * member.isdir()
                yield name, member.size, member.isreg() or member.isdir(), lambda m=member: file.extractfile(m).read()


def _place(data: bytes, path: Path, *, sha256: str) -> str:
    """Write a track if it is the published recording; else say why not."""
    if hashlib.sha256(data).hexdigest() != sha256:
        try:
            data = as_wav(data)
        except ParameterError as error:
            return str(error)
        if hashlib.sha256(data).hexdigest() != sha256:
            return "is not the published recording: another SHA-256"
    try:
        with store.replacing(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise ParameterError(f"cannot write {path}: {error.strerror}") from None
    return ""


def fetch_all(names: Sequence[str] = (), *, folder: Path | str | None = None) -> int:
    """Fetch corpora by name, all of `REMOTES` by default, and print what came; 0 if all is verified, else 1."""
    complete = True
    for name in names or REMOTES:
        try:
            reasons = fetch(name, folder=folder)
        except ParameterError as error:
            print(f"error: {error}", file=sys.stderr)
            complete = False
            continue
        for track_id, reason in sorted(reasons.items()):
            print(f"missing {track_id}: {reason}", file=sys.stderr)
        n = len(published(name))
        print(f"{name}: {n - len(reasons)} of {n} tracks verified in {data_home(folder) / REMOTES[name].folder}")
        complete &= not reasons
    return 0 if complete else 1
