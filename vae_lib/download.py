"""GTZAN fetched and verified, and only where this is asked for.

Each track is one published WAV file, known by its SHA-256. A track is written under its own name, and only when its
sum is right, so an archive cannot put anything anywhere else and an interrupted run goes on where it stopped.
"""

import hashlib
import io
import os
import shutil
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

PAUSE = 2.0  # seconds before the first new attempt after a cut connection, twice as long before each further one
ATTEMPTS = 5  # in a row that bring nothing
CHUNK = 2**14  # bytes written at a time; a cut connection loses less than that
MAX_TRACK = 16 * 2**20  # bytes of one track in an archive; the published ones have 1.4 million
MAX_TOTAL = 8 * 2**30  # bytes of everything in an archive

_PROJECT = Path(__file__).resolve().parents[1]
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
    "gtzan": Remote(
        "gtzan",
        100,
        "GTZAN_URL",
        None,
        "The address that its authors gave (genres.tar.gz on opihi.cs.uvic.ca) no longer answers; the data set page "
        "andradaolteanu/gtzan-dataset-music-genre-classification on Kaggle has it as a .zip behind a login.",
    ),
    "gtzan-mini": Remote(
        "gtzan_mini",
        10,
        "GTZAN_MINI_URL",
        "https://github.com/TempoBeatDownbeat/gtzan_mini/archive/refs/heads/main.zip",
        "It is the GitHub repository TempoBeatDownbeat/gtzan_mini.",
    ),
}


def data_home(folder: Path | str | None = None) -> Path:
    """The folder of music that does not come with the project: `folder`, else DATA_HOME, else ``data/raw``."""
    return Path(folder or os.environ.get("DATA_HOME") or _PROJECT / "data" / "raw")


def published() -> pd.DataFrame:
    """What is known of the 1000 published WAV files of GTZAN.

    Returns
    -------
    DataFrame
        Index ``track_id``; columns ``sha256`` of the file and ``fault_filtered``: train, valid or test in the split of
        Kereliuk, Sturm and Larsen (2015), missing where they left the track out because of a fault.

    Examples
    --------
    >>> from vae_lib import download
    >>> table = download.published()
    >>> len(table), table["fault_filtered"].value_counts().to_dict()
    (1000, {'train': 443, 'test': 290, 'valid': 197})
    """
    return pd.read_csv(_PROJECT / "data" / "gtzan" / "index.csv", dtype=str, index_col="track_id")


def as_wav(data: bytes) -> bytes:
    """The 16-bit WAV file that a lossless copy (FLAC, AU) was made from, byte by byte, up to the size of `MAX_TRACK`.

    Raises
    ------
    ParameterError
        If `data` cannot be decoded as audio.
    """
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
    """Bring the tracks of GTZAN into the data folder, those that are not there yet.

    They come from an archive that lies in ``gtzan`` or ``gtzan_mini`` of the data folder, or else from `url`. A
    download that was cut goes on where it stopped; the archive is deleted when its tracks are out.

    Parameters
    ----------
    name : {"gtzan", "gtzan-mini"}
        The 1000 tracks, or the first ten of each genre.
    folder : Path or str, optional
        The data folder; see `data_home`.
    url : str, optional
        Address of a ``.zip``, ``.tar`` or ``.tar.gz`` file with the tracks, as WAV, AU or FLAC, in any folders.
        Default: the variable GTZAN_URL or GTZAN_MINI_URL, else the known address.
    progress : bool
        Whether to show bars.

    Returns
    -------
    dict
        For each track that is still missing, why; empty if the set is complete.

    Raises
    ------
    ParameterError
        If nothing can be fetched, or the archive is damaged or not safe to unpack; the message says what to do.
    """
    checks.one_of(name, "name", REMOTES)
    remote = REMOTES[name]
    target = data_home(folder) / remote.folder
    url = url or os.environ.get(remote.variable) or remote.url
    sums = _sums(name)
    reasons = {i: "not in the archive" for i in sums if not _is_there(track_path(target, i), sums[i])}

    own = target / f"{name}.download"
    placed = sorted(p for p in target.glob("*") if p.name.endswith(_ARCHIVES)) if target.is_dir() else []
    if reasons and not placed and not url:
        raise ParameterError(
            f"{len(reasons)} tracks of {name} are missing and no public address of it is known that works. "
            f"{remote.hint} Put the archive into {target} and run this again, or set {remote.variable} to an address"
        )
    for archive in placed:
        if reasons:
            reasons = unpack(archive, target, sums={i: sums[i] for i in reasons}, progress=progress)
    if reasons and url:
        _download(url, own, progress=progress, otherwise=f"{remote.hint} Or put the archive into {target}")
        try:
            reasons = unpack(own, target, sums={i: sums[i] for i in reasons}, progress=progress)
        except ArchiveError:
            own.unlink()  # the next run must not meet the same archive
            raise
        own.unlink()
    return reasons


def _sums(name: str) -> dict[str, str]:
    sums = published()["sha256"]
    return sums[sums.index.str.split(".").str[1].astype(int) < REMOTES[name].tracks_per_genre].to_dict()


def _is_there(path: Path, sha256: str) -> bool:
    return path.is_file() and store.file_sha256(path) == sha256


