"""A reader's own music: what is read, what is refused and how, and the book that comes out."""

import ast
import csv
import html
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml
from bs4 import BeautifulSoup

from companion import compare, front, own, parameters, report
from companion import pages as staging
from companion.__main__ import main
from vae_lib import corpus
from vae_lib.checks import ParameterError
from vae_lib.features import tracks

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


def gathered(source, folder):
    return own.gather(source, build=folder / "build", workers=1, progress=False)


# From files to a corpus.


def test_a_manifest_becomes_a_saved_corpus_without_words(tmp_path, monkeypatch):
    path = collection(tmp_path / "a b", 22, encoding="utf-8-sig", newline="\r\n")
    tone(tmp_path / "a b" / "গান" / "copy.wav", 3)
    (tmp_path / "a b" / "broken.wav").write_bytes(b"RIFF")
    with path.open("a", encoding="utf-8", newline="") as file:
        rows = [[name, "", "", "pop", "english", "x", ""] for name in ("গান/copy.wav", "broken.wav")]
        csv.writer(file).writerows(rows)
    music = gathered(path, tmp_path)
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
    monkeypatch.setattr("vae_lib.store.ROOT", tmp_path)
    assert len(corpus.load("build/corpus")) == 22, "it is loaded by its folder"
    with pytest.raises(ParameterError, match=r"corpus\.json: no such file"):
        corpus.load("build/other")


def test_only_what_changed_is_done_again(tmp_path):
    path = collection(tmp_path, 4)
    facts = tmp_path / "build" / "corpus" / "corpus.json"
    gathered(path, tmp_path)
    written = facts.stat().st_ino
    sound = tmp_path / "গান" / "00 এক.wav"
    os.utime(sound, (1, 1))
    gathered(path, tmp_path)
    assert facts.stat().st_ino == written, "a new time of a file is no new corpus"
    path.write_text(path.read_text(encoding="utf-8").replace("Sigur", "Other"), encoding="utf-8")
    assert gathered(path, tmp_path).tracks["artist"].iloc[0] == "Other Rós & Co"
    assert facts.stat().st_ino != written
    before = gathered(path, tmp_path).features
    tone(sound, 41)
    after = gathered(path, tmp_path).features
    assert (before != after).any(axis=1).tolist() == [True, False, False, False]


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    rows = [[tone(tmp_path / f"{number}.wav", number).name] for number in range(6)]
    path = manifest(tmp_path / "songs.csv", rows, header=["audio"])
    build = ROOT / "_build" / front.build_name(path, profile="smoke")
    gather, read, opened = own.gather, tracks.load_audio, []

    def until_the_fourth(audio, **options):
        opened.append(Path(audio).name)
        if len(opened) == 4:
            raise KeyboardInterrupt
        return read(audio, **options)

    monkeypatch.setattr(tracks, "load_audio", until_the_fourth)
    monkeypatch.setattr(own, "gather", lambda source, **options: gather(source, **options | {"workers": 1}))
    monkeypatch.setenv("MANIFEST", str(path))
    monkeypatch.setenv("TQDM_MININTERVAL", "30")
    monkeypatch.chdir(ROOT)
    try:
        assert main(["derive", "smoke"]) == 130
        assert "the same command goes on from there" in capsys.readouterr().err
        assert not (build / "corpus").exists()
        assert main(["derive", "smoke"]) == 0
        assert capsys.readouterr().out.strip() == build.name
        assert sorted(opened) == sorted([*(row[0] for row in rows), opened[3]]), "nothing is computed twice"
        assert len(corpus.read(build / "corpus")) == 6
    finally:
        shutil.rmtree(build, ignore_errors=True)


