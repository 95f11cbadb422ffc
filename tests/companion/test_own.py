"""A reader's own music: what is read, what is refused and how, and the book that comes out, through make."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import soundfile

from companion import own, report
from vae_lib import corpus
from vae_lib.checks import ParameterError

ROOT = Path(__file__).resolve().parents[2]
RATE = 22_050
WORD = "zyxomma"  # in every lyric here, and on no page
HEADER = ["audio", "title", "artist", "genre", "language", "mood", "lyrics"]


def tone(path, number, seconds=1.5):
    """Write a sound of its own: two tones over noise, brighter with every number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time_axis = np.arange(int(seconds * RATE)) / RATE
    noise = np.random.default_rng(number).normal(size=len(time_axis))
    sound = sum(np.sin(2 * np.pi * pitch * time_axis) for pitch in (110 + 15 * number, 220 + 40 * number))
    soundfile.write(path, 0.2 * sound * (1 + np.sin(8 * time_axis)) / 2 + 0.01 * noise, RATE)
    return path


def manifest(path, rows, header=HEADER, encoding="utf-8", newline="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, lineterminator=newline).writerows([header, *rows])
    return path


def collection(folder, count, **changes):
    """A manifest of `count` tones with all that one may hold."""
    rows = []
    for number in range(count):
        tone(folder / "গান" / f"{number:02d} এক.wav", number)
        words = f"{WORD} {'আবার বৃষ্টি' if number % 2 else 'rain again'} number {number}" if number % 9 else ""
        rows.append(
            [
                f"গান/{number:02d} এক.wav",
                f"<b>A$ {number}</b>",
                "" if number % 5 else "Sigur Rós & Co",
                ("R$B$", "লোকগীতি")[number // (count // 2) % 2],
                ("english", "bangla")[number % 2],
                str(number),
                words,
            ]
        )
    return manifest(folder / "my songs.csv", rows, **changes)


def prepared(*arguments, **options):
    command = [sys.executable, "-m", "companion", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def make_own(run_make, tmp_path_factory):
    """Run make on music of one's own in a folder with a space in its name, and remove the builds in the end."""
    builds = []

    def run(*, changes="", **source):
        (option, path) = next(iter(source.items()))
        build = ROOT / "_build" / own.build_name(Path(path), profile="+".join(["smoke", *changes.split()]))
        builds.extend([build, ROOT / "_build" / "+".join(["smoke", *changes.split()])] if changes else [build])
        return run_make("book", "PROFILE=smoke", f"{option}={path}", *([f"P={changes}"] if changes else [])), build

    yield run
    for build in builds:
        shutil.rmtree(build, ignore_errors=True)


def pages(build):
    return sorted(path.stem for path in (build / "html" / "book").glob("*.html"))


def shown(build, page):
    """The text of a page, without what its code says."""
    text = (build / "html" / "book" / f"{page}.html").read_text(encoding="utf-8")
    article = text[text.index("<article") : text.index("</article>")]
    article = re.sub(r"<(style|script)\b.*?</\1>|<pre\b.*?</pre>", " ", article, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", article).split())


# From files to a corpus.


def test_a_manifest_becomes_a_saved_corpus_without_words(tmp_path):
    path = collection(tmp_path / "a b", 22, encoding="utf-8-sig", newline="\r\n")
    tone(tmp_path / "a b" / "গান" / "copy.wav", 3)
    (tmp_path / "a b" / "broken.wav").write_bytes(b"RIFF")
    with path.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [[name, "", "", "pop", "english", "x", ""] for name in ("গান/copy.wav", "broken.wav")]
        )
    music = own.gather(path, build=tmp_path / "build", workers=1, progress=False)
    assert len(music) == 22
    assert music.labels == ["genre", "language", "mood"]
    assert music.name == "my songs"
    assert music.texts is None
    assert music.lyrics is None, "19 tracks with words are fewer than it takes"
    lost = pd.read_csv(tmp_path / "build" / "skipped.csv", index_col="track_id")
    assert lost["file"].to_dict() == {"broken": "broken.wav", "গান/copy": "গান/copy.wav"}
    assert "decoded" in lost.loc["broken", "reason"]
    assert lost.loc["গান/copy", "reason"] == "the same recording as গান/03 এক, which is kept"
    assert str(tmp_path) not in (tmp_path / "build" / "skipped.csv").read_text(encoding="utf-8")
    for kept in (tmp_path / "build").rglob("*"):
        assert kept.is_dir() or WORD.encode() not in kept.read_bytes()


def test_only_what_changed_is_done_again(tmp_path):
    path = collection(tmp_path, 4)
    facts = tmp_path / "build" / "corpus" / "corpus.json"
    gathered = lambda: own.gather(path, build=tmp_path / "build", workers=1, progress=False)  # noqa: E731
    gathered()
    written = facts.stat().st_ino
    gathered()
    sound = tmp_path / "গান" / "00 এক.wav"
    os.utime(sound, (1, 1))
    gathered()
    assert facts.stat().st_ino == written, "a new time of a file is no new corpus"
    path.write_text(path.read_text(encoding="utf-8").replace("Sigur", "Other"), encoding="utf-8")
    assert gathered().tracks["artist"].iloc[0] == "Other Rós & Co"
    assert facts.stat().st_ino != written
    tone(sound, 40)
    before = gathered().features
    tone(sound, 41)
    after = gathered().features
    changed = (before != after).any(axis=1)
    assert changed.tolist() == [True, False, False, False]


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path):
    rows = [[tone(tmp_path / f"{number}.wav", number, seconds=3).name] for number in range(80)]
    path = manifest(tmp_path / "songs.csv", rows, header=["audio"])
    build = ROOT / "_build" / own.build_name(path, profile="smoke")
    command = [
        sys.executable,
        "-m",
        "companion",
        "own",
        f"--manifest={path}",
        "--values=book/params/smoke.yaml",
    ]
    try:
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
            kept_in = build / "features"
            while run.poll() is None and not [*kept_in.glob("[!.]*.npz")]:
                time.sleep(0.05)
            run.send_signal(signal.SIGINT)
            _, said = run.communicate(timeout=60)
        assert run.returncode == 130
        assert "the same command goes on from there" in said
        assert "Traceback" not in said
        kept = {part.name for part in kept_in.glob("[!.]*.npz")}
        assert kept
        assert not (build / "corpus").exists()
        again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
        assert again.stdout.strip() == build.name
        assert kept < {part.name for part in kept_in.glob("[!.]*.npz")}
        assert len(corpus.read(build / "corpus")) == 80
    finally:
        shutil.rmtree(build, ignore_errors=True)


def test_a_saved_corpus_is_loaded_by_its_folder(tmp_path, monkeypatch):
    own.gather(collection(tmp_path, 4), build=tmp_path / "build", workers=1, progress=False)
    monkeypatch.setattr("vae_lib.store.ROOT", tmp_path)
    assert len(corpus.load("build/corpus")) == 4
    with pytest.raises(ParameterError, match=r"corpus\.json: no such file"):
        corpus.load("build/other")


def test_builds_have_plain_names_of_their_own(tmp_path):
    names = {own.build_name(tmp_path / name, profile="book") for name in ("a/songs.csv", "b/songs.csv", "গান.csv")}
    names.add(own.build_name(tmp_path / "a/songs.csv", profile="smoke"))
    assert len(names) == 4
    assert all(re.fullmatch(r"own-[a-z0-9-]+", name) for name in names)


# What a page says of tracks.


def test_what_is_left_out_is_said_with_its_reason(small_corpus):
    assert own.comparable(small_corpus) == ["genre"]
    parts = own.left_out(small_corpus)
    assert "12 tracks are fewer than the 20" in parts["models, clusters, map and scores"]
    assert parts["agreement with language, conditional VAE"] == "there is no language column"
    assert parts["lyrics, multimodal VAE"] == "no track comes with words"
    pop = small_corpus.select([track_id for track_id in small_corpus.tracks.index if track_id.startswith("pop")])
    assert own.left_out(pop)["agreement with genre"] == "all tracks have the same genre, pop"
    three = small_corpus.select(["blues.0", "jazz.0", "pop.0"])
    assert own.left_out(three)["agreement with genre"] == "3 groups for 3 tracks: hardly two tracks share one"


def test_titles_are_escaped_and_fall_back_to_the_id():
    ids = pd.Index(["a<1>", "b"], name="track_id")
    tracks = pd.DataFrame({"title": [None, "X & Y"], "artist": ["<i>", None]}, index=ids)
    assert own.titles(tracks).tolist() == ["a&lt;1&gt; (&lt;i&gt;)", "X &amp; Y"]
    assert own.titles(tracks[[]]).tolist() == ["a&lt;1&gt;", "b"]


def test_labels_that_a_figure_cannot_draw_get_a_number():
    labels = pd.Series(["pop", "লোকগীতি", "R$B$", "_x", "pop"], name="genre")
    shown, key = own.drawable(labels)
    assert shown.iloc[0] == shown.iloc[4] == "pop"
    assert sorted(key.values()) == sorted({"লোকগীতি", "R$B$", "_x"})
    assert all(re.fullmatch(r"genre \d", short) for short in key)
    assert shown.nunique() == 4


def test_clusters_are_told_apart_by_what_one_hears():
    table = pd.DataFrame({column: [1.0, 1.1, 0.9, 1.0] for column in own.AUDIBLE})
    table["tempo"] = [60.0, 62.0, 120.0, 122.0]
    told = own.differences(table, np.array([0, 0, 1, 1]), top=1)
    assert told == {0: "slower (−2.0)", 1: "faster (+2.0)"}
    same = pd.DataFrame({column: [1.0, 1.0] for column in own.AUDIBLE})
    assert own.differences(same, np.array([0, 1]))[0] == "near the others in all of this"


def test_typical_tracks_are_nearest_to_the_mean():
    points = np.array([[0.0], [10.0], [4.0], [100.0]])
    nearest = own.typical(points, np.array([1, 1, 1, 2]), top=2)
    assert nearest[1].tolist() == [2, 0]
    assert nearest[2].tolist() == [3]


# Bad input: one message, before anything runs.


def utf16(folder):
    return "MANIFEST", collection(folder, 2, encoding="utf-16")


def one_usable(folder):
    path = collection(folder, 2)
    (folder / "গান" / "01 এক.wav").write_bytes(b"")
    return "MANIFEST", path


def loose(folder):
    tone(folder / "music" / "a.wav", 1)
    return "FOLDER", folder / "music"


def only_hidden(folder):
    tone(folder / "music" / "pop" / ".a.wav", 1)
    return "FOLDER", folder / "music"


def without(name, cell):
    def made(folder):
        path = collection(folder, 2)
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table.loc[1, name] = cell
        table.to_csv(path, index=False)
        return "MANIFEST", path

    return made


BAD = {
    "no such file": (lambda folder: ("MANIFEST", folder / "none.csv"), r"none\.csv: no such file"),
    "no such folder": (lambda folder: ("FOLDER", folder / "none"), r"none: no such folder"),
    "a folder as manifest": (lambda folder: ("MANIFEST", folder), "is a folder; say FOLDER="),
    "a manifest as folder": (lambda folder: ("FOLDER", collection(folder, 2)), "is a file; say MANIFEST="),
    "nothing": (lambda folder: ("MANIFEST", ""), "give MANIFEST=songs.csv or FOLDER=folder"),
    "UTF-16": (utf16, "is not UTF-8"),
    "no audio column": (
        lambda folder: ("MANIFEST", manifest(folder / "s.csv", [["a.wav"]], header=["file"])),
        "must have a column audio",
    ),
    "only words": (
        lambda folder: ("MANIFEST", manifest(folder / "s.csv", [["a", "la"]], header=["track_id", "lyrics"])),
        "must have a column audio; a book about words alone",
    ),
    "a wrong path": (without("audio", "x/y.wav"), r"line 3: audio 'x/y\.wav' is no file"),
    "a row twice": (without("audio", "গান/00 এক.wav"), "the same track_id"),
    "an empty label": (without("genre", ""), "line 3: genre is empty"),
    "one usable track": (one_usable, "1 of 2 tracks can be used, and a book needs two"),
    "files in no genre": (loose, "lies in no genre"),
    "only hidden files": (only_hidden, "holds no GENRE/FILE"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_music_is_one_clear_message(case, make_own, tmp_path):
    make, message = BAD[case]
    option, path = make(tmp_path / "a b")
    (tmp_path / "a b").mkdir(exist_ok=True)
    result, build = make_own(**{option: path})
    assert result.returncode == 2
    assert "executing" not in result.stdout
    said = [line for line in result.stderr.splitlines() if not re.match(r"make|\r|files:|features:|$", line)]
    assert len(said) == 1, result.stderr
    assert re.search(message, said[0])
    assert not (build / "html").exists()


def test_manifest_and_folder_exclude_each_other(run_make):
    result = run_make("book", "MANIFEST=a.csv", "FOLDER=b")
    assert result.returncode == 2
    assert "give MANIFEST=songs.csv or FOLDER=folder, one of them" in result.stderr
    assert not result.stdout


def test_a_variable_of_the_shell_is_not_taken_for_music():
    plan = subprocess.run(
        ["make", "-n", "-o", ".venv/.ready", "book"],
        cwd=ROOT,
        env={**os.environ, "FOLDER": "/", "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert plan.returncode == 0, plan.stderr
    assert "companion own" not in plan.stdout


# The book, through make.


@pytest.fixture(scope="module")
def full(make_own, tmp_path_factory):
    path = collection(tmp_path_factory.mktemp("all of it") / "আমার গান", 24, encoding="utf-8-sig", newline="\r\n")
    result, build = make_own(MANIFEST=path)
    assert result.returncode == 0, result.stdout + result.stderr
    return path, build, result


def test_the_book_is_the_readers(full):
    _, build, result = full
    assert {"index", "own", "own_clusters", "methods", "references"} <= set(pages(build))
    assert "easy" not in pages(build)
    assert result.stdout.splitlines()[-1] == f"_build/{build.name}/html/index.html is up to date"
    assert "Your music: my songs" in shown(build, "index")
    assert "24 tracks" in shown(build, "index")
    assert "hardly two tracks share a value" in shown(build, "index"), "mood is different on every track"
    text = shown(build, "own_clusters")
    assert "cluster 1" in text
    assert "&lt;b&gt;A$ 1&lt;/b&gt; (Sigur" not in text
    assert "&lt;b&gt;A$ 0&lt;/b&gt; (Sigur Rós &amp; Co)" in text
    for model in ("base VAE", "conditional VAE", "multimodal VAE", "features, language centred"):
        assert model in text
    assert "genre 1 is" in text, "what the numbers in the figures stand for"
    assert "Markdown object" not in text
    html = (build / "html" / "book" / "own_clusters.html").read_text(encoding="utf-8")
    assert "<b>A$" not in html


def test_no_words_and_no_absolute_path_leave_the_readers_files(full):
    path, build, _ = full
    assert len(corpus.read(build / "corpus")) == 24
    for kept in build.rglob("*"):
        if kept.is_file() and "features" not in kept.parts:
            data = kept.read_bytes()
            assert WORD.encode() not in data, kept
            if kept.suffix in (".html", ".ipynb", ".json", ".csv", ".md"):
                assert str(path.parent).encode() not in data, kept


def test_rows_are_those_of_the_readers_corpus_and_the_default_book_is_as_it_was(full):
    _, build, _ = full
    tables = sorted(path.stem for path in (build / "results").glob("*.json"))
    assert tables == ["methods", "own", "own_clusters"]
    default = [path for path in (ROOT / "_build" / "smoke").rglob("*.json") if path.is_file()]
    assert all(b"my songs" not in path.read_bytes() for path in default)


def test_figures_have_texts_and_nothing_is_fetched(full):
    _, build, _ = full
    for page in pages(build):
        text = (build / "html" / "book" / f"{page}.html").read_text(encoding="utf-8")
        for image in re.findall(r"<img[^>]*>", text):
            assert re.search(r'alt="[^"]{10,}"', image), image
        loads = re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(https?:[^"]*)"', text)
        assert not [load for load in loads if "canonical" not in load]


def test_a_second_make_does_nothing(full, run_make):
    path, build, _ = full
    before = (build / "html" / "index.html").stat().st_mtime_ns
    again = run_make("book", "PROFILE=smoke", f"MANIFEST={path}")
    assert again.returncode == 0, again.stderr
    assert again.stdout == f"_build/{build.name}/html/index.html is up to date\n"
    assert (build / "html" / "index.html").stat().st_mtime_ns == before


def test_without_labels_and_words_the_book_is_smaller_and_says_so(make_own, tmp_path):
    rows = [[tone(tmp_path / "a b" / f"{number}.wav", number).name] for number in range(20)]
    result, build = make_own(MANIFEST=manifest(tmp_path / "a b" / "plain.csv", rows, header=["audio"]))
    assert result.returncode == 0, result.stdout + result.stderr
    front = shown(build, "index")
    for said in ("there is no genre column", "there is no language column", "no track comes with words"):
        assert said in front
    text = shown(build, "own_clusters")
    assert "There are no genres to count" in text
    assert "without labels that clusters could be compared with" in text
    assert "conditional VAE" not in re.sub(r"Left out:.*?\. ", "", text).split("What it means")[1]
    rows, _ = report.read(build / "results" / "own_clusters.json")
    assert set(rows["target"]) == {"none"}


def test_two_tracks_in_a_folder_of_one_genre_give_a_page_that_says_what_they_cannot_tell(make_own, tmp_path):
    music = tmp_path / "my music"
    tone(music / "rock" / "a.wav", 1)
    tone(music / "rock" / "live" / "b.flac", 2)
    tone(music / ".hidden" / "c.wav", 3)
    (music / "rock" / "cover.jpg").write_bytes(b"")
    result, build = make_own(FOLDER=music)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "own_clusters" not in pages(build)
    front = shown(build, "index")
    assert "all tracks have the same genre, rock" in front
    assert "2 tracks are fewer than the 20" in front
    assert "a book of clusters begins at 20 tracks, and this one ends here" in shown(build, "own")

    before = {path: path.read_bytes() for path in build.rglob("*") if path.is_file()}
    result, varied = make_own(FOLDER=music, changes="methods.permutations=50")
    assert result.returncode == 0, result.stdout + result.stderr
    assert varied != build
    assert "2 tracks are fewer than the 20" in shown(varied, "index")
    notice = (varied / "html" / "book" / "own.html").read_text(encoding="utf-8")
    assert "<strong>methods.permutations = 50</strong>" in notice
    assert {path: path.read_bytes() for path in before} == before
    result, _ = make_own(FOLDER=music, changes="bta=4")
    assert result.returncode != 0
    assert "did you mean 'beta'" in result.stderr + result.stdout


# The songs to try it with.


def test_the_songs_to_try_are_a_collection_with_its_faults(tmp_path):
    path = own.write_songs(tmp_path, count=12)
    music = corpus.from_manifest(path)
    assert len(music) == 14
    assert music.texts.notna().sum() == 11
    assert music.tracks["language"].nunique() == 2
    stamps = {each: each.stat().st_mtime_ns for each in tmp_path.glob("*/*")}
    own.write_songs(tmp_path, count=12)
    assert {each: each.stat().st_mtime_ns for each in tmp_path.glob("*/*")} == stamps
    made = prepared("songs", "--into", str(tmp_path / "other"), "--count", "2")
    assert made.returncode == 0
    assert f"make book MANIFEST={tmp_path}/other/songs.csv" in made.stdout


def test_the_pages_of_the_whole_book_run_on_these_songs(smoke_book):
    for page in ("own", "own_clusters"):
        document = nbformat.read(smoke_book / "executed" / f"{page}.ipynb", as_version=4)
        text = "".join(str(cell.get("outputs", "")) for cell in document.cells)
        assert "songs.csv" in text or page != "own"
