"""Downloads: only the published recordings arrive, each in its place, over a line that may break."""

import hashlib
import io
import socket
import stat
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import soundfile

from vae_lib import corpus
from vae_lib.checks import ParameterError
from vae_lib.corpus import download
from vae_lib.corpus.download import CHUNK

IDS = ["blues.00000", "blues.00001", "rock.00000", "rock.00012"]


def encoded(track_id, kind="WAV"):
    samples = np.random.default_rng(IDS.index(track_id)).integers(-9000, 9000, 22_050, dtype=np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, 22_050, format=kind, subtype="PCM_16")
    return file.getvalue()


def archive(members, kind="zip"):
    """An archive of (name, content) pairs; a member may also be a ZipInfo or TarInfo of its own."""
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as out:
            for name, content in members:
                out.writestr(name, content)
    else:
        with tarfile.open(fileobj=file, mode=f"w:{kind}") as out:
            for name, content in members:
                info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
                info.size = len(content)
                out.addfile(info, io.BytesIO(content))
    return file.getvalue()


TRACKS = [(f"data/genres/{track_id.split('.')[0]}/{track_id}.wav", encoded(track_id)) for track_id in IDS]
OTHERS = [("data/", b""), ("data/README.md", b"read me"), ("data/genres/blues/._blues.00000.wav", b"Macintosh")]
GOOD = archive([*OTHERS, *TRACKS])
EXPECTED = {f"gtzan/genres/{i.split('.')[0]}/{i}.wav": encoded(i) for i in IDS}


@pytest.fixture(autouse=True)
def four_tracks(monkeypatch):
    """GTZAN of four tracks, three of them in its small version; no address but what a test gives."""
    sums = {track_id: hashlib.sha256(encoded(track_id)).hexdigest() for track_id in IDS}
    few = {track_id: sums[track_id] for track_id in IDS[:3]}
    monkeypatch.setattr(download, "published", lambda name="gtzan": few if name == "gtzan-mini" else sums)
    for name in ("GTZAN_URL", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


class Server(ThreadingHTTPServer):
    """Serves `content` on loopback; each request may be cut after so many bytes, or answered with an error."""

    daemon_threads = True

    def __init__(self, content):
        self.content, self.cuts, self.errors, self.ranges = content, [], [], True
        self.asked = []  # the Range header of each request
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/genres.zip"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        if server.errors or start >= len(server.content):
            self.send_error(server.errors.pop(0) if server.errors else 416)
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(content):
        servers.append(Server(content))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def fetch(home, server=None, name="gtzan"):
    return download.fetch(name, folder=home, url=server and server.url, progress=False)


def arrived(home):
    """Every file below the folder, by its path."""
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["zip", "", "gz"], ids=["zip", "tar", "tar.gz"])
def test_the_published_files_arrive_and_nothing_else(kind, serve, tmp_path):
    assert fetch(tmp_path, serve(archive([*OTHERS, *TRACKS], kind))) == {}
    assert arrived(tmp_path) == EXPECTED


def test_what_is_there_is_not_fetched_again(serve, tmp_path):
    server = serve(GOOD)
    fetch(tmp_path, server)
    fetch(tmp_path, server)
    assert len(server.asked) == 1
    (tmp_path / "gtzan/genres/rock/rock.00000.wav").write_bytes(b"damaged since")
    assert fetch(tmp_path, server) == {}
    assert len(server.asked) == 2
    assert arrived(tmp_path) == EXPECTED


def test_the_small_version_has_its_own_folder_and_address(serve, tmp_path, monkeypatch):
    monkeypatch.setenv("GTZAN_MINI_URL", serve(GOOD).url)
    assert fetch(tmp_path, name="gtzan-mini") == {}
    assert {path.split("/")[0] for path in arrived(tmp_path)} == {"gtzan_mini"}
    assert len(arrived(tmp_path)) == 3, "the twelfth track of rock is no part of it"


