"""Parameters are checked before anything runs, and what is folded in is what a notebook runs with."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from made import write_notebook

from companion.parameters import fold, parse_parameters, read_parameters, resolve, write_effective
from vae_lib.checks import ParameterError

ROOT = Path(__file__).resolve().parents[2]

CELL = """\
# A comment of its own line.
profile: str = "scratch"  # build that receives the result rows
epochs: int = 100  # passes over the corpus
beta: float = 1.0e-3  # weight of the β term
weights: list[float] = [
    1.0,
    2.0,
]  # one per modality
layers: tuple[int, ...] = (256, 128)
limit: int | None = None  # ä # none: all tracks
shuffle: bool = True
"""


def values_of(source):
    return {name: parameter.default for name, parameter in parse_parameters(source, "a.ipynb").items()}


# Reading and folding parameters.


def test_parameters_are_read_with_type_default_and_comment(tmp_path):
    found = read_parameters(write_notebook(tmp_path / "a.ipynb", CELL))
    assert list(found) == ["profile", "epochs", "beta", "weights", "layers", "limit", "shuffle"]
    assert found["beta"].default == 0.001
    assert found["beta"].comment == "weight of the β term"
    assert ast.unparse(found["limit"].kind) == "int | None"


def test_folding_changes_values_and_nothing_else():
    folded = fold(CELL, {"epochs": 5, "weights": [0.5], "layers": [8], "limit": 7, "beta": 4, "shuffle": True})
    expected = CELL.replace("= 100", "= 5").replace("1.0e-3", "4.0").replace("(256, 128)", "(8,)")
    expected = expected.replace("[\n    1.0,\n    2.0,\n]", "[0.5]").replace("= None", "= 7")
    assert folded == expected


def test_a_value_that_is_already_there_keeps_its_notation():
    assert fold(CELL, values_of(CELL)) == CELL


@given(
    st.fixed_dictionaries(
        {
            "profile": st.text(st.characters(exclude_categories=["Cs"])),
            "epochs": st.integers(),
            "beta": st.floats(allow_nan=False, allow_infinity=False),
            "weights": st.lists(st.floats(allow_nan=False, allow_infinity=False)),
            "layers": st.lists(st.integers()).map(tuple),
            "limit": st.none() | st.integers(),
            "shuffle": st.booleans(),
        }
    )
)
@example(
    {"profile": "\x85\u2028", "epochs": 0, "beta": 0.0, "weights": [], "layers": (), "limit": None, "shuffle": True}
)
def test_whatever_is_folded_is_what_the_notebook_runs_with(values):
    folded = fold(CELL, values)
    assert values_of(folded) == values
    assert [line.partition("  #")[2] for line in folded.splitlines() if "  #" in line][-1]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("epochs = 100", r"line 1: expected 'name: type = value  # meaning', got 'epochs = 100'"),
        ("epochs: int", r"expected 'name: type = value"),
        ("import os", r"expected 'name: type = value"),
        ("a: int = 1\na: int = 2", r"line 2: a is assigned twice"),
        ("a: int = 2 * 3", r"the value of a must be a literal"),
        ("a: int = 1.5", r"a must be int, got 1.5 \(float\)"),
        ("a: dict[str, int] = {}", r"a has the type dict\[str, int\]; a parameter is one of bool, int"),
        ("a: int = (", r"parameters cell, line 1: "),
    ],
)
def test_a_parameters_cell_that_is_something_else_is_refused(cell, message):
    with pytest.raises(ParameterError, match=message):
        parse_parameters(cell, "book/a.ipynb")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"cells": [{}]}', '{"cells": []}', "\0"])
def test_a_file_that_is_no_notebook_with_parameters_is_refused(tmp_path, content):
    path = tmp_path / "a.ipynb"
    path.write_text(content)
    with pytest.raises(ParameterError, match=r"a\.ipynb (is not a notebook|must have one code cell)"):
        read_parameters(path)


# Profiles.

BAD_PROFILES = {
    "esy: {epochs: 1}": r"book\.yaml has a section for no notebook: 'esy'; did you mean 'easy'\?",
    "easy: {epoch: 1}": r"book\.yaml: easy has no parameter 'epoch'; did you mean 'epochs'\?",
    "easy: {zzz: 1}": r"easy has no parameter 'zzz'; there are profile, epochs, beta, weights",
    "all: {epoch: 1}": r"book\.yaml: easy has no parameter 'epoch'",
    "easy: {epochs: ten}": r"book\.yaml: easy\.epochs must be int, got 'ten' \(str\)",
    "easy: {epochs: 1.5}": r"easy\.epochs must be int, got 1.5 \(float\)",
    "easy: {epochs: yes}": r"easy\.epochs must be int, got True \(bool\)",
    "easy: {epochs: }": r"easy\.epochs must be int, got None",
    "easy: {beta: true}": r"easy\.beta must be float, got True",
    "easy: {beta: .inf}": r"easy\.beta must be float, got inf",
    "easy: {beta: 1e-3}": r"easy\.beta must be float, got '1e-3' \(str\); YAML reads 1e-3 as text, write 1\.0e-3",
    "easy: {shuffle: 1}": r"easy\.shuffle must be bool, got 1 \(int\)",
    "easy: {profile: 3}": r"easy\.profile must be str, got 3 \(int\)",
    "easy: {weights: 1.0}": r"easy\.weights must be list\[float\], got 1\.0",
    "easy: {weights: [a]}": r"easy\.weights must be list\[float\], got \['a'\]",
    "easy: {layers: [1.5]}": r"easy\.layers must be tuple\[int, \.\.\.\], got \[1\.5\]",
    "easy: {limit: all}": r"easy\.limit must be int \| None, got 'all'",
    "easy: [epochs]": r"book\.yaml: easy must map parameters to values",
    "- easy": r"book\.yaml must map notebooks to their parameters",
    "easy: {epochs: 1": r"book\.yaml, line \d+: ",
    "easy:\n  epochs: 1\n  epochs: 2": r"book\.yaml, line 3: 'epochs' stands twice",
}


@pytest.mark.parametrize("text", BAD_PROFILES)
def test_each_mistake_in_a_profile_is_one_clear_error(tmp_path, text):
    profile = tmp_path / "book.yaml"
    profile.write_text(text)
    with pytest.raises(ParameterError, match=BAD_PROFILES[text]):
        resolve(profile, [write_notebook(tmp_path / "easy.ipynb", CELL)])


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read: No such file"), (b"\xff", "not UTF-8")])
def test_a_profile_that_cannot_be_read_is_named(tmp_path, content, message):
    profile = tmp_path / "book.yaml"
    if content is not None:
        profile.write_bytes(content)
    with pytest.raises(ParameterError, match=rf"book\.yaml.*{message}"):
        resolve(profile, [])


def test_a_section_of_its_own_wins_over_all_and_an_int_will_do_for_a_float(tmp_path):
    profile = tmp_path / "book.yaml"
    profile.write_text("all: {profile: book, beta: 2}\nb: {beta: 4, layers: [3], limit: null}\n")
    notebooks = [write_notebook(tmp_path / "a.ipynb", CELL), write_notebook(tmp_path / "b.ipynb", CELL)]
    effective = resolve(profile, notebooks)
    assert effective["a"] == values_of(CELL) | {"profile": "book", "beta": 2.0}
    assert effective["b"] == values_of(CELL) | {"profile": "book", "beta": 4.0, "layers": (3,)}
    assert isinstance(effective["b"]["beta"], float)


def test_effective_parameters_are_written_only_where_they_differ(tmp_path):
    effective = {"a": {"epochs": 1}, "b": {"epochs": 1}}
    assert len(write_effective(effective, tmp_path)) == 2
    assert write_effective(effective, tmp_path) == []
    effective["b"] = {"epochs": 1.0}
    assert [path.name for path in write_effective(effective, tmp_path)] == ["b.json"]


def test_the_command_line_ends_with_its_message_alone(tmp_path):
    profile = tmp_path / "book.yaml"
    profile.write_text("easy: {epochs: ten}")
    notebook = write_notebook(tmp_path / "easy.ipynb", CELL)
    command = [sys.executable, "-m", "companion", "resolve", profile, notebook, "--into", tmp_path / "params"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr == f"error: {profile}: easy.epochs must be int, got 'ten' (str)\n"
    assert not (tmp_path / "params").exists()
