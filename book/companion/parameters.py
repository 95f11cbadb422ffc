"""Parameters of notebooks: read from their ``parameters`` cells, set by profiles, folded into the source.

All profiles (``book/params/*.yaml``) and cells are checked against each other before any kernel starts.
"""

import ast
import difflib
import io
import json
import math
import re
import tokenize
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from vae_lib import store
from vae_lib.checks import ParameterError

EVERY_NOTEBOOK = "all"  # the key of a profile whose parameters go to every notebook
BUILD_NAME = "profile"  # the parameter that says which build the rows go to, and changes none of them
MOST = {"seeds": 1000}  # of numbers that parameters may have; of others a million
SCALARS = {"bool": bool, "int": int, "float": float, "str": str}


class RangeError(ParameterError):
    """A value of the right type that no parameter can have."""


class Parameter(NamedTuple):
    """One assignment of a ``parameters`` cell."""

    kind: ast.expr  # the annotation
    default: object
    comment: str  # what follows the value on its last line
    lines: slice  # of the source of the cell


def read_parameters(notebook: Path | str) -> dict[str, Parameter]:
    """Read the typed parameters of a notebook, in the order of its ``parameters`` cell.

    That cell holds nothing but assignments such as ``epochs: int = 100  # passes over the corpus``.
    """
    try:
        cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
        tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ParameterError(f"{notebook} is not a notebook that can be read: {error}") from None
    if len(tagged) != 1 or tagged[0]["cell_type"] != "code":
        raise ParameterError(f"{notebook} must have one code cell tagged 'parameters', it has {len(tagged)}")
    return parse_parameters("".join(tagged[0]["source"]), str(notebook))


def parse_parameters(source: str, name: str) -> dict[str, Parameter]:
    """Read the typed parameters of the source of one cell; `name` is what messages call it."""
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ParameterError(f"{name}, parameters cell, line {error.lineno}: {error.msg}") from None
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found: dict[str, Parameter] = {}
    last = 0
    for statement in statements:
        where, lines = (
            f"{name}, parameters cell, line {statement.lineno}",
            slice(statement.lineno - 1, statement.end_lineno),
        )
        match statement:
            case ast.AnnAssign(target=ast.Name(id=key), value=ast.expr()) if lines.start >= last:
                last = lines.stop
            case _:
                line = source.split("\n")[lines.start]
                raise ParameterError(f"{where}: expected 'name: type = value  # meaning', got {line!r}")
        if key in found:
            raise ParameterError(f"{where}: {key} is assigned twice")
        try:
            value = ast.literal_eval(statement.value)
        except ValueError:
            raise ParameterError(f"{where}: the value of {key} must be a literal") from None
        default = _convert(value, statement.annotation, f"{where}: {key}")
        found[key] = Parameter(statement.annotation, default, comments.get(last, ""), lines)
    return found


def _convert(value: object, kind: ast.expr, name: str) -> object:
    """Return `value` as the annotated type `kind`; an int will do for a float, a list for a tuple, nothing else."""
    try:
        return _as_kind(value, kind)
    except TypeError:
        hint = ""
        if isinstance(value, str) and (exponent := re.fullmatch(r"([-+]?\d+)[eE]([-+]?\d+)", value)):
            hint = f"; YAML reads {value} as text, write {exponent[1]}.0e{exponent[2]}"
        raise ParameterError(
            f"{name} must be {ast.unparse(kind)}, got {value!r} ({type(value).__name__}){hint}"
        ) from None
    except NotImplementedError:
        raise ParameterError(
            f"{name} has the type {ast.unparse(kind)}; a parameter is one of {', '.join(SCALARS)}, None, "
            "list[…], tuple[…, ...] or several of them joined by |"
        ) from None


def _as_kind(value: object, kind: ast.expr) -> object:
    match kind:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            try:
                return _as_kind(value, left)
            except TypeError:
                return _as_kind(value, right)
        case ast.Subscript(value=ast.Name(id="list"), slice=item) if isinstance(value, list):
            return [_as_kind(each, item) for each in value]
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[item, ast.Constant(value=rest)])) if (
            rest is ... and isinstance(value, list | tuple)
        ):
            return tuple(_as_kind(each, item) for each in value)
        case ast.Constant(value=None):
            fits = value is None
        case ast.Name(id="float") if type(value) in (int, float) and math.isfinite(value):
            return float(value)
        case ast.Name(id=scalar) if scalar in SCALARS:
            fits = scalar != "float" and type(value) is SCALARS[scalar]
        case ast.Subscript(value=ast.Name(id="list" | "tuple")):
            fits = False
        case _:
            raise NotImplementedError
    if not fits:
        raise TypeError
    return value


