"""The parts of the book's reference pages that are generated: parameters, measures and how results changed.

Sphinx loads this module as an extension; a page then writes ``{{ parameters }}`` or ``{{ measure_ari }}`` where the
generated text belongs.
"""

import ast
import importlib
import inspect
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment

from companion import ROOT, report
from companion.parameters import read_parameters, resolve
from vae_lib import cluster, metrics, models


def parameters(book: Path | str = ROOT / "book") -> pd.DataFrame:
    """Read what every notebook can be told, and what each profile (``params/*.yaml``) tells it.

    One row per parameter and notebook, sorted by both: `parameter`, `notebook`, `type`, `default`, `meaning`, and a
    column with the value in each profile, as Python writes them.

    Examples
    --------
    >>> from companion import reference
    >>> table = reference.parameters()
    >>> table[(table["parameter"] == "beta") & (table["notebook"] == "easy")].iloc[0]["meaning"]
    'weight of the KL divergence'
    """
    book = Path(book)
    notebooks = sorted(book.glob("*.ipynb"))
    profiles = {path.stem: resolve(path, notebooks) for path in sorted(book.glob("params/*.yaml"))}
    rows = [
        {
            "parameter": name,
            "notebook": path.stem,
            "type": ast.unparse(parameter.kind),
            "default": repr(parameter.default),
            "meaning": parameter.comment,
        }
        | {profile: repr(values[path.stem][name]) for profile, values in profiles.items()}
        for path in notebooks
        for name, parameter in read_parameters(path).items()
    ]
    return pd.DataFrame(rows).sort_values(["parameter", "notebook"], ignore_index=True)


def parameters_list(book: Path | str = ROOT / "book") -> str:
    """Give the `parameters` as Markdown for Sphinx: an entry to link to per parameter, in alphabetical order."""
    table = parameters(book)
    profiles = list(table.columns[table.columns.get_loc("meaning") + 1 :])
    entries = []
    for name, rows in table.groupby("parameter"):
        meaning = re.sub(r"([\\`*_<>\[\]{}$])", r"\\\1", rows["meaning"].iloc[0])  # it is text, not Markdown
        lines = [
            f"```{{confval}} {name}",
            f"{meaning[0].upper()}{meaning[1:]}.",
            "",
            f"- `{rows['type'].iloc[0]}`, by default {_values(rows, 'default', rows)}",
            *(
                f"- in the profile *{profile}* {_values(changed, profile, rows)}"
                for profile in profiles
                if len(changed := rows[rows[profile] != rows["default"]])
            ),
            f"- read by {_pages(rows['notebook'])}",
            "```",
        ]
        entries.append("\n".join(lines))
    return "\n\n".join(entries)


def _pages(notebooks: pd.Series) -> str:
    return ", ".join(f"{{doc}}`{name} </book/{name}>`" for name in notebooks)


def _values(rows: pd.DataFrame, column: str, everyone: pd.DataFrame) -> str:
    """Write each value that a column has, with the pages that have it unless `everyone` has the same."""
    values = list(rows.groupby(column, sort=False))
    if len(values) == 1 and len(rows) == len(everyone):
        return f"`{values[0][0]}`"
    return "; ".join(f"`{value}` on {_pages(same['notebook'])}" for value, same in values)


def measure(name: str) -> str:
    """Say in a sentence which values a measure of `report.MEASURES` can take, and which of them are better.

    Examples
    --------
    >>> from companion import reference
    >>> reference.measure("silhouette")
    'From −1 to 1, higher is better; measured in a space, without labels.'
    >>> reference.measure("davies_bouldin")
    'From 0 up, lower is better; measured in a space, without labels.'
    """
    found = report.MEASURES[name]
    low, high = (f"{value:g}".replace("-", "−") for value in (found.low, found.high))
    reach = (
        f"At most {high}" if np.isinf(found.low) else f"From {low} " + ("up" if np.isinf(found.high) else f"to {high}")
    )
    better = "higher" if found.greater_is_better else "lower"
    kind = "; compares clusters with labels" if name in metrics.LABEL_METRICS else ""
    kind = "; measured in a space, without labels" if name in metrics.SPACE_METRICS else kind
    return f"{reach}, {better} is better{kind}."


def recipe(name: str) -> str:
    """Say in a sentence what a recipe of `models.RECIPES` is.

    Examples
    --------
    >>> from companion import reference
    >>> reference.recipe("conv_vae")
    'As the recipe `conv_vae`: convolutional VAE on the log-mel image; β = 1.'
    """
    found = models.RECIPES[name]
    return f"As the recipe `{name}`: {found.summary}; β = {found.beta:g}."


def clusterer(name: str) -> str:
    """Say in a sentence what a clusterer of `cluster.CLUSTERERS` is told.

    Examples
    --------
    >>> from companion import reference
    >>> reference.clusterer("dbscan")
    'As the clusterer `dbscan`: finds the number of clusters itself, has no random start.'
    """
    found = cluster.CLUSTERERS[name]
    count = "is told the number of clusters" if found.takes_k else "finds the number of clusters itself"
    return f"As the clusterer `{name}`: {count}, {'starts at random' if found.takes_seed else 'has no random start'}."


def substitutions() -> dict[str, str]:
    """Everything that a page can ask for by name, as Markdown."""
    return {
        "parameters": parameters_list(),
        **{f"measure_{name}": measure(name) for name in report.MEASURES},
        **{f"recipe_{name}": recipe(name) for name in models.RECIPES},
        **{f"clusterer_{name}": clusterer(name) for name in cluster.CLUSTERERS},
    }


def public(module: str) -> list[str]:
    """Names of the functions and classes that a module such as ``vae_lib.train`` offers, in the order of its source.

    Examples
    --------
    >>> from companion import reference
    >>> reference.public("vae_lib.scaling")
    ['measure', 'slope', 'predict']
    """
    found = importlib.import_module(module)
    tree = ast.parse(inspect.getsource(found))
    kinds = ast.FunctionDef | ast.ClassDef
    return [node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Make Sphinx know the generated texts, and let it list and link what the modules offer."""
    app.connect("config-inited", _substitute)
    app.connect("autodoc-process-docstring", _list_members)
    app.connect("autodoc-skip-member", _skip_fields)
    app.connect("missing-reference", _link_imported)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _substitute(app: Sphinx, config: Config) -> None:
    config.myst_substitutions = {**config.myst_substitutions, **substitutions()}


def _list_members(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Put a table of what a module offers below its docstring."""
    if what == "module":
        names = public(name)
        lines += ["", ".. autosummary::", "   :nosignatures:", "", *(f"   {each}" for each in names), ""]


def _skip_fields(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object) -> bool | None:
    """Leave out the fields of named tuples, of which Python knows nothing but their number."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def _link_imported(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.Element
) -> nodes.Element | None:
    """Lead a name that a module imports to the module that has it; other words between backticks stay words."""
    if (node["refdomain"], node["reftype"]) != ("py", "obj"):
        return None
    domain, target = env.get_domain("py"), node["reftarget"]
    imported = hasattr(sys.modules.get(node.get("py:module")), target.partition(".")[0])
    if imported and len(domain.find_obj(env, None, None, target, None, 1)) == 1:
        node["refspecific"] = True
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, contnode)
    return contnode