def test_very_many_files_are_read_when_they_are_meant(tmp_path, monkeypatch, capsys):
    rows = [[os.path.relpath(tone(tmp_path / f"{number}.wav", number), tmp_path / "list")] for number in range(3)]
    path = manifest(tmp_path / "list/songs.csv", rows, header=["audio"])
    monkeypatch.setattr(own, "MANY", 2)
    with pytest.raises(ParameterError, match=r"songs\.csv: 3 files, about 0 min to read; .* say YES=1"):
        gathered(path, tmp_path)
    assert len(own.gather(path, build=tmp_path / "build", workers=1, sure=True)) == 3
    assert (
        "3 files, about 0 min to read; 3 lie outside the folder of the list, such as ../0.wav"
        in capsys.readouterr().err
    )


def test_builds_have_plain_names_of_their_own(tmp_path):
    names = {front.build_name(tmp_path / name, profile="book") for name in ("a/songs.csv", "b/songs.csv", "গান.csv")}
    names.add(front.build_name(tmp_path / "a/songs.csv", profile="smoke"))
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


def test_no_name_or_group_on_a_figure_stands_for_two_things():
    tracks = pd.DataFrame({"cluster": ["your cluster 2", "ক"], "গান": ["a", "b"], "2": ["$", "_"]})
    shown, key = own.on_figures(tracks, ["cluster", "গান", "2"])
    assert list(shown) == ["your cluster", "label no. 2", "your 2"]
    assert shown["your cluster"].nunique() == 2
    told = key["stands for"].to_dict()
    assert told == {"your cluster 2*": "ক", "label no. 2": "গান", "your 2 1": "$", "your 2 2": "_"}


def test_labels_called_like_our_columns_take_the_place_of_none(tmp_path):
    ours = ["cluster", "tracks", "none", "seconds", "<b>"]
    rows = [[tone(tmp_path / f"{number}.wav", number).name, *["<i>", "x"] * 2, "y"] for number in range(4)]
    music = gathered(manifest(tmp_path / "s.csv", rows, header=["audio", *ours]), tmp_path)
    assert music.labels == ["cluster", "tracks", "none", "seconds in the list", "<b>"]
    assert music.tracks["seconds"].astype(float).between(1, 2).all()
    assert own.facts(music, pd.DataFrame()).loc["seconds per track"].item() in ("1", "2")
    listed = own.labels(music)
    assert listed.loc["your &lt;b&gt;", "groups"] == "1"
    assert listed.loc["your cluster", "largest"] == "&lt;i&gt; (4)"
    joined = np.array([1, 1, 2, 2])
    table = own.clusters(music, music.features, joined, joined[None], targets=music.labels)
    assert table["tracks"].tolist() == ["2", "2"]
    assert table["together"].tolist() == ["100%", "100%"]
    assert table["your tracks"].tolist() == ["x 2", "x 2"]
    assert not any("<" in text for text in [*table.columns, *table.to_numpy().flat])


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
    "nothing": (lambda folder: ("MANIFEST", ""), "give either MANIFEST or FOLDER"),
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
def test_bad_music_is_one_clear_message(case, tmp_path):
    make, message = BAD[case]
    option, path = make(tmp_path / "a b")
    (tmp_path / "a b").mkdir(exist_ok=True)
    given = {"manifest": "", "folder": ""} | {option.lower(): str(path)}
    with pytest.raises(ParameterError, match=message) as error:
        gathered(front.source(**given), tmp_path)
    assert "\n" not in str(error.value)


# Scripts: whatever a name or a field holds is text on every page.

EVIL = "</script><img src=x onerror=alert(1)>\"'&<b>{}"


def infested(folder, count):
    """A list whose own name, folders, files, columns and cells all hold a script, and a file that is skipped."""
    folder = folder / "R&B <i>live<b>"
    names = [f"<img src=x onerror=alert({number})>.wav" for number in range(count)]
    rows = [
        [f"<b>/{tone(folder / '<b>' / name, number).name}", f"{number}{EVIL}", *(EVIL.format(part) for part in parts)]
        for number, name in enumerate(names)
        for parts in [["title", "artist", f"genre {number % 2}", f"language {number % 2}", f"of {number % 2}", "la la"]]
    ]
    (folder / "<b>" / "<s>.wav").write_text("none")
    rows.append(["<b>/<s>.wav", f"lost{EVIL}", *rows[0][2:]])
    header = ["audio", "track_id", "title", "artist", "genre", "language", EVIL.format("label"), "lyrics"]
    return manifest(folder / "<img src=x onerror=alert(0)>.csv", rows, header=header)


