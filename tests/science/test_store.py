"""Store: a file is the old one or the new one, never a part, and a hash follows the content."""

import errno
import json
import os
import stat

import numpy as np
import pytest

from vae_lib import store
from vae_lib.checks import ParameterError


def test_a_file_is_replaced_when_the_block_succeeds(tmp_path):
    path = tmp_path / "deep" / "result.json"
    for text in ("first", "second"):
        with store.replacing(path) as temporary:
            assert temporary.parent == path.parent
            assert temporary.suffix == ".json"
            temporary.write_text(text)
        assert path.read_text() == text
    assert [found.name for found in path.parent.iterdir()] == ["result.json"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file_alone(tmp_path, error):
    path = tmp_path / "result.json"
    path.write_text("old")

    def write():
        with store.replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["result.json"]


def test_others_may_read_what_was_written(tmp_path):
    path, ordinary = tmp_path / "a.txt", tmp_path / "b.txt"
    ordinary.touch()
    with store.replacing(path) as temporary:
        temporary.write_text("x")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(ParameterError, match=r"cannot write .*file/a\.json: .*; give a folder you may write to"),
        store.replacing(tmp_path / "file" / "a.json"),
    ):
        pytest.fail("there is nothing to write to")


def test_json_is_readable_and_has_no_nan(tmp_path):
    path = tmp_path / "a.json"
    value = {"genre": "রবীন্দ্রসঙ্গীত", "ari": 0.1, "chance": None, "k": [1, 2]}
    store.write_json(path, value)
    assert json.loads(path.read_text(encoding="utf-8")) == value
    assert "রবীন্দ্রসঙ্গীত" in path.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="JSON"):
        store.write_json(path, {"ari": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8")) == value


def test_the_hash_of_an_array_is_that_of_its_values_type_and_shape():
    values = np.arange(6.0)
    different = [
        values,
        values.reshape(2, 3),
        values.reshape(3, 2),
        values.astype(np.float32),
        values[::-1],
        values + 1,
    ]
    assert len({store.content_hash(array) for array in different}) == len(different)
    table = values.reshape(2, 3)
    assert store.content_hash(table) == store.content_hash(np.asfortranarray(table)) == store.content_hash(table.copy())


def test_the_hash_of_values_is_that_of_their_content_and_order():
    values = [None, False, 0, "", "a", [], ["a"], [["a"]], {}, {"a": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 1}]
    assert len({store.content_hash(value) for value in values}) == len(values)
    assert store.content_hash("a", "b") not in (store.content_hash("b", "a"), store.content_hash("ab"))
    assert store.content_hash({"a": 1, "b": 2}) == store.content_hash({"b": 2, "a": 1})


def test_a_full_disk_is_told_with_the_path_and_what_was_there_stays(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text("whole")
    with pytest.raises(OSError, match=r"No space left on device; what was there is whole: .*rows"):  # noqa: SIM117, PT012
        with store.replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert [each.read_text() for each in tmp_path.iterdir()] == ["whole"]
