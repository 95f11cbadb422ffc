"""Trained weights on disk: tensors as safetensors, all else as readable JSON; nothing is unpickled.

A checkpoint is a folder. The JSON file is its root: it names the file of tensors that belongs to it and is replaced
last, so a process that is killed leaves the checkpoint before or the one after.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import safetensors
from safetensors import torch as safetensors_torch
from torch import Tensor

from vae_lib import store
from vae_lib.checks import ParameterError

ROOT = "checkpoint.json"


def exists(folder: Path | str) -> bool:
    """Whether there is a checkpoint in `folder`."""
    return (Path(folder) / ROOT).is_file()


def write(folder: Path | str, facts: Mapping[str, object], tensors: Mapping[str, Tensor]) -> None:
    """Write a checkpoint; the one before is replaced only once the new one is whole.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    facts : mapping
        What JSON can hold.
    tensors : mapping of name to Tensor

    Raises
    ------
    ParameterError
        If the folder cannot be written to.
    """
    folder = Path(folder)
    store.prepare(folder)
    content = safetensors_torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    name = f"{_digest(content)}.safetensors"
    with store.replacing(folder / name) as temporary:
        temporary.write_bytes(content)
    root = json.loads(json.dumps({**facts, "tensors": name}))
    store.write_json(folder / ROOT, {**root, "checksum": _checksum(root)})
    for path in folder.glob("*.safetensors"):
        if path.name != name:
            path.unlink(missing_ok=True)


def read(folder: Path | str) -> tuple[dict[str, object], dict[str, Tensor]]:
    """Read a checkpoint: its facts and its tensors.

    Raises
    ------
    ParameterError
        If there is none, or a file of it is missing or damaged; the message names the file.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from vae_lib import checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint.write(folder, {"epochs": 3}, {"weight": torch.ones(2)})
    ...     checkpoint.read(folder)
    ({'epochs': 3}, {'weight': tensor([1., 1.])})
    """
    path = Path(folder) / ROOT
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        checksum = facts.pop("checksum")
        damaged = checksum != _checksum(facts)
        name = facts.pop("tensors")
    except OSError as error:
        raise ParameterError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ParameterError(f"{path} is not a checkpoint: {error!r}") from None
    if damaged:
        raise ParameterError(
            f"{path} is damaged: its content does not match its checksum; delete {folder} and train anew"
        )
    weights = Path(folder) / Path(str(name)).name
    try:
        content = weights.read_bytes()
    except OSError as error:
        raise ParameterError(f"cannot read {weights}: {error.strerror}") from None
    if _digest(content) != weights.stem:
        raise ParameterError(
            f"{weights} is damaged: its content does not match its name; delete {folder} and train anew"
        )
    try:
        return facts, safetensors_torch.load(content)
    except safetensors.SafetensorError as error:
        raise ParameterError(f"{weights} is not a file of tensors: {error}") from None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _checksum(facts: Mapping[str, object]) -> str:
    return _digest(json.dumps(facts, sort_keys=True).encode())
