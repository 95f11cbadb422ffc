"""Many files: one bad file never ends a run, a run that was killed goes on, workers and caches change no digit."""

import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import soundfile
from conftest import load_script

from vae_lib import features
from vae_lib.checks import ParameterError
from vae_lib.features import SAMPLE_RATE, extract, extract_many, load_audio, tracks

clip = load_script("benchmarks/features.py").clip
IDS = ["e", "d", "c", "b", "a"]


def write_clips(folder, n, *, seconds=1.0):
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{i:02}.wav" for i in range(n)]
    for seed, path in enumerate(paths):
        soundfile.write(path, clip(seconds, seed=seed), SAMPLE_RATE)
    return paths


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"), 5)


@pytest.fixture
def computed(monkeypatch):
    """The names of the files that features are computed from (by one worker), in order."""
    names = []

    def noting(path, **options):
        names.append(Path(path).name)
        return load_audio(path, **options)

    monkeypatch.setattr(tracks, "load_audio", noting)
    return names


def run(paths, ids=None, **options):
    return extract_many(paths, ids=ids or IDS[: len(paths)], **{"progress": False} | options)


def assert_same(one, other):
    pd.testing.assert_frame_equal(one[0], other[0], check_exact=True)
    np.testing.assert_array_equal(one[1], other[1])


# What comes back


def test_what_comes_back_is_what_one_track_gives(clips, capsys):
    table, images, report = run(clips, progress=True)
    assert table.index.tolist() == IDS
    assert table.index.name == "track_id"
    assert list(table) == list(features.COLUMNS)
    assert images.dtype == np.float32
    assert report.empty
    assert "5/5" in capsys.readouterr().err
    for track_id, path, image in zip(IDS, clips, images, strict=True):
        summary, log_mel = extract(load_audio(path))
        np.testing.assert_array_equal(table.loc[track_id], summary)
        np.testing.assert_array_equal(image, log_mel)


@pytest.mark.parametrize("cached", [False, True])
def test_a_bad_file_is_reported_and_the_others_go_on(tmp_path, clips, cached):
    (tmp_path / "text.mp3").write_text("this is no music\n" * 500)
    soundfile.write(tmp_path / "loud.wav", 1e18 * clip(1.0), SAMPLE_RATE, subtype="FLOAT")
    paths = [tmp_path / "missing.wav", clips[0], tmp_path / "text.mp3", tmp_path / "loud.wav", clips[1]]
    table, images, report = run(paths, cache=tmp_path / "cache" if cached else None)
    assert table.index.tolist() == ["d", "a"]
    assert len(images) == 2
    assert report.index.tolist() == ["e", "c", "b"]
    assert report["path"].tolist() == [str(paths[i]) for i in (0, 2, 3)]
    said = ["no such file", "cannot be decoded as audio (Format not recognised)", "features are not finite"]
    for path, reason, part in zip(report["path"], report["reason"], said, strict=True):
        assert reason.startswith(path)
        assert part in reason


def test_an_error_nobody_foresaw_costs_one_track_only(tmp_path, clips, monkeypatch):
    def unlucky(path, **options):
        if path.endswith("1.wav"):
            raise MemoryError("12 GiB")
        return load_audio(path, **options)

    monkeypatch.setattr(tracks, "load_audio", unlucky)
    _, _, report = run(clips, cache=tmp_path)
    assert report["reason"].to_dict() == {"d": f"{clips[1]}: MemoryError: 12 GiB"}
    monkeypatch.undo()
    assert run(clips, cache=tmp_path)[2].empty  # what failed is tried again


def test_names_may_hold_anything_that_a_file_name_may(tmp_path, clips):
    odd = os.fsdecode(os.fsencode(tmp_path) + b'/so\xffng, "x"\n.wav')  # not valid UTF-8
    shutil.copy(clips[0], odd)
    missing = tmp_path / "গান\u200d.wav"
    table, _, report = run([odd, missing], ids=['NA, "1"', "গান\u200d"])
    assert table.index.tolist() == ['NA, "1"']
    assert report.loc["গান\u200d", "path"] == str(missing)


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ([], {}, "paths must name at least one file and ids one track each, got 0 and 0"),
        (["00.wav"], {"ids": ["a", "b"]}, "ids one track each, got 1 and 2"),
        (["00.wav", "01.wav"], {"ids": ["a", "a"]}, "ids must be unique, 'a' comes more than once"),
        (["00.wav"], {"workers": 0}, "workers must be a whole number from 1 to 512, got 0"),
        (["00.wav"], {"sample_rate": 8000}, "sample_rate must be a whole number from 16000 to 48000, got 8000"),
        (["00.wav"], {"cache": __file__}, "cannot write .*; give a folder you may write to"),
        (["no.wav", "not.wav"], {}, "none of the 2 audio files could be used; the first: .*no.wav: no such file"),
    ],
)
def test_bad_arguments_are_refused(clips, names, options, message):
    with pytest.raises(ParameterError, match=message):
        run([clips[0].parent / name for name in names], **options)


