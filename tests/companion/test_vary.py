"""A variation is what was asked for, in a build of its own, and costs no more than what it changes."""

import hashlib
import re
import shutil
from pathlib import Path

import pytest
import yaml
from made import write_notebook

from companion import parameters, report, vary
from companion.__main__ import main
from vae_lib.checks import ParameterError

ROOT = Path(__file__).resolve().parents[2]

EASY = """\
profile: str = "scratch"
seeds: int = 10
beta: float = 1.0
weights: list[float] = [1.0]
layers: tuple[int, ...] = (256, 128)
limit: int | None = 3
shuffle: bool = True
corpus_name: str = "gtzan-mini"
"""
DATA = """\
profile: str = "scratch"
seeds: int = 10
"""


@pytest.fixture
def book(tmp_path):
    """A profile and two notebooks."""
    profile = tmp_path / "book.yaml"
    profile.write_text("all: {profile: book}\neasy: {seeds: 5}\n")
    return profile, [write_notebook(tmp_path / "easy.ipynb", EASY), write_notebook(tmp_path / "data.ipynb", DATA)]


GOOD = {
    "seeds=3": ("easy", "seeds", 3),
    "beta=8": ("easy", "beta", 8.0),
    "beta=1e-3": ("easy", "beta", 0.001),
    " beta=0.5  seeds=3 ": ("easy", "beta", 0.5),
    "shuffle=false": ("easy", "shuffle", False),
    "shuffle=False": ("easy", "shuffle", False),
    "weights=[1.0, 4]": ("easy", "weights", [1.0, 4.0]),
    "weights=[] seeds=3": ("easy", "weights", []),
    "layers=[64]": ("easy", "layers", (64,)),
    "layers=(64, 32)": ("easy", "layers", (64, 32)),
    "limit=none": None,
    "limit=None": ("easy", "limit", None),
    "limit=null": ("easy", "limit", None),
    "corpus_name=songs-en-de": ("easy", "corpus_name", "songs-en-de"),
    "corpus_name='my songs' seeds=3": ("easy", "corpus_name", "my songs"),
    "corpus_name=my songs": ("easy", "corpus_name", "my songs"),
    "corpus_name=1": ("easy", "corpus_name", "1"),
    "corpus_name=true": ("easy", "corpus_name", "true"),
    "easy.seeds=4": ("easy", "seeds", 4),
    "easy.seeds=4 seeds=3": ("easy", "seeds", 4),
    "data.seeds=4": ("easy", "seeds", 5),
}


@pytest.mark.parametrize("text", [text for text, expected in GOOD.items() if expected])
def test_a_value_is_what_the_annotation_of_its_parameter_makes_of_it(text, book, tmp_path):
    notebook, name, value = GOOD[text]
    variation = vary.vary(*book, text)
    vary.write(variation, tmp_path / "build")
    effective = parameters.resolve(tmp_path / "build/profile.yaml", book[1])
    assert effective[notebook][name] == value
    assert type(effective[notebook][name]) is type(value)
    assert {values["profile"] for values in effective.values()} == {variation.name}


BAD = {
    "betta=8": "P: no notebook has a parameter 'betta'; did you mean 'beta'?",
    "zzz=8": "P: no notebook has a parameter 'zzz'; there are beta, corpus_name, layers, limit, profile, seeds,",
    "esy.beta=8": "P: esy.beta is for no notebook: 'esy'; did you mean 'easy'?",
    "easy.betta=8": "P: easy has no parameter 'betta'; did you mean 'beta'?",
    "data.beta=8": "P: data has no parameter 'beta'; there are profile, seeds",
    "beta=eight": "P: easy.beta must be float, got eight",
    "beta=-1": "beta must be from 0 to 1000000, got -1.0",
    "seeds=100000": "seeds must be from 0 to 1000, got 100000",
    "layers=[8,-1]": "layers must be from 0 to 1000000, got -1",
    "beta=$(shell ls)": "P: easy.beta must be float, got $(shell ls)",
    "beta=inf": "P: easy.beta must be float, got inf",
    "beta=": "P: easy.beta must be float, got nothing",
    "corpus_name=": "P: easy.corpus_name must be str, got nothing",
    "seeds=1.5": "P: easy.seeds must be int, got 1.5",
    "seeds=true": "P: easy.seeds must be int, got true",
    "shuffle=1": "P: easy.shuffle must be bool, got 1",
    "weights=1.0": "P: easy.weights must be list[float], got 1.0",
    "layers=[1.5]": "P: easy.layers must be tuple[int, ...], got [1.5]",
    "limit=none": "P: easy.limit must be int | None, got none",
    "seeds=3 seeds=4": "P: seeds stands twice",
    "profile=other": "P: profile cannot be set",
    "easy.profile=other": "P: easy.profile cannot be set",
    "beta 8": "P must be like 'beta=8 easy.seeds=3', got 'beta 8'",
    "beta = 8": "P must be like 'beta=8 easy.seeds=3', got 'beta = 8'",
    "8": "P must be like",
    "": "P must be like",
    "../x=3": "P: ../x is for no notebook",
}


