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

from companion import execute
from companion.execute import BUILD_NAME, EVERY_NOTEBOOK, Parameter
from vae_lib import store
from vae_lib.checks import ParameterError


class Variation(NamedTuple):
    """A profile with some values changed.

    Attributes
    ----------
    name : str
        Of the build: ``book+beta=8+seeds=3``.
    sections : dict of str to dict
        The profile, shaped as from `execute.read_profile`.
    notice : str
        HTML that marks each page.
    """

    name: str
    sections: dict[str, dict[str, object]]
    notice: str


def read_changes(text: str, parameters: Mapping[str, Mapping[str, Parameter]]) -> dict[str, dict[str, object]]:
    """Read changes such as ``beta=8 easy.seeds=3``: of all notebooks with such a parameter, or of one.

    Parameters
    ----------
    text : str
        Values are written as in Python or YAML (``3``, ``1e-3``, ``true``, ``[1.0, 4.0]``) or as plain text; the type
        of the parameter decides what is meant.
    parameters : mapping of str to mapping of str to execute.Parameter
        Those of every notebook.

    Returns
    -------
    dict of str to dict
        Sections of a profile: ``all`` for what was given without a notebook, and one per notebook that was named.

    Raises
    ------
    ParameterError
        If no notebook has such a parameter, a value is of another type, or the text is something else.

    Examples
    --------
    >>> from companion import execute, vary
    >>> known = execute.parse_parameters("beta: float = 1.0  # weight of the KL divergence", "easy")
    >>> vary.read_changes("beta=8", {"easy": known})
    {'all': {'beta': 8.0}}
    """
    before, *pieces = re.split(r"(?:^|\s+)([^\s=]+)=", text.strip())
    if before or not pieces:
        raise ParameterError(f"P must be like 'beta=8 easy.seeds=3', got {text.strip()!r}")
    changes: dict[str, dict[str, object]] = {}
    for key, value in zip(pieces[::2], pieces[1::2], strict=True):
        notebook, dot, name = key.rpartition(".")
        if dot and notebook not in parameters:
            raise ParameterError(f"P: {key} is for no notebook: {execute.unknown(notebook, parameters)}")
        having = [each for each in ([notebook] if dot else parameters) if name in parameters[each]]
        if not having:
            there = parameters[notebook] if dot else sorted(set().union(*parameters.values()))
            who = f"{notebook} has no" if dot else "no notebook has a"
            raise ParameterError(f"P: {who} parameter {execute.unknown(name, there)}")
        if name == BUILD_NAME:
            raise ParameterError(f"P: {key} cannot be set, a variation has a build of its own, named after its changes")
        section = changes.setdefault(notebook or EVERY_NOTEBOOK, {})
        if name in section:
            raise ParameterError(f"P: {key} stands twice")
        for each in having:
            section[name] = _typed(value.strip(), parameters[each][name], f"P: {each}.{name}")
    return changes


def _typed(text: str, parameter: Parameter, name: str) -> object:
    """Take the first reading of `text`, as Python, YAML or plain text, that is of the type of `parameter`."""
    for read in (ast.literal_eval, yaml.safe_load, str) if text else ():
        try:
            return execute.check({name: read(text)}, {name: parameter}, "P")[name]
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, yaml.YAMLError):
            continue
    raise ParameterError(f"{name} must be {ast.unparse(parameter.kind)}, got {text or 'nothing'}")


def vary(profile: Path | str, notebooks: Iterable[Path | str], changes: str) -> Variation:
    """Change parameters of a profile; nothing is written.

    Parameters
    ----------
    profile : path
        Such as ``book/params/book.yaml``.
    notebooks : iterable of path
        All the notebooks that there are.
    changes : str
        As for `read_changes`.

    Raises
    ------
    ParameterError
        As from `execute.resolve` and `read_changes`.
    """
    notebooks, base = list(notebooks), Path(profile).stem
    before = execute.resolve(profile, notebooks)
    wanted = read_changes(changes, {Path(path).stem: execute.read_parameters(path) for path in notebooks})
    told = {
        f"{section}.{key}".removeprefix(f"{EVERY_NOTEBOOK}."): _short(wanted[section][key])
        for section in sorted(wanted, key=lambda section: (section != EVERY_NOTEBOOK, section))
        for key in sorted(wanted[section])
    }
    name = store.plain_name("+".join([base, *(f"{key}={value}" for key, value in told.items())]))
    sections = execute.read_profile(profile)
    sections[EVERY_NOTEBOOK] = sections.get(EVERY_NOTEBOOK, {}) | {BUILD_NAME: name}
    changed = []
    for notebook, values in before.items():
        general = {key: value for key, value in wanted.get(EVERY_NOTEBOOK, {}).items() if key in values}
        new = {key: value for key, value in (general | wanted.get(notebook, {})).items() if values[key] != value}
        if new:
            sections[notebook] = sections.get(notebook, {}) | new
            changed.append(notebook)
    listed = html.escape(", ".join(f"{key} = {value}" for key, value in told.items()))
    pages = (
        f"Changed: {', '.join(changed)} and the pages that read them" if changed else "Nothing differs from that build"
    )
    return Variation(name, sections, f"Variation of the {base} build: <strong>{listed}</strong>. {pages}.")


def _short(value: object) -> str:
    """Write a value for a name: 8.0 as 8, a list as its items."""
    if isinstance(value, list | tuple):
        return ",".join(map(_short, value)) or "none"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def write(variation: Variation, folder: Path | str) -> list[Path]:
    """Write ``profile.yaml`` and ``notice.yml`` into the build of a variation, each only where it differs.

    Returns
    -------
    list of Path
        The files that were written.
    """
    sections = json.loads(json.dumps(variation.sections))  # YAML knows no tuples
    texts = {
        "profile.yaml": yaml.safe_dump(sections, allow_unicode=True, sort_keys=False),
        "notice.yml": f"  announcement: {json.dumps(variation.notice)}\n",
    }
    return [path for name, text in texts.items() if execute.write_changed(path := Path(folder) / name, text)]
