"""Many files: computed once, whatever happens on the way, and the same however they are spread over processes."""

import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import soundfile
from conftest import load_script

from vae_lib import features
from vae_lib.checks import ParameterError
from vae_lib.features import SAMPLE_RATE, extract, extract_many, extract_to, load_audio, read, read_segments

clip = load_script("benchmarks/features.py").clip


def write_clips(folder, n, *, seconds=2.0, name="{}.wav"):
    paths = [folder / name.format(i) for i in range(n)]
    for i, path in enumerate(paths):
        soundfile.write(path, clip(seconds, seed=i), SAMPLE_RATE)
    return paths


@pytest.fixture
def clips(tmp_path):
    return write_clips(tmp_path, 5)


IDS = ["e", "d", "c", "b", "a"]


def run(folder, paths, **options):
    """Extract with small parts and without a bar; ids are in another order than names."""
    return extract_to(folder, paths, **{"ids": IDS[: len(paths)], "part_size": 2, "progress": False, **options})


def parts_of(folder):
    return sorted((Path(folder) / "parts").iterdir())


def assert_same(one, other):
    """Two folders hold the same tracks, bit by bit."""
    for ours, theirs in zip(read(one), read(other), strict=True):
        if isinstance(ours, np.ndarray):
            np.testing.assert_array_equal(ours, theirs)
        else:
            pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    pd.testing.assert_frame_equal(read_segments(one), read_segments(other), check_exact=True)


@pytest.fixture
def computed(monkeypatch):
    """The names of the files that features are computed from (by one worker), in order."""
    names, extract_file = [], features._extract_file

    def noting(path, *arguments):
        names.append(Path(path).name)
        return extract_file(path, *arguments)

    monkeypatch.setattr(features, "_extract_file", noting)
    return names


# What comes back


def test_what_is_read_is_what_one_track_gives(tmp_path, clips):
    run(tmp_path / "out", clips)
    table, images, report = read(tmp_path / "out")
    segments = read_segments(tmp_path / "out")
    assert table.index.tolist() == IDS
    assert list(table) == list(segments) == list(features.COLUMNS)
    assert segments.index.names == ["track_id", "segment"]
    assert segments.index.tolist() == [(i, segment) for i in IDS for segment in range(features.SEGMENTS)]
    assert images.dtype == np.float32
    assert report.empty
    for track_id, path, image in zip(IDS, clips, images, strict=True):
        y = load_audio(path)
        summary, log_mel = extract(y)
        np.testing.assert_array_equal(table.loc[track_id], summary)
        np.testing.assert_array_equal(image, log_mel)
        expected = features.summarise_segments(features.frame_features(y))
        pd.testing.assert_frame_equal(segments.loc[track_id], expected, check_exact=True)


def test_some_tracks_are_read_in_the_order_asked_for(tmp_path, clips):
    run(tmp_path / "out", clips, segments=3)
    table, images, _ = read(tmp_path / "out", ids=["a", "d"])
    whole, all_images, _ = read(tmp_path / "out")
    pd.testing.assert_frame_equal(table, whole.loc[["a", "d"]])
    np.testing.assert_array_equal(images, all_images[[4, 1]])
    chosen = read_segments(tmp_path / "out", ids=["b"]).index.tolist()
    assert chosen == [("b", 0), ("b", 1), ("b", 2)]
    with pytest.raises(ParameterError, match=r"ids must be tracks of .*out, which has no 'z'"):
        read(tmp_path / "out", ids=["a", "z"])


def test_the_folder_can_be_read_without_this_library(tmp_path, clips):
    run(tmp_path / "out", clips)
    tracks = pd.read_csv(tmp_path / "out" / "tracks.csv").set_index("key")
    stored = pd.read_parquet(tmp_path / "out" / "parts").set_index("key")
    assert (
        stored.loc[tracks.index[tracks["track_id"] == "c"], "tempo"].item() == read(tmp_path / "out")[0]["tempo"]["c"]
    )
    metadata = pyarrow.parquet.read_schema(parts_of(tmp_path / "out")[0]).metadata
    assert f'"version": {features.VERSION}' in metadata[b"about"].decode()


