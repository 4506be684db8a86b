"""A report in a real browser without a network: opened, clicked, and driven by the keyboard."""

import json
import shutil

import numpy as np
import pytest
import zarr
from program import GRID, QUADRATIC, forge

from simulator.commands import main
from simulator.reporting.scales import DARK
from simulator.reporting.scripts import code

pytest.importorskip("bokeh")
pytest.importorskip("selenium")
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"),
    pytest.mark.slow,
]

EVIL = "</script><script>window.struck = 1</script><img src=x onerror='window.struck = 1'>"

# The document's sources by name; the focused element, through shadow roots.
SOURCE = """
const found = Object.values(Bokeh.documents)[0].get_model_by_name(arguments[0])
return Object.fromEntries(Object.entries(found.data).map(([k, v]) => [k, Array.from(v)]))
"""
FOCUSED = """
let element = document.activeElement
while (element.shadowRoot && element.shadowRoot.activeElement) {
  element = element.shadowRoot.activeElement
}
return element
"""
FOCUSED_LABEL = FOCUSED.replace(
    "return element",
    "return element.tagName === 'SELECT' ? element.getRootNode().textContent : ''",
)


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--no-sandbox", "--headless=new", "--disable-gpu", "--window-size=1280,1000",
                     "--host-resolver-rules=MAP * ~NOTFOUND"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of a store of eight runs: half of them diverge, but for those with most warmup."""
    folder = tmp_path_factory.mktemp("report")
    store = folder / "store.zarr"
    grid = GRID.replace("--seeds 1", "--seeds 2").replace("0.25,0.5", "0.5,4")
    for line in (f"sweep {QUADRATIC} {grid} --curves -o {store}", f"report {store}"):
        with pytest.raises(SystemExit, match="0"):
            main(line.split())
    return store.with_suffix(".html")


def open_page(browser, page):
    browser.get(page.as_uri())
    WebDriverWait(browser, 60).until(lambda b: text(b, "words"))


def text(browser, name):
    return browser.execute_script("return document.getElementById(arguments[0]).textContent", name)


def number(browser, name):
    find = "return document.querySelector(`[data-number=${arguments[0]}]`).textContent"
    return browser.execute_script(find, name)


def click_cell(browser, trgt, wrm):
    """In the middle of the cell with these places, by the axes that the browser has drawn."""
    x, y = browser.execute_script(
        """
        const roots = Object.values(Bokeh.documents)[0].roots()
        const plot = roots.find((root) => root.type === "Figure")
        const view = [...Bokeh.index].find((view) => view.model === plot)
        const cells = plot.renderers[0].data_source.data
        const at = arguments[1] * arguments[2] + arguments[0]
        const middle = (a, b) => Math.sqrt(a * b)
        const box = view.el.getBoundingClientRect()
        return [
          box.x + view.frame.x_scale.compute(middle(cells.left[at], cells.right[at])),
          box.y + view.frame.y_scale.compute(middle(cells.bottom[at], cells.top[at])),
        ]
        """,
        trgt, wrm, 2,
    )  # fmt: skip
    actions = ActionChains(browser)
    actions.w3c_actions.pointer_action.move_to_location(round(x), round(y))
    actions.w3c_actions.pointer_action.click()
    actions.perform()


def wait_for_run(browser, told):
    WebDriverWait(browser, 20).until(lambda b: text(b, "run") == told)


def test_it_opens_offline_without_an_error(browser, page):
    browser.get_log("browser")
    open_page(browser, page)
    fetched = browser.execute_script("return performance.getEntriesByType('resource').length")
    assert fetched == 0
    assert [line for line in browser.get_log("browser") if line["level"] != "INFO"] == []
    assert browser.execute_script("return document.documentElement.lang") == "en"


def test_a_click_on_a_cell_shows_its_run(browser, page):
    open_page(browser, page)
    seen = {}
    for trgt, eta in enumerate((0.5, 4)):
        for wrm, t_wrm in enumerate((1, 4)):
            click_cell(browser, trgt, wrm)
            wait_for_run(browser, f"eta_trgt {eta}, t_wrm {t_wrm}, seed 0, eta_init 0")
            curve = browser.execute_script(SOURCE, "curve")
            seen[trgt, wrm] = (text(browser, "words"), tuple(curve["loss"]))
            # In units of eta_critical, which is 2.
            np.testing.assert_allclose(curve["eta"][0], 2 * eta / t_wrm, rtol=1e-6)
            assert set(browser.execute_script(SOURCE, "measured")["sharpness"]) == {1}
            assert float(number(browser, "loss_final")) >= 0
            outline = browser.execute_script(SOURCE, "outline")
            assert outline["left"][0] < eta < outline["right"][0]
            assert outline["bottom"][0] < t_wrm < outline["top"][0]
    assert len({words for words, _ in seen.values()}) == 4
    assert len({loss for _, loss in seen.values()}) == 4


def test_every_run_can_be_chosen_by_the_keyboard(browser, page):
    open_page(browser, page)
    click_cell(browser, 0, 0)
    wait_for_run(browser, "eta_trgt 0.5, t_wrm 1, seed 0, eta_init 0")
    reached = {}
    browser.execute_script("document.activeElement.blur()")
    for _ in range(30):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        label = browser.execute_script(FOCUSED_LABEL)
        name = next((n for n in ("diagram", "eta_trgt", "t_wrm", "seed") if n in label), None)
        if name and name not in reached:
            reached[name] = True
            ActionChains(browser).send_keys(Keys.ARROW_DOWN).perform()
    assert set(reached) == {"eta_trgt", "t_wrm", "seed", "diagram"}
    wait_for_run(browser, "eta_trgt 4, t_wrm 4, seed 1, eta_init 0")


def test_the_diagram_of_a_seed_can_be_had(browser, page):
    open_page(browser, page)
    choose = "Object.values(Bokeh.documents)[0].get_model_by_name('of').value = arguments[0]"
    assert "2 stable" in browser.execute_script(SOURCE, "cells")["did"]
    browser.execute_script(choose, "one")
    WebDriverWait(browser, 20).until(lambda b: "stable" in b.execute_script(SOURCE, "cells")["did"])


@pytest.mark.parametrize("width", [390, 1280])
def test_a_screen_of_any_width_shows_all_and_takes_a_click(browser, page, width):
    size = {"width": width, "height": 844, "deviceScaleFactor": 2, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        open_page(browser, page)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script("return innerWidth") == width
        browser.execute_script("document.getElementById('diagram').scrollIntoView()")
        for trgt, eta in ((0, 0.5), (1, 4)):
            click_cell(browser, trgt, 0)
            wait_for_run(browser, f"eta_trgt {eta}, t_wrm 1, seed 0, eta_init 0")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_is_as_dark_as_the_system_and_as_the_button_says(browser, page):
    """The page and the figures in it, which are painted."""
    ground = """
        const figure = Object.values(Bokeh.documents)[0].roots().find((r) => r.type === "Figure")
        return [figure.background_fill_color, figure.border_fill_color,
                getComputedStyle(document.documentElement).getPropertyValue("--ground")]
    """
    prefer = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", prefer)
    try:
        open_page(browser, page)
        seen = [browser.execute_script(ground)]
        for _ in range(2):
            browser.execute_script("document.getElementById('theme').click()")
            seen.append(browser.execute_script(ground))
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert seen == [[DARK["#ffffff"]] * 3, ["#ffffff"] * 3, [DARK["#ffffff"]] * 3]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("1e21", "1e21"), ("123456.7", "123460"), ("-1234567", "-1.2346e6"), ("2.5e-7", "2.5e-7"),
        ("-0.125", "-0.125"), ("0", "0"), ("NaN", "–"), ("-Infinity", "–"),
        ("'2 stable'", "2 stable"),
    ],
)  # fmt: skip
def test_a_number_is_written_plainly(browser, value, shown):
    browser.get("about:blank")
    assert browser.execute_script(f"{code('plain')}return plain({value})") == shown


def test_the_pointer_shows_a_cell_in_words(browser, page):
    open_page(browser, page)
    click_cell(browser, 1, 0)
    shown = """
        const tooltip = document.querySelector(".bk-Tooltip")
        return tooltip ? tooltip.shadowRoot.textContent : ""
    """
    WebDriverWait(browser, 20).until(lambda b: "outcome" in b.execute_script(shown))
    found = browser.execute_script(shown)
    for part in ("t_wrm (updates): 1", "outcome: 2 unknown", "final loss: 1.939e13"):
        assert part in found
    assert "+" not in found[found.index("t_wrm") :]


def test_it_prints(browser, page):
    open_page(browser, page)
    assert len(browser.print_page()) > 10_000


def test_the_text_of_a_store_does_nothing(browser, page, tmp_path):
    store = shutil.copytree(page.with_suffix(".zarr"), tmp_path / "evil.zarr")
    group = zarr.open_group(store, mode="r+")
    group.attrs["command"] = EVIL
    group.attrs["data"] = json.dumps({"name": EVIL, "samples": EVIL})
    for name in ("outcome", "natural_phase"):
        group[name][...] = np.full(group[name].shape, EVIL, dtype=object)
    forge(store)
    with pytest.raises(SystemExit, match="0"):
        main(f"report {store} --no-curves".split())
    browser.get_log("browser")
    browser.get(store.with_suffix(".html").as_uri())
    WebDriverWait(browser, 60).until(lambda b: text(b, "run"))
    assert browser.execute_script("return window.struck") is None
    assert EVIL in browser.execute_script("return document.body.textContent")
    assert [line for line in browser.get_log("browser") if line["level"] != "INFO"] == []


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """The report of a store of six dimensions, and the store."""
    store = tmp_path_factory.mktemp("wide") / "wide.zarr"
    grid = "--eta-trgt 0.5,4 --t-wrm 1,4 --seeds 2 --steps 8 --samples 8 --depth 2"
    for line in (
        f"sweep {grid} --width 3,5 --optimizer gd,adam --curves -o {store}", f"report {store}",
    ):  # fmt: skip
        with pytest.raises(SystemExit, match="0"):
            main(line.split())
    return store.with_suffix(".html"), zarr.open_group(store, mode="r")


def test_menus_of_every_dimension_lead_to_their_run(browser, wide):
    page, store = wide
    open_page(browser, page)
    choose = (
        "Object.values(Bokeh.documents)[0].get_model_by_name(arguments[0]).value = arguments[1]"
    )
    for place in ((1, 0, 0, 0, 1, 1), (0, 1, 1, 0, 0, 1), (1, 1, 0, 0, 1, 0)):
        names = ("width", "optimizer", "seed", "eta_init", "eta_trgt", "t_wrm")
        for name, index in zip(names, place, strict=True):
            browser.execute_script(choose, name, str(index))
        label = f"width {(3, 5)[place[0]]}, optimizer {('gd', 'adam')[place[1]]}"
        trgt, wrm = (0.5, 4)[place[4]], (1, 4)[place[5]]
        wait_for_run(browser, f"{label}, eta_trgt {trgt}, t_wrm {wrm}, seed {place[2]}, eta_init 0")
        loss = float(store["loss_final"][place])
        assert float(number(browser, "loss_final")) == pytest.approx(loss, rel=1e-4)
        curve = browser.execute_script(SOURCE, "curve")
        step = np.array(
            curve["step"], dtype=int
        )  # those between that would not be seen are left out
        np.testing.assert_allclose(curve["loss"], store["loss"][place][step], rtol=1e-5)
        borne = (2.0, 38.0)[place[1]] / np.array(curve["eta"])
        seen = np.array([np.nan if t is None else t for t in curve["threshold"]], dtype=float)
        np.testing.assert_allclose(seen[np.isfinite(seen)], borne[np.isfinite(seen)], rtol=1e-5)
