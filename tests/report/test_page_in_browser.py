import threading

import pytest
from report.runs import record, write_lines, write_run, write_spec

from ganforge.report.page import write_report
from ganforge.report.server import report_server

HTML_NAME = "<img src=x onerror=document.title='broken'>"
ALARM = {"nimg": 2000, "kimg": 2.0, "alarm": "collapse", "message": "<b>Samples</b> are alike."}


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    """A page of a run with classes named like HTML, an alarm, three pictures and metrics."""
    folder = tmp_path_factory.mktemp("page") / "run"
    lines = [record(k / 10, **{"equilibrium/<i>gap</i>": float(k)}) for k in range(1, 41)]
    metrics = [{"value": 10.0, "nimg": 2000}, {"value": 8.0}]
    write_run(folder, lines=[*lines, ALARM], metrics=metrics, num_pictures=3)
    write_spec(folder, class_names=[HTML_NAME, "b", "</script>"])
    write_report([folder], folder / "report.html")
    browser.call("Emulation.setEmulatedMedia", features=[LIGHT])
    browser.call("Network.enable")
    browser.requests.clear()
    browser.open((folder / "report.html").as_uri())
    return browser


LIGHT = {"name": "prefers-color-scheme", "value": "light"}
DARK = {"name": "prefers-color-scheme", "value": "dark"}
SET_TIME = (
    "(() => {{ const slider = document.getElementById('time'); slider.value = {};"
    " slider.dispatchEvent(new Event('input')); }})()"
)
STARTS = "Bokeh.documents.map((d) => d.roots()[0].x_range.start)"


def text_of(name):
    return f"document.getElementById('{name}').textContent"


def click(name):
    return f"document.getElementById('{name}').click()"


def box(page, selector):
    """Left, top, width and height of an element, scrolled into view."""
    script = f"""(() => {{
        const node = document.querySelector({selector!r});
        node.scrollIntoView({{block: "center"}});
        const {{left, top, width, height}} = node.getBoundingClientRect();
        return [left, top, width, height];
    }})()"""
    return page.run(script)


def drag(page, start, end, y):
    page.mouse("mouseMoved", start, y)
    page.mouse("mousePressed", start, y, button="left", clickCount=1)
    for part in (0.3, 0.6, 1.0):
        page.mouse("mouseMoved", start + part * (end - start), y, button="left", buttons=1)
    page.mouse("mouseReleased", end, y, button="left", clickCount=1)


def test_page_loads_without_errors_and_without_network(page):
    assert page.errors == []
    assert {url.split(":")[0] for url in page.requests} == {"file", "data"}
    assert page.run("document.querySelectorAll('.chart').length") == 5


def test_page_shows_html_in_names_as_text(page):
    assert page.run("document.title") == "tiny"
    assert page.run("document.querySelectorAll('.columns span, .notes b').length") == 3
    assert page.run("document.querySelector('.columns span').textContent") == HTML_NAME
    assert "<b>Samples</b> are alike." in page.run("document.querySelector('.alarm').textContent")
    legend = "[...document.querySelectorAll('.legend span')].map((span) => span.textContent)"
    assert "<i>gap</i>" in page.run(legend)


def test_slider_shows_the_picture_of_that_time(page):
    def picture():
        return page.run("document.querySelector('img.sample').src")

    last = picture()
    page.run(SET_TIME.format(0))
    assert picture() != last
    assert page.run("document.querySelector('.caption').textContent") == "1 kimg"
    assert page.run(text_of("when")) == "1 kimg"
    page.run("document.getElementById('strip').lastChild.click()")
    assert picture() == last


def test_hover_shows_the_values_of_every_chart_at_that_time(page):
    left, top, width, height = box(page, ".chart .plot")
    page.mouse("mouseMoved", left + 0.6 * width, top + 0.4 * height)
    page.wait(text_of("where") + ".startsWith('at 2.')")
    values = page.run("[...document.querySelectorAll('.legend b')].map((b) => b.textContent)")
    assert values[0] == "0.5"
    assert "100" in values
    assert all(values)
    page.mouse("mouseMoved", 1, 1)
    page.wait(text_of("where") + " === ''")


