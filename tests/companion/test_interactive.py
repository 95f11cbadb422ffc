"""What answers to a reader holds what the static figure shows, says what it is, and works from disk in a browser."""

import html
import json
import re
import shutil
from base64 import b64decode
from math import prod
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from nbformat.v4 import new_code_cell, new_notebook, new_output

from companion import interactive, pages
from companion.interactive import View
from vae_lib import plots
from vae_lib.checks import ParameterError

ROOT = Path(__file__).resolve().parents[2]
EVIL = '<script>document.title = "taken"</script></script><a href="https://example.org">A$AP & Ke$ha</a>'


@pytest.fixture
def tracks(small_corpus):
    tracks = small_corpus.tracks
    return tracks.assign(title=[EVIL, *tracks["title"][1:]], language=["bn", "en"] * 6)


def view(tracks, by="genre", seed=0):
    points = np.random.default_rng(seed).normal(size=(len(tracks), 2)) * [10, 0.01]
    return View(points, tracks[by], by, clusters=np.arange(len(tracks)) % 2)


def texts(figure):
    return [text for trace in figure.data for text in trace.text]


# Maps.


@pytest.mark.parametrize("count", [1, 3, 10, 18])
def test_a_map_has_the_points_colours_and_markers_of_the_static_figure(count):
    groups = pd.Series([f"group {i % count:02d}" for i in range(2 * count)])
    shown = View(np.random.default_rng(0).normal(size=(2 * count, 2)), groups, "genre")
    figure = interactive.latent_map({"PCA": shown}, pd.DataFrame(index=groups.index))
    ax = plots.scatter(shown.points, groups, plt.figure().subplots(), title="PCA", legend="genre")
    assert [trace.name for trace in figure.data] == [text.get_text() for text in ax.get_legend().get_texts()]
    for trace, drawn in zip(figure.data, ax.collections, strict=True):
        np.testing.assert_allclose(np.column_stack([trace.x, trace.y]), drawn.get_offsets(), rtol=1e-4)
        assert trace.marker.color == to_hex(drawn.get_facecolor()[0])
    symbols = [trace.marker.symbol for trace in figure.data]
    assert len(set(symbols)) == min(count, len(plots.MARKERS))
    plt.close("all")


def test_a_menu_shows_one_view_at_a_time_and_frames_all_its_points(tracks):
    views = {"t-SNE, by genre": view(tracks), "UMAP, by language": view(tracks, "language", seed=1)}
    figure = interactive.latent_map(views, tracks)
    (menu,) = figure.layout.updatemenus
    assert [button.label for button in menu.buttons] == list(views)
    assert [trace.visible for trace in figure.data] == menu.buttons[0].args[0]["visible"] == [True] * 3 + [False] * 2
    for button, each in zip(menu.buttons, views.values(), strict=True):
        visible, frame = button.args[0]["visible"], button.args[1]
        shown = [trace for trace, on in zip(figure.data, visible, strict=True) if on]
        assert sum(len(trace.x) for trace in shown) == len(tracks)
        assert frame["legend.title.text"] == each.by
        for axis, values in zip("xy", each.points.T, strict=True):
            low, high = frame[f"{axis}axis.range"]
            assert low < values.min() < values.max() < high
    assert figure.layout.xaxis.range == tuple(menu.buttons[0].args[1]["xaxis.range"])


def test_the_hover_tells_what_the_corpus_knows_and_escapes_it(tracks):
    told = texts(interactive.latent_map({"map": view(tracks)}, tracks))
    assert "<b>blues.1</b><br>artist: NA<br>genre: blues<br>language: en" in told
    assert any("artist: Sigur Rós" in text for text in told)
    assert any("artist: unknown" in text for text in told)
    assert all(set(re.findall("<[^>]*>", text)) == {"<b>", "</b>", "<br>"} for text in told)
    lines = [re.sub("<[^>]*>", "", line) for text in told for line in text.split("<br>")]
    assert max(len(html.unescape(line)) for line in lines) <= interactive.LINE
    assert html.unescape("".join(re.sub("<[^>]*>", "", told[0]).split()))[: len("".join(EVIL.split()))] == "".join(
        EVIL.split()
    )


def test_a_corpus_that_knows_nothing_of_its_tracks_shows_their_ids(tracks):
    points = view(tracks)._replace(clusters=None)
    figure = interactive.latent_map({"map": points}, tracks[[]])
    assert sorted(texts(figure)) == sorted(f"<b>{track_id}</b>" for track_id in tracks.index)


