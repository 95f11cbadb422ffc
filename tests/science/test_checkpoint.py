"""A checkpoint is whole, or the one before it, or an error that says which file to look at."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vae_lib import checkpoint, store
from vae_lib.checks import ParameterError

FACTS = {"recipe": "vae", "seeds": [0, 1], "note": "Bangla ভাষা", "rate": 0.1}


def tensors(value=1.0):
    return {"weight": torch.full((2, 3), value), "history": torch.arange(4, dtype=torch.float64) + value}


@pytest.fixture
def folder(tmp_path):
    checkpoint.write(tmp_path / "kept", FACTS, tensors())
    return tmp_path / "kept"


def weights(folder):
    (path,) = folder.glob("*.safetensors")
    return path


def is_whole(folder, value=1.0):
    facts, found = checkpoint.read(folder)
    return facts == FACTS and all(torch.equal(found[name], part) for name, part in tensors(value).items())


def test_what_is_written_is_read_back_bit_by_bit(tmp_path):
    odd = {
        "nan": torch.tensor([float("nan"), float("inf"), -0.0, 1e-45]),
        "flags": torch.tensor([True, False]),
        "scalar": torch.tensor(3.0),
        "strided": torch.arange(6).view(2, 3).T,
        "with gradient": torch.ones(2, requires_grad=True),
    }
    checkpoint.write(tmp_path, FACTS, odd)
    facts, found = checkpoint.read(tmp_path)
    assert facts == FACTS
    for name, tensor in odd.items():
        assert found[name].dtype == tensor.dtype
        torch.testing.assert_close(found[name], tensor.detach(), rtol=0, atol=0, equal_nan=True)
    assert found["nan"].view(torch.int32).tolist() == odd["nan"].view(torch.int32).tolist()


def test_a_person_can_read_the_facts_and_any_tool_the_tensors(folder):
    text = (folder / checkpoint.ROOT).read_text(encoding="utf-8")
    assert "Bangla ভাষা" in text
    assert json.loads(text)["tensors"] == weights(folder).name
    assert torch.equal(load_file(weights(folder))["weight"], tensors()["weight"])


def test_a_folder_without_one_says_so(tmp_path, folder):
    assert checkpoint.exists(folder)
    assert not checkpoint.exists(tmp_path)
    assert not checkpoint.exists(tmp_path / "nowhere")
    with pytest.raises(ParameterError, match=r"cannot read .*nowhere/checkpoint.json: No such file"):
        checkpoint.read(tmp_path / "nowhere")


def test_the_next_one_takes_the_place_of_the_one_before_and_leaves_nothing_behind(folder):
    checkpoint.write(folder, FACTS, tensors(2.0))
    assert is_whole(folder, 2.0)
    assert len([*folder.iterdir()]) == 2


def test_writing_the_same_again_keeps_it(folder):
    checkpoint.write(folder, FACTS, tensors())
    assert is_whole(folder)


# Interruptions


def full_disk(*_arguments, **_options):
    raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_the_last_one(folder, monkeypatch):
    monkeypatch.setattr("pathlib.Path.write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.write(folder, FACTS, tensors(2.0))
    monkeypatch.undo()
    assert is_whole(folder)
    assert len([*folder.iterdir()]) == 2  # no half-written file stays behind


def test_a_full_disk_or_a_kill_between_tensors_and_facts_leaves_the_last_one(folder, monkeypatch):
    monkeypatch.setattr(store, "write_json", full_disk)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.write(folder, FACTS, tensors(2.0))
    monkeypatch.undo()
    assert is_whole(folder)
    checkpoint.write(folder, FACTS, tensors(3.0))
    assert is_whole(folder, 3.0)
    assert len([*folder.iterdir()]) == 2  # what the kill left is cleared away


def test_a_kill_before_the_old_tensors_are_cleared_away_leaves_the_new_one(folder, monkeypatch):
    old, unlink = weights(folder), Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path, **options: full_disk() if path == old else unlink(path, **options))
    with pytest.raises(OSError, match="No space left"):
        checkpoint.write(folder, FACTS, tensors(2.0))
    assert old.exists()
    monkeypatch.undo()
    assert is_whole(folder, 2.0)


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ParameterError, match=r"cannot write .*file.*: .*; give a folder you may write to"):
        checkpoint.write(tmp_path / "file", FACTS, tensors())


# Damage


@pytest.mark.parametrize(
    "change", [lambda b: b[:-3], lambda b: b + b"x", lambda b: b[:90] + b"?" + b[91:], lambda b: b""]
)
def test_damaged_tensors_are_one_clear_error(folder, change):
    path = weights(folder)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ParameterError, match=rf"{path.name} is damaged: .*; delete .* and train anew"):
        checkpoint.read(folder)


def test_missing_tensors_are_one_clear_error(folder):
    path = weights(folder)
    path.unlink()
    with pytest.raises(ParameterError, match=rf"cannot read .*{path.name}: No such file"):
        checkpoint.read(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"tensors"', "{}", '{"tensors": "x"}', '{"checksum": 1}'])
def test_facts_that_are_none_are_one_clear_error(folder, text):
    (folder / checkpoint.ROOT).write_text(text)
    with pytest.raises(ParameterError, match=r"checkpoint.json is (not a checkpoint|damaged)"):
        checkpoint.read(folder)


def test_facts_in_another_encoding_are_one_clear_error(folder):
    (folder / checkpoint.ROOT).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ParameterError, match=r"checkpoint.json is not a checkpoint"):
        checkpoint.read(folder)


@pytest.mark.parametrize(("old", "new"), [('"vae"', '"cvae"'), ("0.1", "0.2"), ("0,", "7,"), (' "note"', ' "notes"')])
def test_facts_that_were_changed_are_one_clear_error(folder, old, new):
    path = folder / checkpoint.ROOT
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ParameterError, match=r"checkpoint.json is damaged: .*; delete .* and train anew"):
        checkpoint.read(folder)


def test_a_pickle_is_never_opened(folder):
    # It could run anything. Even under the name that its content asks for it is no file of tensors.
    class Trap:
        def __reduce__(self):
            return (open, (str(folder / "sprung"), "w"))

    content = pickle.dumps({"weight": Trap()})
    name = f"{checkpoint._digest(content)}.safetensors"
    (folder / name).write_bytes(content)
    facts = {**FACTS, "tensors": name}
    (folder / checkpoint.ROOT).write_text(json.dumps({**facts, "checksum": checkpoint._checksum(facts)}))
    with pytest.raises(ParameterError, match=rf"{name} is not a file of tensors"):
        checkpoint.read(folder)
    assert not (folder / "sprung").exists()


def test_tensors_outside_the_folder_are_not_read(folder, tmp_path):
    weights(folder).rename(tmp_path / weights(folder).name)
    facts = {**FACTS, "tensors": f"../{next(tmp_path.glob('*.safetensors')).name}"}
    (folder / checkpoint.ROOT).write_text(json.dumps({**facts, "checksum": checkpoint._checksum(facts)}))
    with pytest.raises(ParameterError, match=r"cannot read .*kept/\w+.safetensors"):
        checkpoint.read(folder)