def run_page(name, values, monkeypatch):
    """Run the code of a page as its notebook does, and give all that it shows as HTML."""
    shown, page = [], {"__name__": "__main__"}
    monkeypatch.setattr("IPython.display.display", shown.append)
    monkeypatch.setattr("myst_nb.glue", lambda *_, **__: None)
    for cell in json.loads((ROOT / f"book/{name}.ipynb").read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            if "parameters" in cell["metadata"].get("tags", []):
                source = parameters.fold(source, values)
            *statements, last = ast.parse(source).body
            ends = isinstance(last, ast.Expr)
            exec(compile(ast.Module(statements if ends else [*statements, last], []), name, "exec"), page)
            if ends:
                shown.append(eval(compile(ast.Expression(last.value), name, "eval"), page))
    return [each._repr_html_() for each in shown if hasattr(each, "_repr_html_")]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["own", pytest.param("own_clusters", marks=pytest.mark.slow)])
def test_no_name_and_no_field_runs_on_a_page(name, tmp_path, monkeypatch):
    matplotlib.use("agg")
    for module in (report, own, front):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "book").symlink_to(ROOT / "book")
    monkeypatch.setattr(report, "commit", lambda: "unknown")
    monkeypatch.setenv("COMPANION_NOTEBOOK", name)
    monkeypatch.setattr("vae_lib.train.CACHE", tmp_path / "fits")
    shutil.copy2(ROOT / "_config.yml", tmp_path)
    source = infested(tmp_path, 20 if name == "own_clusters" else 4)
    build = tmp_path / "_build/own"
    music = own.gather(source, build=build, workers=1, progress=False)
    lost = own.skipped(build / "corpus")
    assert len(lost) == 1
    quick = {"seeds": 2, "epochs": 2, "permutations": 9, "clouds": 2, "sizes": [20]}
    known = parameters.read_parameters(ROOT / f"book/{name}.ipynb")
    values = {key: value for key, value in quick.items() if key in known}
    shown = run_page(name, values | {"corpus_name": str(build / "corpus")}, monkeypatch)
    about = report.read(tmp_path / "_build/scratch/results" / f"{name}.json")[1]
    made = staging.Made(name, "cell", [EVIL], [], [staging.Rows("results/own", about)], {"corpus_name": EVIL})
    shown.append(staging.mark(made, page=name))
    runs = [compare.Results(EVIL, *report.collect("scratch"))] * 2
    shown.append(compare.page(compare.compare(*runs)))
    assert len(shown) > 8
    for text in shown:
        page = BeautifulSoup(text, "html.parser")
        assert not page.find_all("img"), text
        assert not page.find_all(onerror=True), text
        assert all(script.get("type") == "application/json" for script in page.find_all("script")), text
        assert "live<b>" not in text
        for script in page.find_all("script"):
            assert "<img" not in json.dumps(json.loads(script.string)), "plotly reads HTML in texts"
    assert any(f"{html.escape(EVIL.format('title'))}" in text for text in shown), "it is there, as text"
    front.write(build, replace(music, name=source.stem), lost, sections={}, source=source)
    written = "".join(path.read_text(encoding="utf-8") for path in (build / "front").rglob("*.*"))
    assert not re.search(r"(?<!\\)<(?:img|b|i|/script)\b", written)


# The book, through make.