def test_a_bad_file_is_reported_and_the_others_go_on(tmp_path, clips):
    (tmp_path / "text.mp3").write_text("this is no music\n" * 500)
    soundfile.write(tmp_path / "silent.wav", np.zeros(50_000), SAMPLE_RATE)
    paths = [tmp_path / "missing.wav", clips[0], tmp_path / "text.mp3", tmp_path / "silent.wav", clips[1]]
    report = run(tmp_path / "out", paths)
    table, images, stored_report = read(tmp_path / "out")
    assert table.index.tolist() == ["d", "a"]
    assert len(images) == 2
    assert report.index.tolist() == stored_report.index.tolist() == ["e", "c", "b"]
    assert report.index.name == "track_id"
    assert report["path"].tolist() == stored_report["path"].tolist() == [str(paths[i]) for i in (0, 2, 3)]
    for reason, said in zip(report["reason"], ["no such file", "cannot be decoded as audio", "is silent"], strict=True):
        assert said in reason
    assert set(read_segments(tmp_path / "out").index.get_level_values("track_id")) == {"d", "a"}
    with pytest.raises(ParameterError, match=r"none of these 1 tracks could be used; the first: .*no such file"):
        read(tmp_path / "out", ids=["e"])


def test_an_error_nobody_foresaw_costs_one_track_only(tmp_path, clips, monkeypatch):
    def unlucky(path, **options):
        if path.endswith("1.wav"):
            raise MemoryError("12 GiB")
        return load_audio(path, **options)

    monkeypatch.setattr(features, "load_audio", unlucky)
    report = run(tmp_path / "out", clips)
    assert report["reason"].to_dict() == {"d": f"{clips[1]}: MemoryError: 12 GiB"}
    monkeypatch.undo()
    assert run(tmp_path / "out", clips).empty  # what failed is tried again
    assert read(tmp_path / "out")[0].index.tolist() == IDS


def test_names_may_hold_anything_that_a_file_name_may(tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path) + b'/so\xffng, "x"\n.wav')  # not valid UTF-8
    shutil.copy(*write_clips(tmp_path, 1), odd)
    missing = tmp_path / "গান\u200d.wav"
    run(tmp_path / "out", [odd, missing], ids=['NA, "1"', "গান\u200d"])
    table, _, report = read(tmp_path / "out")
    assert table.index.tolist() == ['NA, "1"']
    assert report.loc["গান\u200d", "path"] == str(missing)


def test_many_files_in_memory_are_those_of_the_folder(tmp_path, clips):
    run(tmp_path / "out", clips)
    for ours, stored in zip(extract_many(clips, ids=IDS, progress=False), read(tmp_path / "out"), strict=True):
        assert type(ours) is type(stored)
        assert np.array_equal(ours, stored)


def test_the_bar_tells_what_remains(tmp_path, clips, capsys):
    run(tmp_path / "out", clips[:3])
    run(tmp_path / "out", clips, progress=True)
    bars = capsys.readouterr().err
    assert "features:  60%" in bars
    assert "3/5" in bars
    assert "5/5" in bars


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ([], {"ids": []}, "paths must name at least one"),
        (["0.wav"], {"ids": ["a", "b"]}, "ids must have 1 entries, one per path, got 2"),
        (["0.wav", "1.wav"], {"ids": ["a", "a"]}, "ids must be unique, 'a' comes more than once"),
        (["0.wav"], {"ids": ["\udcff"]}, "ids must be valid Unicode, got '.udcff'"),
        (["0.wav"], {"workers": 0}, "workers must be a whole number of at least 1, got 0"),
        (["0.wav"], {"sample_rate": 8000}, "sample_rate must be a whole number from 16000 to 48000, got 8000"),
        (["0.wav"], {"segments": -1}, "segments must be a whole number of at least 0, got -1"),
        (["0.wav"], {"part_size": 0}, "part_size must be a whole number of at least 1, got 0"),
        (["no.wav", "not.wav"], {}, "none of the 2 audio files could be used; the first: .*no.wav: no such file"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, clips, names, options, message):
    with pytest.raises(ParameterError, match=message):
        run(tmp_path / "out", [tmp_path / name for name in names], **options)
    assert not (tmp_path / "out" / "tracks.csv").exists()


