"""What stands behind a number of a page: its passport, which opens beside the number.

A passport tells what was measured, on what, what came out for each seed, what chance gives, what the released run has,
which cell computed it and which command changes it. Numbers in prose and in tables carry the key of their row as a
class, see `report.key`, and each page holds the passports of its numbers, for ``book/_html/companion.js`` to show.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from companion import report
from companion.text import embedded, number, plus_minus

KEY = re.compile(r"passport-[0-9a-f]{10}")
WORDS = {"kmeans": "k-means", "agglomerative": "Ward's method", "gmm": "Gaussian mixture", "dbscan": "DBSCAN"}
WORDS |= {
    "raw": "features",
    "ari": "ARI",
    "kl": "KL divergence",
    "active_units": "active units",
    "bound": "held-out bound",
}
SPACES = {"native": "in the space that was clustered", "common": "in the common space"}
WIDTH, HEIGHT = 300, 34  # of the drawing

Row = Mapping[str, object]


class Passport(NamedTuple):
    """A row, and what goes with it."""

    row: Row
    cell: tuple[str, str] | None  # page and anchor of the cell that computed it, where that is known
    released: Row | None  # of the released run
    kept: bool  # whether the row itself is of the released run
    command: str  # what changes it


def collect(
    built: Mapping[str, Mapping], stored: Mapping[str, Mapping], anchors: Mapping[tuple[str, int], str]
) -> dict[str, Passport]:
    """Give every row of the result files its passport, by its key.

    Parameters
    ----------
    built, stored : mapping of str to mapping
        Contents of the result files of this build and of the released run, by page.
    anchors : mapping of (str, int) to str
        Anchor of the cell of a page that was executed as the first, second … of them.
    """
    released = {_identity(row): row for content in stored.values() for row in content["rows"]}
    found: dict[str, Passport] = {}
    for kept, files in ((False, built), (True, stored)):
        for page, content in files.items():
            about = content["provenance"]
            cells = [] if kept else about.get("cells", [])
            for row, at in zip(content["rows"], [*cells, *[None] * len(content["rows"])], strict=False):
                if row["mean"] is None:
                    continue
                cell = (page, anchors[page, at]) if (page, at) in anchors else None
                of = Passport(row, cell, released.get(_identity(row)), kept, _command(page, about["parameters"]))
                found.setdefault(report.key(row), of)
    return found


def of_value(value: float, name: str, rows: Iterable[Row]) -> str:
    """Find the row that a glued number is the mean of, and give its key; empty where none is, or several could be.

    A whole number may be a count that equals a score by accident: its name must hold the metric.

    Examples
    --------
    >>> from companion import passports, report
    >>> rows = report.stored().query("notebook == 'easy'").to_dict("records")
    >>> vae = next(row for row in rows if row["model"] == "vae" and row["metric"] == "ari")
    >>> passports.of_value(vae["mean"], "easy_ari_vae", rows) == report.key(vae)
    True
    >>> passports.of_value(0.5, "easy_share", rows)
    ''
    """
    alike = [row for row in rows if row["mean"] == value]
    if float(value).is_integer():
        alike = [row for row in alike if str(row["metric"]) in name]
    what = {(row["model"], row["metric"], row["corpus"], row["subset"]) for row in alike}
    return report.key(alike[0]) if len(what) == 1 else ""


def glosses(text: str) -> dict[str, str]:
    r"""Read of each term of the glossary, in small letters, the sentence that says what it is.

    Examples
    --------
    >>> from companion import passports
    >>> passports.glosses("```{glossary}\nARI\nindex\n  Range.\n\n  Pairs of {term}`x`: yes? No.\n```\n")["ari"]
    'Pairs of x: yes?'
    """
    found = {}
    for block in re.findall(r"^```\{glossary\}\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for entry in re.split(r"\n\n(?=\S)", block.strip()):
            lines = entry.splitlines()
            terms = [line.lower() for line in lines if line and not line.startswith(" ")]
            paragraphs = "\n".join(lines[len(terms) :]).split("\n\n")
            plain = re.sub(r"\s*\{cite\}`[^`]*`", "", " ".join(paragraphs[-1 if len(paragraphs) == 1 else 1].split()))
            plain = re.sub(r"\{\w+\}`([^`<]*?)(?: <[^`]*>)?`", r"\1", plain).replace("*", "")
            found |= dict.fromkeys(terms, re.split(r"(?<=[.?])\s", plain)[0])
    return found


def card(passport: Passport, *, page: str, name: str = "", told: Mapping[str, str]) -> str:
    """Lay a passport out as HTML.

    Parameters
    ----------
    passport : Passport
    page : str
        Where it opens.
    name : str
        What the page calls the model.
    told : mapping of str to str
        Glosses by the title of the metric, in small letters.
    """
    row, escape = passport.row, html.escape
    known = report.MEASURES.get(str(row["metric"]))
    metric = known.title if known else words(row["metric"])
    subset = "" if row["subset"] == "all" else f", {words(row['subset'])}"
    clusters = "" if row["clusterer"] == "none" else f"{words(row['clusterer'])}, k = {row['k']:g}"
    values = [value for value in row["values"] if value is not None]
    lines = {
        "of": f"{row['corpus']}{subset}, {row['n']} tracks",
        "against": "" if row["target"] == "none" else words(row["target"]),
        "measured": SPACES.get(str(row["space"]), "") if known and row["target"] == "none" else "",
        "clusters": clusters,
        "seeds": f"{len(values)}, {number(min(values))} to {number(max(values))}" if len(values) > 1 else "1",
        "95 % over seeds": _interval(row, "ci_low", "ci_high"),
        "95 % over tracks": _interval(row, "tracks_low", "tracks_high"),
        "chance": "" if row["chance"] is None else number(row["chance"]),
        "p": "" if row["p_value"] is None else number(row["p_value"]),
        "released run": "this number"
        if passport.kept
        else _mean(passport.released)
        if passport.released
        else "has none",
        "parameters": ", ".join(f"{words(key)} {value}" for key, value in _flat(row["params"] or {})),
    }
    listed = "".join(f"<dt>{term}</dt><dd>{escape(text)}</dd>" for term, text in lines.items() if text)
    if passport.cell:
        of, anchor = passport.cell
        listed += f'<dt>computed by</dt><dd><a href="{"" if of == page else f"{of}.html"}#{anchor}">this cell</a></dd>'
    if passport.command:
        listed += f"<dt>change it</dt><dd><code>{escape(passport.command)}</code></dd>"
    return (
        f"<p><strong>{escape(metric)}</strong> {escape(name or words(row['model']))}: <b>{_mean(row)}</b></p>"
        f"<p>{escape(told.get(metric.lower(), ''))}</p>{_dots(row, values)}<dl>{listed}</dl>"
    )


def script(
    keys: Iterable[str],
    passports: Mapping[str, Passport],
    *,
    page: str,
    names: Mapping[str, str],
    told: Mapping[str, str],
) -> str:
    """Give the passports with these keys as an element of a page; empty without any. See `card` and `names`."""
    known = [key for key in dict.fromkeys(keys) if key in passports]
    cards = {key: card(passports[key], page=page, name=names.get(key, ""), told=told) for key in known}
    return f'<script type="application/json" id="passports">{embedded(cards)}</script>' if cards else ""


def names(tables: Iterable[str], passports: Mapping[str, Passport]) -> dict[str, str]:
    """What tables call the model of each row that is in them, and of all other rows of that model."""
    from bs4 import BeautifulSoup

    called, models = {}, {}
    for text in tables:
        for cell in BeautifulSoup(text, "html.parser").select("td[class*='passport-']"):
            (key,) = [name for name in cell["class"] if KEY.fullmatch(name)]
            heads = [head.get_text(strip=True) for head in cell.find_parent("tr").find_all("th")]
            if key in passports and heads:
                called[key] = models[passports[key].row["model"]] = heads[-1]
    return {key: models[of.row["model"]] for key, of in passports.items() if of.row["model"] in models} | called


def words(slug: object) -> str:
    """A name in words.

    Examples
    --------
    >>> from companion import passports
    >>> passports.words("cond_multimodal_vae"), passports.words("kmeans"), passports.words("one per artist")
    ('cond multimodal VAE', 'k-means', 'one per artist')
    """
    text = WORDS.get(str(slug), str(slug).replace("_", " "))
    return re.sub(r"\b(c?vae|pca|d?ae)\b", lambda found: found[0].upper(), text)


def _identity(row: Row) -> tuple:
    return tuple(
        str(row[name])
        for name in ("notebook", "corpus", "features", "model", "clusterer", "k", "target", "subset", "metric", "space")
    )


def _command(page: str, parameters: Mapping[str, object]) -> str:
    """Such as ``make book P="easy.seeds=20"``: a value that the page has, twice as large."""
    for name in ("seeds", "k", *parameters):
        if isinstance(value := parameters.get(name), int) and not isinstance(value, bool):
            return f'make book P="{page}.{name}={2 * value}"'
    return ""


def _mean(row: Row) -> str:
    return plus_minus({name: float("nan") if row[name] is None else row[name] for name in ("mean", "sd")})


def _interval(row: Row, low: str, high: str) -> str:
    return "" if row[low] is None or row[high] is None else f"{number(row[low])} to {number(row[high])}"


def _flat(params: Mapping[str, object]) -> list[tuple[str, object]]:
    """Options that are a number or a word, those of the architecture among them."""
    found = []
    for key, value in params.items():
        found += _flat(value) if isinstance(value, Mapping) else [(key, value)]
    found = [
        (key, value) for key, value in found if isinstance(value, int | float | str) and not isinstance(value, bool)
    ]
    return [(key, f"{value:g}" if isinstance(value, float) else value) for key, value in found]


def _dots(row: Row, values: Sequence[float]) -> str:
    """Draw seeds as dots, the interval over them as a bar, that over tracks as a line, and chance as a dashed line."""
    bars = {2.5: ("ci_low", "ci_high"), 1: ("tracks_low", "tracks_high")}
    ends = [row[end] for bar in bars.values() for end in bar]
    every = [value for value in [*values, *ends, row["chance"]] if value is not None]
    low, high = min(every), max(every)
    x = {value: 12 + (WIDTH - 24) * (value - low) / ((high - low) or 1) for value in every}
    drawn = "".join(
        f'<line x1="{x[row[a]]:.1f}" x2="{x[row[b]]:.1f}" y1="12" y2="12" stroke-width="{width}"/>'
        for width, (a, b) in bars.items()
        if row[a] is not None and row[b] is not None
    )
    if row["chance"] is not None:
        at = x[row["chance"]]
        side = "end" if at > WIDTH / 2 else "start"
        drawn += f'<line x1="{at:.1f}" x2="{at:.1f}" y1="2" y2="22" stroke-dasharray="3 2"/>'
        drawn += f'<text x="{at:.1f}" y="32" text-anchor="{side}">chance</text>'
    drawn += "".join(f'<circle cx="{x[value]:.1f}" cy="12" r="4"/>' for value in values)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{drawn}</svg>' if len(x) > 1 else ""