def test_the_beginnings_of_a_book_hold_names_as_text_whatever_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(front, "ROOT", tmp_path)
    monkeypatch.setattr(own, "ROOT", tmp_path)
    (tmp_path / "book").mkdir()
    for name in ("own.ipynb", "own_clusters.ipynb", "methods.ipynb", "references.md"):
        (tmp_path / "book" / name).write_text("")
    shutil.copy2(ROOT / "_config.yml", tmp_path)
    path = collection(tmp_path / "<i>mine</i> *&*", 4)
    build = tmp_path / "_build" / front.build_name(path, profile="smoke")
    music = replace(own.gather(path, build=build, workers=1, progress=False), name="<b>R&B</b> | *me*")
    lost = pd.DataFrame({"file": ["<b>.wav"], "reason": ["<script>"]}, index=["<b>"])
    sections = {"all": {"profile": "smoke", "seeds": 2}, "easy": {"epochs": 1}, "own": {"permutations": 9}}
    front.write(build, music, lost, sections=sections, source=path)
    page = (build / "front/book/index.md").read_text(encoding="utf-8")
    assert r"# Your music: \<b\>R\&B\</b\> \| \*me\*" in page
    assert "<b>" not in page.replace(r"\<b\>", "")
    assert "4 tracks are fewer than the 20" in page
    assert "1 file was skipped" in page
    config, toc, profile = (
        yaml.safe_load((build / name).read_text(encoding="utf-8"))
        for name in ("front/_config.yml", "front/_toc.yml", "profile.yaml")
    )
    assert not set("<>&") & set(config["title"])
    assert [each["file"] for each in toc["chapters"]] == ["book/own", "book/methods", "book/references"]
    place = f"_build/{build.name}/corpus"
    assert profile == {
        "all": {"profile": build.name, "seeds": 2}, "own": {"permutations": 9, "corpus_name": place},
    }  # fmt: skip
    before = {each: each.stat().st_mtime_ns for each in build.rglob("*")}
    front.write(build, music, lost, sections=sections, source=path)
    assert before == {each: each.stat().st_mtime_ns for each in build.rglob("*")}, "nothing becomes stale"


@pytest.fixture
def make_own(run_make):
    """Run make on music of one's own, and remove the builds in the end."""
    builds = []

    def run(*, changes="", **source):
        (option, path) = next(iter(source.items()))
        varied = "+".join(["smoke", *changes.split()])
        builds.append(ROOT / "_build" / front.build_name(Path(path), profile=varied))
        builds.extend([ROOT / "_build" / varied] if changes else [])
        done = run_make("book", "PROFILE=smoke", f"{option}={path}", *([f"P={changes}"] if changes else []))
        return done, ROOT / "_build" / front.build_name(Path(path), profile=varied)

    yield run
    for build in builds:
        shutil.rmtree(build, ignore_errors=True)


def pages(build):
    return {path.stem: path.read_text(encoding="utf-8") for path in (build / "html" / "book").glob("*.html")}