def _download(url: str, target: Path, *, progress: bool, otherwise: str) -> None:
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")  # it would print a checksum to pin: each track has its own
    try:
        pooch.retrieve(
            url,
            known_hash=None,
            fname=target.name,
            path=target.parent,
            downloader=partial(_resume, part=target.with_suffix(".part"), progress=progress),
        )
    except (requests.RequestException, OSError, ValueError) as error:
        raise ParameterError(f"{url}: cannot be fetched: {error}. {otherwise}, and run this again") from None


def _resume(url: str, output_file: str, pooch: object, *, part: Path, progress: bool) -> None:
    """Download to `output_file` by way of `part`, which outlives a cut connection and an interrupted run."""
    import requests
    from tqdm import tqdm

    failures = 0
    while True:
        have = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            with requests.get(url, headers=headers, stream=True, timeout=60) as response:
                if response.status_code == requests.codes.requested_range_not_satisfiable:
                    if response.headers.get("Content-Range") != f"bytes */{have}":
                        part.unlink()  # longer than what is there now: of another file
                        continue
                    break
                response.raise_for_status()
                resumed = response.status_code == requests.codes.partial_content
                size = response.headers.get("Content-Length")
                bar = tqdm(
                    desc=part.stem,
                    total=int(size) + resumed * have if size else None,
                    initial=have if resumed else 0,
                    unit="B",
                    unit_scale=True,
                    disable=not progress,
                )
                with part.open("ab" if resumed else "wb") as file, bar:
                    for chunk in response.iter_content(CHUNK):
                        file.write(chunk)
                        bar.update(len(chunk))
            break
        except requests.HTTPError as error:
            if error.response.status_code < requests.codes.internal_server_error:
                raise
            failures, last = failures + 1, error
        except requests.RequestException as error:
            moved_on = part.exists() and part.stat().st_size > have
            failures, last = (1 if moved_on else failures + 1), error
        if failures >= ATTEMPTS:
            raise last
        time.sleep(PAUSE * 2 ** (failures - 1))
    shutil.move(part, output_file)


def unpack(
    archive: Path | str, target: Path | str, *, sums: Mapping[str, str], progress: bool = True
) -> dict[str, str]:
    """Take tracks out of an archive, each under its own name and only if its sum is right.

    Parameters
    ----------
    archive : Path or str
        A zip or tar file.
    target : Path or str
        Folder of the corpus; see `track_path`.
    sums : mapping
        SHA-256 of the published WAV file of each wanted track.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    dict
        For each wanted track that was not taken out, why.

    Raises
    ------
    ArchiveError
        If the archive is damaged, too large, or holds a link, a device or a name that leads out of its folder.
        What was verified up to there stays.
    ParameterError
        If a track cannot be written.
    """
    from tqdm import tqdm

    archive, target = Path(archive), Path(target)
    reasons = dict.fromkeys(sums, "not in the archive")
    total = 0
    try:
        with tqdm(desc=archive.stem, total=len(sums), unit="track", disable=not progress) as bar:
            for name, size, kind, read in _members(archive):
                _check_member(name, kind, archive)
                total += size
                if total > MAX_TOTAL:
                    raise ArchiveError(f"{archive}: refused, it holds more than {MAX_TOTAL / 2**30:.0f} GiB")
                track_id = PurePosixPath(name).stem
                if kind != "file" or track_id not in reasons:
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


def _members(archive: Path) -> Iterator[tuple[str, int, str, Callable[[], bytes]]]:
    """Name, size, kind (file, folder, or what it is instead) and reader of everything in an archive, in its order."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                mode = info.external_attr >> 16
                kind = "folder" if info.is_dir() else "a link" if stat.S_ISLNK(mode) else "file"
                yield info.filename, info.file_size, kind, partial(file.read, info)
    else:
        with tarfile.open(archive, mode="r|*") as file:  # a stream: a large archive is read once
            for member in file:
                link = member.issym() or member.islnk()
                kind = "file" if member.isreg() else "folder" if member.isdir() else "a link" if link else "a device"
                yield member.name, member.size, kind, lambda member=member: file.extractfile(member).read()


def _check_member(name: str, kind: str, archive: Path) -> None:
    parts = name.replace("\\", "/").split("/")
    if kind not in ("file", "folder"):
        raise ArchiveError(f"{archive}: refused, {name!r} is {kind}")
    if parts[0] == "" or ".." in parts or ":" in parts[0]:
        raise ArchiveError(f"{archive}: refused, {name!r} leads out of the archive's folder")


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
    for name in names or sorted(REMOTES, key=lambda name: REMOTES[name].tracks_per_genre):
        try:
            reasons = fetch(name, folder=folder)
        except ParameterError as error:
            print(f"error: {error}", file=sys.stderr)
            complete = False
            continue
        for track_id, reason in sorted(reasons.items()):
            print(f"missing {track_id}: {reason}", file=sys.stderr)
        n, place = len(_sums(name)), data_home(folder) / REMOTES[name].folder
        print(f"{name}: {n - len(reasons)} of {n} tracks verified in {place}")
        complete &= not reasons
    return 0 if complete else 1