def fold(source: str, values: Mapping[str, object], *, name: str = "notebook") -> str:
    """Put `values` into the source of a ``parameters`` cell; lines of untouched values stay as written.

    Examples
    --------
    >>> from companion import parameters
    >>> parameters.fold("k: int = 10  # number of clusters", {"k": 4})
    'k: int = 4  # number of clusters'
    """
    known, lines = parse_parameters(source, name), source.split("\n")
    new = check(values, known, name)
    for key, parameter in reversed(known.items()):
        if key in new and repr(new[key]) != repr(parameter.default):
            # In double quotes, as the formatter has them.
            literal = json.dumps(new[key], ensure_ascii=False) if isinstance(new[key], str) else repr(new[key])
            comment = f"  # {parameter.comment}" if parameter.comment else ""
            lines[parameter.lines] = [f"{key}: {ast.unparse(parameter.kind)} = {literal}{comment}"]
    return "\n".join(lines)


def check(values: Mapping[str, object], known: Mapping[str, Parameter], name: str) -> dict[str, object]:
    """Return `values` converted to the types of the `known` parameters; `name` begins each message."""
    for key in values:
        if key not in known:
            raise ParameterError(f"{name} has no parameter {unknown(key, known)}")
    return {key: _convert(value, known[key].kind, f"{name}.{key}") for key, value in values.items()}


def limited(values: Mapping[str, object], where: str = "") -> Mapping[str, object]:
    """Return `values` if no number of them is beyond what a run can do; `where` begins each message."""
    for key, value in values.items():
        most = MOST.get(re.split(r"[._]", key)[-1], 10**6)
        for number in value if isinstance(value, list | tuple) else [value]:
            if type(number) in (int, float) and not 0 <= number <= most:
                raise RangeError(f"{where}{key} must be from 0 to {most}, got {number!r}")
    return values


def unknown(key: object, known: Iterable[str]) -> str:
    """Name what is unknown in a message, and the closest of what is known, or all of it."""
    known = list(known)
    close = difflib.get_close_matches(str(key), known, n=1)
    return f"{key!r}" + (f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known) or 'none'}")


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, not the loss of the first value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [str(key.value) for key, _ in node.value]
        for place, (key, _) in enumerate(node.value):
            if str(key.value) in keys[:place]:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
        return super().construct_mapping(node, deep)


def read_profile(path: Path | str) -> dict[str, dict[str, object]]:
    """Read a profile: ``{notebook: {parameter: value}}``, with ``all`` for what every notebook shares."""
    try:
        profile = yaml.load(Path(path).read_text(encoding="utf-8"), _UniqueKeys) or {}
    except OSError as error:
        raise ParameterError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ParameterError(f"{path} is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ParameterError(f"{path}{line}: {error.problem}") from None
    if not isinstance(profile, dict):
        raise ParameterError(f"{path} must map notebooks to their parameters, got {profile!r}")
    for notebook, values in profile.items():
        if not isinstance(values, dict | None):
            raise ParameterError(f"{path}: {notebook} must map parameters to values, got {values!r}")
    return {notebook: values or {} for notebook, values in profile.items()}


def resolve(profile: Path | str, notebooks: Iterable[Path | str]) -> dict[str, dict[str, object]]:
    """Work out the parameters that each notebook runs with: its own defaults, ``all``, then its section.

    A section of no notebook, an unknown parameter, and a value of another type are errors.
    """
    sections = read_profile(profile)
    cells = {Path(notebook).stem: read_parameters(notebook) for notebook in notebooks}
    for section in sections:
        if section not in cells and section != EVERY_NOTEBOOK:
            raise ParameterError(f"{profile} has a section for no notebook: {unknown(section, cells)}")
    effective = {}
    for name, known in cells.items():
        effective[name] = {key: parameter.default for key, parameter in known.items()}
        for section in (EVERY_NOTEBOOK, name):
            where = f"{profile}: {name}"
            effective[name] |= limited(check(sections.get(section, {}), known, where), f"{where}.")
    return effective


def write_effective(effective: Mapping[str, Mapping[str, object]], folder: Path | str) -> list[Path]:
    """Write one JSON file per notebook where it differs, so that Make re-executes no more than it must; list these."""
    texts = {f"{name}.json": json.dumps(values, indent=1, ensure_ascii=False) for name, values in effective.items()}
    return [path for name, text in texts.items() if write_changed(path := Path(folder) / name, text + "\n")]


def write_changed(path: Path, text: str) -> bool:
    """Write a file unless it holds this text already; tell whether it was written."""
    if path.is_file() and path.read_bytes() == text.encode():
        return False
    with store.replacing(path) as temporary:
        temporary.write_bytes(text.encode())
    return True