def test_a_map_is_equal_each_time_and_no_title_ends_its_script(tracks):
    first, second = (
        interactive.show(interactive.latent_map({"map": view(tracks)}, tracks), name="map", label='A "map"').data
        for _ in range(2)
    )
    assert first == second
    assert 'id="map" aria-label="A &quot;map&quot;"' in first
    assert first.lower().count("</script") == first.lower().count("<script") == 1
    content = json.loads(re.search(r"<script[^>]*>(.*)</script>", first)[1])
    assert sum(len(trace["x"]) for trace in content["data"]) == len(tracks)
    assert len({*content["told"]}) == len(content["told"]) > 1, "what a track is called stands there once"


def test_jupyterlab_gets_the_figure_itself(tracks):
    output = interactive.show(interactive.latent_map({"map": view(tracks)}, tracks), name="map", label="map")
    bundle = output._repr_mimebundle_()
    assert set(bundle) == {"text/html", pages.PLOTLY}
    json.dumps(bundle)


def test_what_is_no_map_is_refused(tracks):
    good = view(tracks)
    for views, message in [
        ({}, "at least one view"),
        ({"map": good._replace(points=good.points[:3])}, "the points of 'map'"),
        ({"map": good._replace(points=np.zeros((12, 3)))}, "the points of 'map' must have 2 columns, got 3"),
        ({"map": good._replace(groups=["a"])}, "the groups of 'map' must have 12 labels"),
        ({"map": good._replace(groups=[None] * 12)}, "the groups of 'map' must have a label for every track"),
    ]:
        with pytest.raises(ParameterError, match=message):
            interactive.latent_map(views, tracks)


# Sliders and players.


@pytest.fixture
def noise():
    """Two measures at each of three sizes, with and without something, and what stays beside them."""
    index = pd.MultiIndex.from_product([[10, 20, 40], ["no", "yes"]], names=["size <n>", "shuffled"])
    lines = [[[at / 10, at / 10 + 0.1], [-0.001, 0.0]] for at in range(6)]
    values = pd.DataFrame(lines, index, ["NMI", "Silhouette"])
    return values, pd.DataFrame({"NMI": {'"VAE"': 0.25}, "Silhouette": {'"VAE"': 0.1}})


def test_sliders_begin_where_they_are_told_and_refuse_what_has_gaps(noise):
    values, marks = noise
    words = {"name": "fool", "label": "noise", "caption": 'A "small" <image>'}
    page = interactive.sliders(values, marks, start=(20, "yes"), **words).data
    assert re.findall("<output>(.*?)</output>", page) == ["0.35", "0.00"], "no sign of zero"
    assert 'aria-valuetext="20"' in page
    assert "size &lt;n&gt; <input" in page
    assert "&lt;image&gt;" in page
    assert page.count('title="&quot;VAE&quot;: 0.') == 2
    assert page == interactive.sliders(values, marks, start=(20, "yes"), **words).data
    with pytest.raises(ParameterError, match="each of 6 combinations once, got 5 lines"):
        interactive.sliders(values[1:], marks, start=(20, "yes"), **words)
    with pytest.raises(ParameterError, match="marks must be of NMI, Silhouette, got NMI"):
        interactive.sliders(values, marks[["NMI"]], start=(20, "yes"), **words)


def test_every_player_says_what_one_hears():
    y = np.sin(np.arange(22_050) / 10)
    page = interactive.players({"A <tone>": y, "again": y}, sample_rate=22_050, label="Two tones", across=3).data
    assert page.count("<audio controls") == page.count("<figcaption>") == 2
    assert 'role="group" aria-label="Two tones"' in page
    assert "A &lt;tone&gt;" in page
    with pytest.raises(ParameterError, match="at least one signal"):
        interactive.players({}, sample_rate=22_050, label="none")


# On the way to the pages.