@pytest.mark.parametrize("kind", ["FLAC", "AU"])
def test_a_lossless_copy_becomes_the_published_file(kind, serve, tmp_path):
    assert fetch(tmp_path, serve(archive([(f"x/{i}.{kind.lower()}", encoded(i, kind)) for i in IDS]))) == {}
    assert arrived(tmp_path) == EXPECTED


def test_another_recording_is_reported_and_not_taken_for_the_published_one(serve, tmp_path, monkeypatch, capsys):
    other = [("a/blues.00000.wav", encoded("rock.00000")), ("a/blues.00001.wav", b"noise"), *TRACKS[2:3]]
    monkeypatch.setenv("GTZAN_URL", serve(archive(other)).url)
    assert download.fetch_all(["gtzan"], folder=tmp_path) == 1
    said = capsys.readouterr()
    assert "missing blues.00000: is not the published recording: another SHA-256" in said.err
    assert "missing blues.00001: cannot be decoded as audio" in said.err
    assert "missing rock.00012: not in the archive" in said.err
    assert "gtzan: 1 of 4 tracks verified in" in said.out
    assert arrived(tmp_path).keys() == {"gtzan/genres/rock/rock.00000.wav"}
    monkeypatch.setenv("GTZAN_URL", serve(GOOD).url)
    assert download.fetch_all(["gtzan"], folder=tmp_path) == 0


def test_a_cut_download_goes_on_where_it_stopped(serve, tmp_path):
    server = serve(GOOD)
    server.cuts = [3 * CHUNK + 10, 2 * CHUNK]
    assert fetch(tmp_path, server) == {}
    assert server.asked == [None, f"bytes={3 * CHUNK + 10}-", f"bytes={5 * CHUNK + 10}-"]
    assert arrived(tmp_path) == EXPECTED


@pytest.mark.parametrize(
    ("limits", "message"),
    [({"MAX_ARCHIVE": 1000}, "it is larger than"), ({"MINUTE": 0.0, "SLOWEST": 10**9}, "fewer than .* in a minute")],
)
def test_a_download_without_end_is_given_up(limits, message, serve, tmp_path, monkeypatch):
    for name, value in limits.items():
        monkeypatch.setattr(download, name, value)
    with pytest.raises(ParameterError, match=f"cannot be fetched: {message}"):
        fetch(tmp_path, serve(GOOD))


def test_a_server_that_cannot_go_on_starts_over(serve, tmp_path):
    server = serve(GOOD)
    server.cuts, server.ranges = [2 * CHUNK], False
    assert fetch(tmp_path, server) == {}
    assert arrived(tmp_path) == EXPECTED


def test_an_interrupted_run_is_taken_up_by_the_next(serve, tmp_path):
    server = serve(GOOD)
    server.cuts = [CHUNK, 0]
    with pytest.raises(ParameterError, match=r"genres\.zip: cannot be fetched: .*the archive into .*gtzan, and run"):
        fetch(tmp_path, server)
    assert arrived(tmp_path) == {"gtzan/gtzan.part": GOOD[:CHUNK]}
    server.asked = []
    assert fetch(tmp_path, server) == {}
    assert server.asked == [f"bytes={CHUNK}-"]
    (tmp_path / "gtzan/genres/blues/blues.00000.wav").unlink()
    (tmp_path / "gtzan/gtzan.part").write_bytes(GOOD)  # complete, and not unpacked
    assert fetch(tmp_path, server) == {}
    assert arrived(tmp_path) == EXPECTED


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(serve, tmp_path):
    server = serve(GOOD)
    server.errors = [503]
    assert fetch(tmp_path / "busy", server) == {}
    server.errors, server.asked = [404], []
    with pytest.raises(ParameterError, match="404"):
        fetch(tmp_path / "gone", server)
    assert len(server.asked) == 1
    assert arrived(tmp_path / "gone") == {}