@pytest.mark.parametrize("text", BAD)
def test_each_mistake_is_one_clear_error(text, book):
    with pytest.raises(ParameterError, match=re.escape(BAD[text])):
        vary.vary(*book, text)


def test_the_name_of_a_build_says_what_was_changed_whatever_the_order_or_notation(book):
    names = {vary.vary(*book, text).name for text in ("beta=8 seeds=3", "seeds=3 beta=8.0", " seeds=3   beta=8e0 ")}
    assert names == {"book+beta=8+seeds=3"}
    assert vary.vary(*book, "weights=[1.0, 4.5] easy.beta=2").name == "book+weights=1,4.5+easy.beta=2"


@pytest.mark.parametrize("text", ["corpus_name=../../etc x", "corpus_name=" + "x" * 300, "corpus_name=$(id)%*'\"`#"])
def test_any_value_gives_a_short_name_that_is_safe_as_a_folder(text, book):
    name, other = (vary.vary(*book, changed).name for changed in (text, text + "y"))
    assert re.fullmatch(r"[\w.,+=-]{1,90}", name, flags=re.ASCII)
    assert report.results_path("easy", profile=name).parents[1].name == name
    assert name != other


def test_the_profile_of_a_variation_holds_what_the_base_has_and_what_was_changed(book):
    variation = vary.vary(*book, "seeds=3 easy.beta=8")
    assert variation.sections == {
        "all": {"profile": "book+seeds=3+easy.beta=8"},
        "easy": {"seeds": 3, "beta": 8.0},
        "data": {"seeds": 3},
    }
    assert "book" in vary.vary(*book, "seeds=5").notice
    assert "<strong>seeds = 3, easy.beta = 8</strong>. Changed: easy, data" in variation.notice
    assert "Changed: data and" in vary.vary(*book, "seeds=5").notice  # easy has five already
    assert "Nothing differs" in vary.vary(*book, "beta=1").notice
    assert "<script>" not in vary.vary(*book, "corpus_name=<script>").notice


def test_files_are_written_only_where_they_differ_and_the_notice_is_yaml(book, tmp_path):
    variation = vary.vary(*book, "corpus_name='a: \"b\" # ü'")
    assert [path.name for path in vary.write(variation, tmp_path / "build")] == ["profile.yaml", "notice.yml"]
    assert vary.write(variation, tmp_path / "build") == []
    assert yaml.safe_load((tmp_path / "build/notice.yml").read_text()) == {"announcement": variation.notice}


# Through make, on the smoke book.

CHANGE = "methods.permutations=50"
NAME = f"smoke+{CHANGE}"


def contents(folder):
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_variation_executes_what_depends_on_its_change_and_compares_it(
    smoke_book, run_make, tmp_path, monkeypatch, capsys
):
    folder, page = ROOT / "_build" / NAME, ROOT / f"_build/compare/smoke--{NAME}.html"
    names = {path.stem for path in (ROOT / "book").glob("*.ipynb")}
    shutil.rmtree(folder, ignore_errors=True)
    before = contents(smoke_book)
    monkeypatch.setenv("P", CHANGE)
    monkeypatch.chdir(ROOT)
    try:
        # What `make book P=…` does, but for the rendering; that is in tests/book/test_make.py.
        assert main(["derive", "smoke"]) == 0
        assert capsys.readouterr().out.strip() == NAME
        (tmp_path / "Makefile").write_text("include Makefile\nexecuted: $(EXECUTED)\n")
        done = run_make("-f", str(tmp_path / "Makefile"), "executed", "PROFILE=smoke", f"NAME={NAME}")
        assert done.returncode == 0, done.stdout + done.stderr
        executed = set(re.findall(r"^(\w+): executed ", done.stdout, flags=re.MULTILINE))
        taken = set(re.findall(r"^(\w+): as in _build/smoke, taken over$", done.stdout, flags=re.MULTILINE))
        assert executed == {"methods", "results"}
        assert executed | taken == names
        assert contents(smoke_book) == before, "the base stays as it was, byte for byte"

        rows, base = (
            {path.stem: path.read_bytes() for path in (build / "results").glob("*.json")}
            for build in (folder, smoke_book)
        )
        assert rows.keys() == base.keys()
        assert {name for name in rows if rows[name] != base[name]} == {"methods"}
        assert report.read(folder / "results/methods.json")[1]["parameters"]["permutations"] == 50

        told = [(build / "executed/methods.ipynb").read_text(encoding="utf-8") for build in (folder, smoke_book)]
        found = ["methods: permutations 100 → 50." in text for text in told]
        assert found == [True, False], "its scores stand beside those of the base"
        compared = run_make("compare", "A=smoke", f"B={NAME}", "METRIC=ari")
        assert "methods: permutations 100 → 50." in compared.stdout
        assert "<svg" in page.read_text(encoding="utf-8")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        page.unlink(missing_ok=True)