def test_sounds_become_files_of_the_book_and_plotly_is_there_once(tmp_path, tracks):
    page = interactive.players({"tone": np.sin(np.arange(22_050) / 10)}, sample_rate=22_050, label="tone").data
    shown = interactive.show(interactive.latent_map({"map": view(tracks)}, tracks), name="map", label="map")
    cell = new_code_cell("show", outputs=[new_output("display_data", data={"text/html": page})])
    cell.outputs.append(new_output("display_data", data=shown._repr_mimebundle_()))
    (tmp_path / "executed").mkdir()
    nbformat.write(new_notebook(cells=[cell]), tmp_path / "executed/page.ipynb")
    pages.stage(tmp_path, tmp_path / "stage", notebooks=["page"])
    copy = nbformat.read(tmp_path / "stage/book/page.ipynb", as_version=4)
    staged, drawn = (output["data"] for cell in copy.cells for output in cell.get("outputs", []))
    assert "base64" not in staged["text/html"]
    (media,) = re.findall(r"\.\./_static/(media/[0-9a-f]{16}\.mp3)", staged["text/html"])
    sound = (tmp_path / "stage/book/_html" / media).read_bytes()
    assert sound == b64decode(re.search('base64,([^"]*)', page)[1])
    assert list(drawn) == ["text/html"], "Sphinx does not know the other form"
    assert (tmp_path / "stage/book/_html/plotly.min.js").stat().st_size > 1e6


def test_no_page_is_heavy(smoke_book):
    for page in (smoke_book / "html/book").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        sounds = sum(
            (page.parent / name).stat().st_size for name in set(re.findall(r'src="(\.\./_static/media/[^"]*)"', text))
        )
        images = sum(
            (page.parent / name).stat().st_size for name in set(re.findall(r'src="(\.\./_images/[^"]*)"', text))
        )
        assert len(text.encode()) + images < 3e6, page.name
        assert sounds < 1e6, page.name


# In a browser, from disk, without a network.


@pytest.fixture
def open_page(browser):
    """Open a file in a tab of its own without network; at the end nothing may have gone wrong in any of them."""
    wrong, contexts = [], []

    def opened(path, **options):
        contexts.append(browser.new_context(**options))
        contexts[-1].set_offline(True)
        contexts[-1].set_default_timeout(120_000)
        tab = contexts[-1].new_page()
        tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        if options.get("java_script_enabled", True):  # else every script is a request that fails
            tab.on("requestfailed", lambda request: wrong.append(f"failed: {request.url[:200]}"))
        tab.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
        tab.goto(path.as_uri())
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def small_page(tmp_path, tracks):
    """A page with a map, whose first title is hostile, and the script of the book."""
    pages.stage(tmp_path, tmp_path, notebooks=[])
    shutil.copy(ROOT / "book/_html/live.js", tmp_path / "book/_html")
    views = {
        f"<{model}>, by {by}": view(tracks, by, seed=seed)
        for seed, model in enumerate(("AE", "VAE"))
        for by in ("genre", "language")
    }
    shown = interactive.show(interactive.latent_map(views, tracks), name="map", label="map").data
    page = tmp_path / "page.html"
    page.write_text(
        '<!doctype html><meta charset="utf-8"><title>small</title>'
        f'<script defer src="book/_html/live.js"></script>{shown}',
        encoding="utf-8",
    )
    return page


def drawn(tab, box="#map"):
    found = tab.locator(box)
    found.scroll_into_view_if_needed()
    found.locator(".scatterlayer .point").first.wait_for()
    found.locator("fieldset input").first.wait_for()
    return found


def test_a_title_is_shown_as_text_and_runs_nothing(small_page, open_page, tracks):
    tab = open_page(small_page)
    figure = drawn(tab)
    figure.locator(".scatterlayer .trace").first.locator(".point").first.hover(force=True)
    tab.locator(".hoverlayer text").first.wait_for()
    told = tab.locator(".hoverlayer").text_content()
    assert "".join(EVIL.split()) in "".join(told.split())
    assert tab.title() == "small"
    assert tab.locator(".hoverlayer a").count() == 0
    assert "cluster: 0" in told
    assert figure.locator("option").all_text_contents() == ["<AE>", "<VAE>", "by genre", "by language"]
    assert tab.locator(".modebar:visible").count() == 0


def test_groups_and_views_are_chosen_by_pointer_and_keyboard_in_the_colours_of_the_page(small_page, open_page):
    tab = open_page(small_page)
    figure = drawn(tab)
    points, button = figure.locator(".scatterlayer .point"), figure.get_by_role("button", name="all or none")
    assert points.count() == 12
    assert figure.locator("fieldset").inner_text().split("\n")[0] == "genre"
    figure.get_by_label("blues (4)").click()
    assert points.count() == 8
    figure.get_by_label("jazz (4)").press("Space")
    assert points.count() == 4
    button.click()
    assert points.count() == 12
    where = points.first.get_attribute("transform")
    figure.locator("select").first.select_option("<VAE>")
    tab.wait_for_function("([old]) => document.querySelector('.point').getAttribute('transform') != old", arg=[where])
    assert figure.locator("fieldset").inner_text().split("\n")[0] == "genre"
    button.click()
    assert points.count() == 0
    figure.locator("select").last.select_option("by language")
    figure.get_by_label("bn (6)").wait_for()
    assert figure.locator("fieldset label").all_inner_texts() == ["bn (6)", "en (6)"]
    assert points.count() == 12
    tab.evaluate("document.body.style.color = 'rgb(250, 250, 250)'; document.documentElement.dataset.theme = 'dark'")
    tab.wait_for_function("document.querySelector('.live-plot').layout.font.color == 'rgb(250, 250, 250)'")