def test_drag_zooms_all_charts_and_the_button_shows_all(page):
    left, top, width, height = box(page, ".chart .plot")
    drag(page, left + 0.5 * width, left + 0.8 * width, top + 0.4 * height)
    starts = page.wait(f"{STARTS}[0] > 1 && {STARTS}")
    assert len(set(starts)) == 1
    assert not page.run("document.getElementById('reset').hidden")
    page.run(click("reset"))
    assert set(page.run(STARTS)) == {0}


def test_legend_hides_a_line(page):
    off = "document.querySelector('.legend button').classList.contains('off')"
    page.run("document.querySelector('.legend button').click()")
    assert page.run(off)
    page.run("document.querySelector('.legend button').click()")
    assert not page.run(off)


def test_smoothing_changes_what_is_shown(page):
    assert not page.run("document.getElementById('smooth').checked")
    left, top, width, height = box(page, ".chart .plot")
    page.run(click("smooth"))
    page.mouse("mouseMoved", left + 0.3 * width, top + 0.4 * height)
    value = page.wait("document.querySelectorAll('.legend b')[1].textContent")
    page.run(click("smooth"))
    page.mouse("mouseMoved", left + 0.3 * width + 1, top + 0.4 * height)
    assert page.wait("document.querySelectorAll('.legend b')[1].textContent") != value


def test_theme_follows_the_system_until_one_is_chosen(page):
    theme = "document.documentElement.dataset.theme"
    background = "getComputedStyle(document.body).backgroundColor"
    label = "Bokeh.documents[0].roots()[0].below[0].major_label_text_color"
    light = page.run(background), page.run(label)
    page.call("Emulation.setEmulatedMedia", features=[DARK])
    page.wait(f"{theme} === 'dark'")
    assert page.run(background) != light[0]
    assert page.run(label) != light[1]
    page.run(click("theme"))
    assert (page.run(background), page.run(label)) == light
    page.run("localStorage.clear()")
    page.call("Emulation.setEmulatedMedia", features=[LIGHT])


def test_print_is_light_and_leaves_the_page_as_it_was(page, tmp_path):
    page.run(click("theme"))
    page.run(
        "addEventListener('beforeprint', () => { window.seen = [document.documentElement.dataset"
        ".theme, document.querySelectorAll('canvas.printed').length]; })"
    )
    page.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 10_000
    assert page.run("window.seen") == ["light", 5]
    assert page.run("document.documentElement.dataset.theme") == "dark"
    assert page.run("document.querySelectorAll('canvas.printed').length") == 0
    page.run(click("theme"))


def test_page_is_no_wider_than_a_phone(page):
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.call("Emulation.setDeviceMetricsOverride", **size)
    page.wait("document.documentElement.scrollWidth <= 390")  # charts follow a moment later
    page.call("Emulation.clearDeviceMetricsOverride")


def test_served_page_reloads_when_the_run_goes_on(browser, tmp_path):
    folder = write_run(tmp_path / "run", num_pictures=1, total_kimg=9.0)
    with report_server([folder], 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        browser.open(server.url)
        assert "4 of 9 kimg" in browser.run("document.body.textContent")
        write_lines(folder / "log.jsonl", [record(k) for k in (4.0, 6.0)])
        browser.wait("document.body?.textContent.includes('6 of 9 kimg')")
        server.shutdown()


def test_comparison_of_runs_has_a_picture_each_and_no_errors(browser, tmp_path):
    first = write_run(tmp_path / "a", name="a", num_pictures=2, metrics=[{}, {"value": 9.0}])
    second = write_run(tmp_path / "b", name="b", num_pictures=3, metrics=[{"n_gen": 7}])
    write_report([first, second], tmp_path / "both.html")
    browser.errors.clear()
    browser.open((tmp_path / "both.html").as_uri())
    assert browser.errors == []
    browser.run(SET_TIME.format("slider.max"))
    captions = "[...document.querySelectorAll('figcaption')].map((c) => c.textContent)"
    assert browser.run(captions) == ["a, 2 kimg", "b, 3 kimg"]
    assert "not comparable: n_gen" in browser.run("document.body.textContent")