def test_a_folder_that_cannot_be_is_refused_before_anything_is_computed(clips, computed):
    with pytest.raises(ParameterError, match=r"cannot write .*0\.wav/parts: .*; give a folder you may write to"):
        run(clips[0], clips)
    assert computed == []


def test_too_short_for_the_segments_is_a_reason(tmp_path):
    paths = [*write_clips(tmp_path, 1, seconds=1.0, name="short{}.wav"), *write_clips(tmp_path, 1, seconds=3.0)]
    report = run(tmp_path / "out", paths, segments=60)
    assert report["reason"].to_dict() == {
        "e": f"{paths[0]}: its 44 frames cannot be cut into 60 segments, ask for at most 44"
    }


# Computed once


def test_what_is_there_is_not_computed_again(tmp_path, clips, computed):
    out = tmp_path / "out"
    run(out, clips[:3])
    parts = parts_of(out)
    assert computed == ["0.wav", "1.wav", "2.wav"]
    run(out, clips)
    assert computed[3:] == ["3.wav", "4.wav"]
    # Neither another order, other names and ids, nor a second copy of a file is a reason to compute.
    twin = shutil.copy(clips[0], tmp_path / "twin.flac.wav")
    run(out, [*clips[::-1], twin], ids=[*"fghij", "twin"], part_size=64)
    assert computed[5:] == []
    assert set(parts) < set(parts_of(out))
    table, _, _ = read(out)
    assert table.index.tolist() == [*"fghij", "twin"]
    np.testing.assert_array_equal(table.loc["twin"], table.loc["j"])
    np.testing.assert_array_equal(table.loc["twin"], extract(load_audio(clips[0]))[0])


def test_what_changed_is_computed_again(tmp_path, clips, computed, monkeypatch):
    out = tmp_path / "out"
    run(out, clips)
    soundfile.write(clips[1], clip(2.0, seed=77), SAMPLE_RATE)
    run(out, clips)
    assert computed[5:] == ["1.wav"]
    np.testing.assert_array_equal(read(out)[0].loc["d"], extract(load_audio(clips[1]))[0])
    run(out, clips, segments=2)
    assert len(computed) == 11
    assert len(read_segments(out)) == 10
    run(out, clips, sample_rate=16_000, segments=0)
    assert len(computed) == 16
    np.testing.assert_array_equal(
        read(out)[0].loc["e"], extract(load_audio(clips[0], sample_rate=16_000), sample_rate=16_000)[0]
    )
    with pytest.raises(ParameterError, match="was written without segments"):
        read_segments(out)
    monkeypatch.setattr(features, "VERSION", features.VERSION + 1)
    run(out, clips)
    assert len(computed) == 21