PAGES = {"easy": 1, "medium": 1, "hard": 2}  # and how many maps each has


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_the_maps_of_the_book_draw_the_points_of_their_figures(name, width, smoke_book, open_page):
    tab = open_page(smoke_book / f"html/book/{name}.html", viewport={"width": width, "height": 800})
    assert "Plotly" not in tab.evaluate("Object.keys(window)"), "plotly is loaded before a reader comes to a map"
    maps = tab.locator(".live-map")
    assert maps.count() == PAGES[name]
    for each in maps.all():
        drawn(tab, f"#{each.get_attribute('id')}")
        layout = json.loads(each.locator("script").text_content())["layout"]
        menus, views = each.locator("select").all(), layout["updatemenus"][0]["buttons"]
        assert prod(menu.locator("option").count() for menu in menus) == len(views) >= 3
        counted = {each.locator(".scatterlayer .point").count()}
        for menu in menus:
            for at in range(menu.locator("option").count()):
                menu.select_option(index=at)
                each.locator("fieldset input").first.wait_for()
                counted.add(each.locator(".scatterlayer .point").count())
        assert len(counted) == 1, "every view shows the same tracks"
        assert counted.pop() >= 60
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_sliders_move_their_dots_by_the_keyboard(noise, tmp_path, open_page):
    shown = interactive.sliders(*noise, start=(10, "no"), name="fool", label="noise", caption="").data
    page = tmp_path / "page.html"
    page.write_text(f'<!doctype html><meta charset="utf-8"><title>small</title>{shown}', encoding="utf-8")
    figure = open_page(page, reduced_motion="reduce").get_by_role("group", name="noise")
    slider, dots, diamond = figure.get_by_role("slider"), figure.locator("b"), figure.locator("i").first
    before, stays = dots.first.bounding_box()["x"], diamond.bounding_box()["x"]
    slider.focus()
    for _ in range(2):
        slider.press("ArrowRight")
    assert figure.get_by_role("status").all_inner_texts() == ["0.45", "0.00"]
    assert slider.get_attribute("aria-valuetext") == "40"
    figure.get_by_label("shuffled").select_option("yes")
    assert figure.get_by_role("status").all_inner_texts() == ["0.55", "0.00"]
    figure.locator("b").first.evaluate("dot => Promise.all(dot.getAnimations().map(each => each.finished))")
    assert dots.first.bounding_box()["x"] > before
    assert diamond.bounding_box()["x"] == stays


@pytest.mark.slow
def test_every_player_of_the_book_has_a_sound_of_a_few_seconds(smoke_book, open_page):
    tab = open_page(smoke_book / "html/book/data.html")
    tab.wait_for_function("[...document.querySelectorAll('audio')].every(player => player.readyState > 0)")
    durations = tab.locator("audio").evaluate_all("players => players.map(player => player.duration)")
    assert durations
    assert all(1 < seconds < 7 for seconds in durations)
    assert all(label for label in tab.locator("audio").evaluate_all("all => all.map(each => each.ariaLabel)"))


@pytest.mark.parametrize("name", ["easy", "hard"])
def test_without_scripts_the_static_figures_stand_alone(name, smoke_book, open_page):
    tab = open_page(smoke_book / f"html/book/{name}.html", java_script_enabled=False)
    assert tab.locator(".live").count() >= PAGES[name]
    assert not any(each.is_visible() for each in tab.locator(".live").all())
    assert tab.locator(f"#fig-{name}-maps img").is_visible()


def test_paper_gets_the_static_figures_only(smoke_book, open_page):
    tab = open_page(smoke_book / "html/book/hard.html")
    tab.emulate_media(media="print")
    assert not any(each.is_visible() for each in tab.locator(".live, .live-players").all())
    assert tab.locator("#fig-hard-maps img").is_visible()
