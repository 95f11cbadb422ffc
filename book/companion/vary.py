"""Variations: a profile with a few other values, as a build of its own beside that of the profile.

``python -m companion vary`` is what ``make book P="beta=8"`` calls first. It checks the changes against the
``parameters`` cells of all notebooks, writes the profile of the variation into its build and prints the build's name.
"""

import ast
import html
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from companion import parameters
from companion.parameters import BUILD_NAME, EVERY_NOTEBOOK, Parameter
from vae_lib import store
from vae_lib.checks import ParameterError


class Variation(NamedTuple):
    """A profile with some values changed."""

    name: str  # of the build: ``book+beta=8+seeds=3``
    sections: dict[str, dict[str, object]]  # the profile, shaped as from `parameters.read_profile`
    notice: str  # HTML that marks each page


def read_changes(text: str, known: Mapping[str, Mapping[str, Parameter]]) -> dict[str, dict[str, object]]:
    """Read changes such as ``beta=8 easy.seeds=3``: of all notebooks with such a parameter, or of one.

    Values are written as in Python or YAML (``3``, ``1e-3``, ``true``, ``[1.0, 4.0]``) or as plain text; the type of
    the parameter decides what is meant. The result is shaped like a profile.
    """
    before, *pieces = re.split(r"(?:^|\s+)([^\s=]+)=", text.strip())
    if before or not pieces:
        raise ParameterError(f"P must be like 'beta=8 easy.seeds=3', got {text.strip()!r}")
    changes: dict[str, dict[str, object]] = {}
    for key, value in zip(pieces[::2], pieces[1::2], strict=True):
        notebook, dot, name = key.rpartition(".")
        if dot and notebook not in known:
            raise ParameterError(f"P: {key} is for no notebook: {parameters.unknown(notebook, known)}")
        having = [each for each in ([notebook] if dot else known) if name in known[each]]
        if not having:
            there = known[notebook] if dot else sorted(set().union(*known.values()))
            who = f"{notebook} has no" if dot else "no notebook has a"
            raise ParameterError(f"P: {who} parameter {parameters.unknown(name, there)}")
        if name == BUILD_NAME:
            raise ParameterError(f"P: {key} cannot be set, a variation has a build of its own, named after its changes")
        section = changes.setdefault(notebook or EVERY_NOTEBOOK, {})
        if name in section:
            raise ParameterError(f"P: {key} stands twice")
        for each in having:
            section[name] = _typed(value.strip(), known[each][name], f"P: {each}.{name}")
    return changes


def _typed(text: str, parameter: Parameter, name: str) -> object:
    """Take the first reading of `text`, as Python, YAML or plain text, that is of the type of `parameter`."""
    for read in (ast.literal_eval, yaml.safe_load, str) if text else ():
        try:
            value = parameters.check({name: read(text)}, {name: parameter}, "P")[name]
            return parameters.limited({name: value})[name]
        except parameters.RangeError:
            raise
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, yaml.YAMLError):
            continue
    raise ParameterError(f"{name} must be {ast.unparse(parameter.kind)}, got {text or 'nothing'}")


def vary(profile: Path | str, notebooks: Iterable[Path | str], changes: str) -> Variation:
    """Change parameters of a profile, given all the notebooks that there are; nothing is written."""
    notebooks, base = list(notebooks), Path(profile).stem
    before = parameters.resolve(profile, notebooks)
    wanted = read_changes(changes, {Path(path).stem: parameters.read_parameters(path) for path in notebooks})
    told = {
        f"{section}.{key}".removeprefix(f"{EVERY_NOTEBOOK}."): _short(wanted[section][key])
        for section in sorted(wanted, key=lambda section: (section != EVERY_NOTEBOOK, section))
        for key in sorted(wanted[section])
    }
    name = store.plain_name("+".join([base, *(f"{key}={value}" for key, value in told.items())]))
    sections = parameters.read_profile(profile)
    sections[EVERY_NOTEBOOK] = sections.get(EVERY_NOTEBOOK, {}) | {BUILD_NAME: name}
    changed = []
    for notebook, values in before.items():
        asked = wanted.get(EVERY_NOTEBOOK, {}) | wanted.get(notebook, {})
        new = {key: value for key, value in asked.items() if key in values and values[key] != value}
        if new:
            sections[notebook] = sections.get(notebook, {}) | new
            changed.append(notebook)
    listed = html.escape(", ".join(f"{key} = {value}" for key, value in told.items()))
    pages = f"Changed: {', '.join(changed)} and the pages that read them" if changed else "Nothing differs"
    return Variation(name, sections, f"Variation of the {base} build: <strong>{listed}</strong>. {pages}.")


def _short(value: object) -> str:
    """Write a value for a name: 8.0 as 8, a list as its items."""
    if isinstance(value, list | tuple):
        return ",".join(map(_short, value)) or "none"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def write(variation: Variation, folder: Path | str) -> list[Path]:
    """Write ``profile.yaml`` and ``notice.yml`` into the build of a variation, where they differ; list these."""
    sections = json.loads(json.dumps(variation.sections))  # YAML knows no tuples
    texts = {
        "profile.yaml": yaml.safe_dump(sections, allow_unicode=True, sort_keys=False),
        "notice.yml": f"  announcement: {json.dumps(variation.notice)}\n",
    }
    return [path for name, text in texts.items() if parameters.write_changed(path := Path(folder) / name, text)]