@pytest.mark.parametrize("content", [b"<html>log in first</html>", GOOD[:-200], archive(TRACKS, "gz")[:-5000]])
def test_what_is_no_whole_archive_does_not_stay_in_the_way(content, serve, tmp_path):
    with pytest.raises(ParameterError, match=r"cannot be read as an archive: .*; fetch it again"):
        fetch(tmp_path, serve(content))
    assert fetch(tmp_path, serve(GOOD)) == {}
    assert arrived(tmp_path) == EXPECTED


def test_a_full_disk_costs_no_second_download(serve, tmp_path, monkeypatch):
    server = serve(GOOD)

    def fail(path, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", fail)
        with pytest.raises(ParameterError, match=r"cannot write .*blues\.00000\.wav: No space left on device"):
            fetch(tmp_path, server)
    assert fetch(tmp_path, server) == {}
    assert len(server.asked) == 1
    assert arrived(tmp_path) == EXPECTED


def zip_link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def tar_member(kind, target=""):
    info = tarfile.TarInfo("blues.00000.wav")
    info.type, info.linkname = kind, target
    return info


HOSTILE = {
    "zip, up to a track": (("../blues.00000.wav", encoded("blues.00000")), "zip", "leads out"),
    "zip, root": (("/etc/evil", b"x"), "zip", "leads out"),
    "zip, backslashes": ((r"a\..\..\evil.wav", b"x"), "zip", "leads out"),
    "zip, drive": (("C:/evil.wav", b"x"), "zip", "leads out"),
    "zip, link": ((zip_link("a/blues.00000.wav"), b"/etc/passwd"), "zip", "is a link"),
    "tar, up": (("a/../../evil.wav", b"x"), "gz", "leads out"),
    "tar, link": ((tar_member(tarfile.SYMTYPE, "/etc/passwd"), b""), "gz", "is a link"),
    "tar, hard link": ((tar_member(tarfile.LNKTYPE, "/etc/passwd"), b""), "gz", "is a link"),
    "tar, device": ((tar_member(tarfile.CHRTYPE), b""), "gz", "a device"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_an_archive_that_reaches_out_is_refused(case, serve, tmp_path):
    member, kind, message = HOSTILE[case]
    with pytest.raises(ParameterError, match=f"refused, .*{message}"):
        fetch(tmp_path / "a" / "b", serve(archive([member, *TRACKS], kind)))
    assert arrived(tmp_path) == {}


@pytest.mark.parametrize(("limit", "message"), [("MAX_TRACK", "at most 20000 are allowed"), ("MAX_TOTAL", "more than")])
@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_an_archive_that_would_fill_the_disk_is_refused(limit, message, kind, serve, tmp_path, monkeypatch):
    monkeypatch.setattr(download, limit, 20_000)
    with pytest.raises(ParameterError, match=f"refused, .*{message}"):
        fetch(tmp_path, serve(archive([("zeros", bytes(15_000)), *TRACKS], kind)))
    assert arrived(tmp_path) == {}


def test_an_archive_put_there_by_hand_is_used_and_kept(tmp_path):
    with pytest.raises(ParameterError, match=r"4 tracks of gtzan are missing .* archive into .*/gtzan and .* set GTZ"):
        fetch(tmp_path)
    (tmp_path / "gtzan").mkdir()
    (tmp_path / "gtzan" / "archive.zip").write_bytes(GOOD)
    assert fetch(tmp_path) == {}
    assert arrived(tmp_path) == EXPECTED | {"gtzan/archive.zip": GOOD}


def test_nothing_is_downloaded_unasked(tmp_path, monkeypatch):
    def connect(*arguments):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", connect)
    for name in corpus.names():
        corpus.load(name, data_home=tmp_path)
    with pytest.raises(ParameterError, match="no such file"):
        corpus.load("gtzan", data_home=tmp_path).audio("blues.00000")


def test_the_data_folder_is_the_one_given_or_that_of_the_environment_or_the_projects_own(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_HOME", str(tmp_path / "environment"))
    assert download.data_home(tmp_path) == tmp_path
    assert download.data_home() == tmp_path / "environment"
    monkeypatch.delenv("DATA_HOME")
    assert download.data_home().parts[-2:] == ("data", "raw")