# Nothing is computed twice


def test_only_what_changed_is_computed_again(tmp_path, clips, computed, monkeypatch):
    paths = [shutil.copy(path, tmp_path / path.name) for path in clips]
    first = run(paths, cache=tmp_path / "cache")
    assert len(computed) == 5
    renamed = Path(paths[1]).rename(tmp_path / "another name.wav")
    soundfile.write(paths[0], clip(1.0, seed=99), SAMPLE_RATE)
    again = run([paths[0], renamed, *paths[2:]], cache=tmp_path / "cache")
    assert computed[5:] == ["00.wav"]
    assert not np.array_equal(first[0].loc["e"], again[0].loc["e"])
    pd.testing.assert_frame_equal(first[0].iloc[1:], again[0].iloc[1:], check_exact=True)
    run(paths[2:], ids=IDS[2:], cache=tmp_path / "cache", sample_rate=16_000)
    monkeypatch.setattr(tracks, "VERSION", tracks.VERSION + 1)
    run(paths[2:], ids=IDS[2:], cache=tmp_path / "cache")
    assert computed[6:] == ["02.wav", "03.wav", "04.wav"] * 2


def test_a_damaged_result_is_computed_again(tmp_path, clips, computed):
    whole = run(clips, cache=tmp_path)
    cut, empty, flipped, *_ = tmp_path.glob("*.npz")
    cut.write_bytes(cut.read_bytes()[:500])
    empty.write_bytes(b"")
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    computed.clear()
    assert_same(run(clips, cache=tmp_path), whole)
    assert len(computed) == 3
    assert_same(run(clips, cache=tmp_path), whole)
    assert len(computed) == 3


def test_memory_grows_by_the_result_alone(tmp_path):
    paths = write_clips(tmp_path, 60)
    run(paths[:2], cache=tmp_path / "cache")

    def peak(n):
        tracemalloc.start()
        kept = run(paths[:n], ids=[str(i) for i in range(n)], cache=tmp_path / "cache")
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held, kept[1].nbytes + kept[0].to_numpy().nbytes

    (small, few), (large, many) = peak(12), peak(60)
    assert large - small < 1.5 * (many - few)


SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from vae_lib import features, store

clips, cache, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
if how in ("deadly", "orphaned"):
    # Death where it hurts most: the result is half written and has not got its name yet.
    from vae_lib.features import tracks
    compute = tracks._features_of
    def features_of(path, *options):
        if path.endswith("04.wav"):
            store.replacing(options[1] / "half.npz").__enter__().write_bytes(b"half of a result")
            os.killpg(0, signal.SIGKILL) if how == "deadly" else os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(120)
        return compute(path, *options)
    tracks._features_of = features_of
paths = sorted(clips.glob("*.wav"))
ids = [path.stem for path in paths]
table, images, report = features.extract_many(paths, ids=ids, cache=cache, workers=2, progress=False)
table.to_pickle(cache / "table.pickle")
"""


def run_script(folder, how, **environment):
    command = [sys.executable, "-c", SCRIPT, str(folder / "clips"), str(folder / "cache"), how]
    return subprocess.run(command, capture_output=True, text=True, start_new_session=True, env=os.environ | environment)


def test_a_killed_run_of_two_workers_goes_on_and_ends_equal(tmp_path, computed):
    paths, cache = write_clips(tmp_path / "clips", 8), tmp_path / "cache"
    died = run_script(tmp_path, "deadly")
    assert died.returncode == -signal.SIGKILL, died.stderr
    finished = list(cache.glob("[0-9a-f]*.npz"))
    assert 2 <= len(finished) < 8
    ids = [path.stem for path in paths]
    gone_on = run(paths, ids=ids, cache=cache)
    assert len(computed) == 8 - len(finished)
    assert_same(gone_on, run(paths, ids=ids))


def test_workers_end_with_the_one_that_started_them(tmp_path):
    write_clips(tmp_path / "clips", 6)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "clips"), str(tmp_path / "cache"), "orphaned"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    assert process.wait() == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while left := [each for each in psutil.process_iter() if session(each) == process.pid]:
        assert time.monotonic() < deadline, f"{left} outlived their parent"
        time.sleep(0.1)


def session(process):
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (psutil.Error, ProcessLookupError):
        return None


@pytest.mark.slow
def test_two_fresh_workers_leave_a_numba_cache_that_works(tmp_path):
    # Processes that compile the same functions at once can leave a cache that crashes every later run.
    write_clips(tmp_path / "clips", 4)
    (tmp_path / "numba").mkdir()
    tables = []
    for _ in range(2):
        done = run_script(tmp_path, "well", NUMBA_CACHE_DIR=str(tmp_path / "numba"))
        assert done.returncode == 0, done.stderr
        tables.append(pd.read_pickle(tmp_path / "cache" / "table.pickle"))
        shutil.rmtree(tmp_path / "cache")
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert list((tmp_path / "numba").rglob("*.nbc"))  # it was this cache
