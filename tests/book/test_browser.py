"""Pages in a browser, opened from disk without a network: by mouse, by key, on a phone, in the dark, on paper."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = re.findall(r"(?:file|root): *book/(\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
QUICK = {"index", "easy", "methods", "parameters", "own_clusters"}  # one of each kind; all of them in `make test-all`

every_page = pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in PAGES]
)


@pytest.fixture(scope="module")
def one_tab(browser):
    """A tab that several tests look through one after another."""
    context = browser.new_context(reduced_motion="reduce", viewport={"width": 1280, "height": 800})
    context.set_offline(True)
    context.set_default_timeout(120_000)
    yield context.new_page()
    context.close()


def violations(tab, *, within=None, **options):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(tab, context=within, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [
        f"{each['id']} ({each['impact']}): {node['html'][:200]} {node['failureSummary'][:300]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:3]
    ]


@every_page
def test_a_page_opens_without_an_error_and_fits_its_window(name, html, tab):
    tab.set_viewport_size({"width": 1280, "height": 800})
    tab.goto((html / f"book/{name}.html").as_uri())
    tab.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    tab.wait_for_function("[...document.images].every(image => image.complete)")
    assert tab.evaluate("[...document.images].filter(image => !image.naturalWidth).map(image => image.src)") == []
    assert tab.locator("article h1").count() == 1
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280
    # On a phone, with all marks open; wide tables scroll, by key too.
    tab.set_viewport_size({"width": 390, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    tab.evaluate("document.querySelectorAll('details.trace').forEach(mark => mark.open = true)")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    unreachable = """[...document.querySelectorAll('.pst-scrollable-table-container')].filter(
        box => box.scrollWidth > box.clientWidth && box.checkVisibility() && box.tabIndex != 0).length"""
    tab.wait_for_function(f"{unreachable} == 0", timeout=5000)
    assert tab.wrong == []


@every_page
def test_a_page_has_no_serious_barrier_in_light_and_dark(name, html, one_tab):
    one_tab.emulate_media(color_scheme="light")
    one_tab.goto((html / f"book/{name}.html").as_uri())
    one_tab.evaluate("[...document.querySelectorAll('details.trace')].slice(0, 3).forEach(mark => mark.open = true)")
    # Thousands of coloured words of code would take a minute; the colours are checked below, on one page.
    one_tab.evaluate("document.querySelectorAll('pre').forEach(code => code.textContent = code.textContent)")
    assert violations(one_tab) == []
    one_tab.emulate_media(color_scheme="dark")
    one_tab.wait_for_function("document.documentElement.dataset.theme == 'dark'")
    assert one_tab.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert violations(one_tab, runOnly=["color-contrast"]) == []


@pytest.mark.slow
def test_code_can_be_read_in_light_and_dark(html, one_tab):
    for theme in ("light", "dark"):
        one_tab.emulate_media(color_scheme=theme)
        one_tab.goto((html / "book/methods.html").as_uri())
        one_tab.evaluate("document.querySelectorAll('details').forEach(folded => folded.open = true)")
        assert violations(one_tab, runOnly=["color-contrast"]) == []


def test_the_front_leads_to_the_first_page(html, tab):
    tab.goto((html / "index.html").as_uri())
    tab.wait_for_url("**/book/index.html")
    assert tab.wrong == []


def test_code_is_folded_and_opens_on_demand(html, tab):
    tab.goto((html / "book/easy.html").as_uri())
    folded = tab.locator("details.hide").first
    assert not folded.locator("pre").first.is_visible()
    folded.locator("summary").click()
    assert folded.locator("pre").first.is_visible()


def test_a_mark_opens_by_keyboard_and_leads_to_its_cell_unfolded(html, tab):
    tab.goto((html / "book/easy.html").as_uri())
    mark = tab.locator("details.trace", has_text="download").first
    mark.locator("summary").focus()
    tab.keyboard.press("Enter")
    assert mark.locator("dl").is_visible()
    tab.keyboard.press("Tab")
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", "focus cannot be seen"
    tab.keyboard.press("Enter")
    place = tab.evaluate("location.hash")
    assert place.startswith("#cell-easy-")
    tab.locator(f"{place} .cell_input pre").wait_for(state="visible")
    tab.wait_for_function("place => document.querySelector(place).getBoundingClientRect().top < innerHeight", arg=place)
    assert tab.wrong == []


def test_a_number_of_the_front_page_leads_to_its_cell_unfolded(html, tab):
    tab.goto((html / "book/index.html").as_uri())
    tab.locator("[class*=passport-] a").first.click()
    tab.get_by_role("dialog").get_by_role("link", name="this cell").click()
    tab.wait_for_url("**/audit.html#cell-audit-*")
    tab.locator(":target .cell_input pre").wait_for(state="visible")
    assert tab.wrong == []


def test_a_passport_opens_by_mouse_key_and_touch_and_holds_its_row(html, browser, tab):
    page = (html / "book/easy.html").as_uri()
    rows = json.loads((html / "results/easy.json").read_text(encoding="utf-8"))["rows"]
    about = {"model": "vae", "metric": "ari", "subset": "all", "clusterer": "kmeans"}
    (row,) = [row for row in rows if all(row[name] == value for name, value in about.items())]
    card = tab.get_by_role("dialog")
    tab.goto(page)
    # In prose, by the mouse that rests there; it goes with the mouse.
    number = tab.locator("article p [class*=passport-] a").first
    number.hover()
    card.wait_for()
    for told in (f"ARI VAE: {row['mean']:.3f} ± {row['sd']:.3f}", f"{row['n']} tracks", "make book P=", "released run"):
        assert told in card.inner_text()
    assert card.locator("circle").count() == row["seeds"]
    tab.mouse.move(0, 0)
    card.wait_for(state="hidden")
    # In a table, by key; the arrows walk through it, Escape goes back.
    first, second = tab.locator("table:has([class*=passport-]) button").all()[:2]
    first.focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Enter")
    card.wait_for()
    shown, told = (float(found.inner_text().split()[0]) for found in (second, card.locator("b")))
    assert told == pytest.approx(shown, abs=0.0051)
    assert tab.wrong == []
    assert violations(tab, within=".passport") == []  # which fetches style sheets, in vain
    tab.keyboard.press("Escape")
    card.wait_for(state="hidden")
    assert second.evaluate("button => button == document.activeElement")
    # By touch, on a phone.
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    context.set_default_timeout(120_000)
    phone = context.new_page()
    phone.goto(page)
    phone.locator("article p [class*=passport-] a").first.tap()
    phone.get_by_role("dialog").wait_for()
    box = phone.get_by_role("dialog").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    context.close()


def test_noise_scores_as_one_likes_without_a_network(html, tab):
    tab.goto((html / "book/audit.html").as_uri())
    machine = tab.get_by_role("group", name=re.compile("Fool yourself"))
    before = [float(text.replace("−", "-")) for text in machine.get_by_role("status").all_inner_texts()]
    leak = machine.get_by_label(re.compile("weight of the label"))
    leak.press("End")
    leaked = [float(text.replace("−", "-")) for text in machine.get_by_role("status").all_inner_texts()]
    assert leaked[0] > 0.9 > 0.4 > before[0]
    machine.get_by_label("labels shuffled").select_option("yes")
    assert float(machine.get_by_role("status").first.inner_text()) < 0.4
    assert tab.wrong == []


def test_marks_work_without_scripts(html, browser):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto((html / "book/methods.html").as_uri())
    mark = tab.locator("details.trace").first
    mark.locator("summary").click()
    assert mark.locator("dl").is_visible()
    mark.locator("a").first.click()
    assert "#cell-methods-" in tab.url
    assert tab.locator(":target .cell_input pre").is_visible()
    context.close()


def test_formulas_are_typeset(html, tab):
    tab.goto((html / "book/methods.html").as_uri())
    tab.wait_for_selector("mjx-container")
    assert tab.locator("mjx-merror").count() == 0
    assert tab.wrong == []


@pytest.mark.parametrize(("term", "found"), [("DBSCAN", "glossary"), ("whitening", "inputs"), ("regret", "elsewhere")])
def test_search_returns_the_right_page(term, found, html, tab):
    tab.goto((html / "search.html").as_uri() + f"?q={term}")
    tab.wait_for_selector("#search-results li")
    hits = [link.get_attribute("href") for link in tab.locator("#search-results li a").all()]
    assert any(f"{found}.html" in hit for hit in hits[:3]), hits
    assert tab.wrong == []


def test_print_leaves_out_marks_and_navigation(html, one_tab):
    one_tab.goto((html / "book/easy.html").as_uri())
    one_tab.emulate_media(media="print", color_scheme="light")
    for selector in ("details.trace", ".bd-sidebar-primary", "div.cell > details.hide"):
        assert not one_tab.locator(selector).first.is_visible(), selector
    assert one_tab.locator("article figure img").first.is_visible()
    one_tab.emulate_media(media="screen")