@pytest.mark.parametrize("harm", ["cut", "flip", "gone"])
def test_a_damaged_part_is_computed_again(tmp_path, clips, computed, harm):
    out, whole = tmp_path / "out", tmp_path / "whole"
    run(out, clips)
    shutil.copytree(out, whole)
    part = parts_of(out)[1]
    content = bytearray(part.read_bytes())
    lost = len(pyarrow.parquet.read_table(part))
    content[len(content) // 2] ^= 1
    part.write_bytes(content[:-100] if harm == "cut" else content)
    if harm == "gone":
        part.unlink()
    with pytest.raises(ParameterError, match=f"{lost} of 5 rows are missing, because a file is gone or damaged"):
        read(out)
    computed.clear()
    if harm == "gone":
        run(out, clips)
    else:
        with pytest.warns(UserWarning, match=f"{part.name} is damaged and was removed"):
            run(out, clips)
    assert len(computed) == lost
    assert_same(out, whole)


def test_a_folder_without_a_finished_run_says_so(tmp_path, clips):
    run(tmp_path / "out", clips)
    (tmp_path / "out" / "tracks.csv").write_text("filename,label\na,b\n")
    with pytest.raises(
        ParameterError, match=r"tracks\.csv: must have the columns track_id, path, key, reason, has file"
    ):
        read(tmp_path / "out")
    (tmp_path / "out" / "tracks.csv").unlink()
    with pytest.raises(
        ParameterError, match=r"tracks\.csv: no such file; extract_to writes it when it has come to its"
    ):
        read_segments(tmp_path / "out")


def test_memory_does_not_grow_with_the_number_of_tracks(tmp_path):
    paths = write_clips(tmp_path, 60, seconds=1.0)
    run(tmp_path / "warm", paths[:2])

    def peak(n):
        tracemalloc.start()
        run(tmp_path / str(n), paths[:n], ids=[str(i) for i in range(n)], part_size=8)
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held

    image = features.IMAGE_MELS * features.IMAGE_FRAMES * 4
    assert peak(60) - peak(12) < 48 * image / 4


# The same, however it is spread

SCRIPT = """
import os, signal, sys
from pathlib import Path
from vae_lib import features, store

folder, clips, parts_to_live = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
replacing = store.replacing

def deadly(path):
    # Dies where it hurts most: a part is written, but has not got its name yet.
    global parts_to_live
    writer = replacing(path)
    if path.suffix == ".parquet":
        parts_to_live -= 1
        if parts_to_live == 0:
            writer.__enter__().write_bytes(b"PAR1 half of a part")
            os.killpg(0, signal.SIGKILL)
    return writer

store.replacing = deadly
paths = sorted(clips.glob("*.wav"))
ids = [path.stem for path in paths]
features.extract_to(folder, paths, ids=ids, workers=2, part_size=4, progress=False)
"""


def run_script(folder, clips, *, parts_to_live=0, **environment):
    """Extract in a process group of its own that kills itself while it writes that part (0: never)."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), str(clips), str(parts_to_live)],
        capture_output=True,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(Path(features.__file__).parents[1])} | environment,
    )


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Twenty clips, what comes out of them in one go, and their features from one process."""
    folder = tmp_path_factory.mktemp("many")
    paths = write_clips(folder, 20, name="{:02}.wav")
    extract_to(folder / "whole", paths, ids=[path.stem for path in paths], progress=False)
    return folder


def test_a_run_killed_twice_ends_complete_and_equal(tmp_path, many):
    out = tmp_path / "out"
    for parts_to_live, parts in ((3, 2), (2, 3)):
        died = run_script(out, many, parts_to_live=parts_to_live)
        assert died.returncode == -signal.SIGKILL, died.stderr
        whole = [path for path in parts_of(out) if not path.name.startswith(".")]
        assert len(whole) == parts
        assert not (out / "tracks.csv").exists()
    done = run_script(out, many)
    assert done.returncode == 0, done.stderr
    assert_same(out, many / "whole")
    # Nothing was computed twice: the parts hold each track once, and those from before the kill are untouched.
    after = [path for path in parts_of(out) if not path.name.startswith(".")]
    assert set(whole) < set(after)
    assert sum(len(pyarrow.parquet.read_table(path)) for path in after) == 20


def test_two_fresh_workers_leave_a_cold_numba_cache_cold(tmp_path, many):
    # Processes that compile the same functions at once can leave a cache that crashes every later run.
    cache = tmp_path / "numba"
    cache.mkdir()
    done = run_script(tmp_path / "out", many, NUMBA_CACHE_DIR=str(cache), PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0, done.stderr
    assert list(cache.iterdir()) == []
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "vae_lib" in loaded
    assert not {"librosa", "numba", "llvmlite", "torch", "sklearn"} & loaded
    assert_same(tmp_path / "out", many / "whole")


def test_a_cluster_of_two_gives_the_same(tmp_path, many):
    distributed = pytest.importorskip("distributed", reason="dask is not installed: vae_lib[distributed]")
    import joblib

    paths = sorted(many.glob("*.wav"))
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, local_directory=tmp_path
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        with joblib.parallel_config(backend="dask"):
            extract_to(tmp_path / "out", paths, ids=[path.stem for path in paths], part_size=8, progress=False)
        workers = client.run(lambda: "vae_lib.features" in __import__("sys").modules)
    assert list(workers.values()) == [True, True]  # both took part
    assert_same(tmp_path / "out", many / "whole")