def shown(text):
    """The text of a page, without what its code says."""
    article = text[text.index("<article") : text.index("</article>")]
    article = re.sub(r"<(style|script)\b.*?</\1>|<pre\b.*?</pre>", " ", article, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", article).split())


@pytest.mark.slow
def test_a_book_about_all_that_a_list_may_hold(make_own, run_make, tmp_path):
    path = collection(tmp_path / "আমার গান", 24, encoding="utf-8-sig", newline="\r\n")
    result, build = make_own(MANIFEST=path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == f"_build/{build.name}/html/index.html is up to date"
    book = pages(build)
    assert {"index", "own", "own_clusters", "methods", "references"} <= book.keys()
    assert "easy" not in book
    text = shown(book["index"])
    assert "Your music: my songs" in text
    assert "24 tracks" in text
    assert "hardly two tracks share one" in text, "mood is different on every track"
    text = shown(book["own_clusters"])
    for told in (
        "cluster 1",
        "base VAE",
        "conditional VAE",
        "multimodal VAE",
        "&lt;b&gt;A$ 0&lt;/b&gt; (Sigur Rós &amp; Co)",
    ):
        assert told in text
    assert "Markdown object" not in text
    for page in book.values():
        assert "<b>A$" not in page
        assert all(re.search(r'alt="[^"]{10,}"', image) for image in re.findall(r"<img[^>]*>", page))
        loads = re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(https?:[^"]*)"', page)
        assert not [load for load in loads if "canonical" not in load]
    for kept in build.rglob("*"):  # no words and no absolute path leave the reader's files
        if kept.is_file() and "features" not in kept.parts:
            data = kept.read_bytes()
            assert WORD.encode() not in data, kept
            if kept.suffix in (".html", ".ipynb", ".json", ".csv", ".md"):
                assert str(path.parent).encode() not in data, kept
    assert sorted(each.stem for each in (build / "results").glob("*.json")) == ["methods", "own", "own_clusters"]
    again = run_make("book", "PROFILE=smoke", f"MANIFEST={path}")
    assert again.stdout == f"_build/{build.name}/html/index.html is up to date\n"


@pytest.mark.slow
def test_without_labels_and_words_the_book_is_smaller_and_says_so(run_make, tmp_path, monkeypatch):
    rows = [[tone(tmp_path / "a b" / f"{number}.wav", number).name] for number in range(20)]
    path = manifest(tmp_path / "a b" / "plain.csv", rows, header=["audio"])
    build = ROOT / "_build" / front.build_name(path, profile="smoke")
    monkeypatch.setenv("MANIFEST", str(path))
    monkeypatch.setenv("TQDM_MININTERVAL", "30")
    monkeypatch.chdir(ROOT)
    try:
        assert main(["derive", "smoke"]) == 0
        (build / ".lock").unlink()  # the claim of this process, which lives on
        front_page = (build / "front/book/index.md").read_text(encoding="utf-8")
        for said in ("there is no genre column", "there is no language column", "no track comes with words"):
            assert said in front_page
        result = run_make(f"_build/{build.name}/executed/own_clusters.ipynb", "PROFILE=smoke", f"NAME={build.name}")
        assert result.returncode == 0, result.stdout + result.stderr
        rows, _ = report.read(build / "results" / "own_clusters.json")
        assert set(rows["target"]) == {"none"}
    finally:
        shutil.rmtree(build, ignore_errors=True)


@pytest.mark.slow
def test_a_variation_of_two_tracks_in_a_folder_says_what_they_cannot_tell(make_own, tmp_path):
    music = tmp_path / "my music"
    tone(music / "rock" / "a.wav", 1)
    tone(music / "rock" / "live" / "b.flac", 2)
    tone(music / ".hidden" / "c.wav", 3)
    (music / "rock" / "cover.jpg").write_bytes(b"")
    result, build = make_own(FOLDER=music, changes="own.permutations=50")
    assert result.returncode == 0, result.stdout + result.stderr
    assert build.name != front.build_name(music, profile="smoke"), "the book without the change has a folder of its own"
    book = pages(build)
    assert "own_clusters" not in book
    assert "all tracks have the same genre, rock" in shown(book["index"])
    assert "<strong>own.permutations = 50</strong>" in book["own"]
    rows, _ = report.read(build / "results" / "own.json")
    assert rows["chance"].notna().all()
    assert rows["tracks_low"].isna().all(), "half of two tracks has no score"


# The songs to try it with.


def test_the_songs_to_try_are_a_collection_with_its_faults(tmp_path, capsys):
    path = own.write_songs(tmp_path, count=12)
    music = corpus.from_manifest(path)
    assert len(music) == 14
    assert music.texts.notna().sum() == 11
    assert music.tracks["language"].nunique() == 2
    stamps = {each: each.stat().st_mtime_ns for each in tmp_path.glob("*/*")}
    own.write_songs(tmp_path, count=12)
    assert {each: each.stat().st_mtime_ns for each in tmp_path.glob("*/*")} == stamps
    assert main(["songs", "--into", str(tmp_path / "other"), "--count", "2"]) == 0
    assert f"make book MANIFEST={tmp_path}/other/songs.csv" in capsys.readouterr().out
