"""The notebooks: what they show, what a slider recomputes, and the command that opens them."""

import ast
import http.cookiejar
import importlib.util
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from types import SimpleNamespace

import pytest
from program import ROOT

import simulator as sim
from simulator import files
from simulator.commands import lab as command
from simulator.files import scripts

FOLDER = ROOT / "docs" / "notebooks"
EXACT = "8 / (lam + sqrt(lam**2 - 16 * kappa**2 * y * delta))"

pytestmark = [
    pytest.mark.slow,
    # Raised inside marimo, about its own dependencies.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def executed(notebook, **knobs):
    """The names that its cells define, with its knobs at these values."""
    spec = importlib.util.spec_from_file_location(notebook, FOLDER / f"{notebook}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _, names = module.app.run(defs={k: SimpleNamespace(value=v) for k, v in knobs.items()})
    return names


# --- what a slider recomputes -------------------------------------------------------------------


def knobs_of_calls(source):
    """The knobs that each function called in a notebook depends on, and all knobs.

    A cell of marimo's is a function: its arguments are the names that it uses, and it returns those
    that it defines. That the arguments are complete is the linter's to see.
    """
    above, calls, knobs = {}, {}, set()
    for cell in ast.parse(source).body:
        if not isinstance(cell, ast.FunctionDef):
            continue
        over = set().union(*(above[argument.arg] for argument in cell.args.args))
        defined = {node.id for node in ast.walk(cell.body[-1]) if isinstance(node, ast.Name)}
        if "mo.ui" in ast.unparse(cell):
            knobs |= defined
        above |= {name: {name} if name in knobs else over for name in defined}
        for node in ast.walk(cell):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rpartition(".")[2]
                calls[name] = calls.get(name, set()) | over
    return calls, knobs


RUN = {"eta_trgt", "t_wrm", "param", "optimizer"}
RECOMPUTED = {
    "why_warm_up": {
        "load_data": set(), "map": set(), "MLP": {"param", "optimizer"},
        "eta_critical": {"param", "optimizer"}, "sweep": {"param", "optimizer"},
        "phase_diagram": {"param", "optimizer"}, "simulate": RUN, "explain": RUN, "picture": RUN,
        "central_flow": RUN,
    },
    "check_your_own_threshold": {
        "init": {"count", "target"}, "one_example": {"count", "target"},
        "evaluate": {"formula", "count", "target"}, "simulate": {"formula", "count", "target"},
    },
}  # fmt: skip


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_slider_recomputes_what_depends_on_it_and_nothing_else(path):
    calls, knobs = knobs_of_calls(path.read_text())
    expected = RECOMPUTED[path.stem]
    assert {name: calls[name] for name in expected} == expected
    assert knobs == set().union(*expected.values())


# --- what they show -----------------------------------------------------------------------------


def why_warm_up(eta_trgt, t_wrm, optimizer=None, param="sp"):
    knobs = {"eta_trgt": eta_trgt, "t_wrm": t_wrm, "param": param}
    return executed("why_warm_up", optimizer=optimizer or sim.GD(), **knobs)


def test_without_warmup_it_dies_and_with_warmup_it_trains_flatter():
    cold, warm = why_warm_up(32.0, 1), why_warm_up(32.0, 64)
    assert not cold["run"].trainable
    assert "flow" not in cold
    assert warm["run"].trainable
    assert warm["run"].sharpness_init > 10 * warm["run"].sharpness_final
    assert warm["flow"].experiment.schedule == warm["run"].experiment.schedule
    assert warm["largest"][0] < 32.0 <= warm["largest"].max()


def test_a_setting_that_returns_is_not_computed_again():
    names = why_warm_up(1.0, 1)
    run = names["run"].experiment
    rest = {"optimizer": run.optimizer, "schedule": run.schedule, "steps": run.steps}
    model, data = sim.MLP(width=16, depth=3), sim.load_data("digits", samples=64)
    assert names["simulate"](model, data, **rest) is names["run"]
    assert names["central_flow"](model, data, **rest) is names["flow"]


@pytest.mark.parametrize("optimizer", [sim.Momentum(), sim.Adam()])
def test_where_no_flow_is_known_the_rest_is_shown(optimizer):
    names = why_warm_up(4.0, 16, optimizer, "mup")
    assert names["run"].experiment.optimizer == optimizer
    assert {"flow", "grid"} & set(names) == {"grid"}


@pytest.mark.parametrize("y", [0.0, 1.0, 4.0])
def test_the_exact_threshold_is_right_for_every_network(y):
    assert executed("check_your_own_threshold", formula=EXACT, target=y, count=60)["right"].all()


def test_a_threshold_that_is_known_to_hold_at_target_zero_only_is_refuted_beside_it():
    assert executed("check_your_own_threshold", formula="4 / lam", target=0.0, count=60)[
        "right"
    ].all()
    names = executed("check_your_own_threshold", formula="4 / lam", target=4.0, count=60)
    assert names["right"].mean() < 0.5


def test_the_textbook_threshold_is_too_small():
    names = executed("check_your_own_threshold", formula="2 / lam", target=0.0, count=20)
    assert names["below"].all()
    assert names["above"].all()


@pytest.mark.parametrize("formula", ["4 / nonsense", "__import__('os')", "", "lam +", "-1", "1/0"])
def test_what_is_no_formula_stops_there(formula):
    names = executed("check_your_own_threshold", formula=formula, target=1.0, count=20)
    assert not names["right"].any() if "right" in names else names["claimed"] is None


# --- the command that opens them ----------------------------------------------------------------


def test_lab_serves_an_app_to_those_with_its_address_and_ends_at_ctrl_c(folder):
    program = subprocess.Popen(
        [sys.executable, ROOT / "cli.py", "lab", "--no-browser"], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        address = next(
            found[0] for line in program.stdout if (found := re.search(r"http\S+", line))
        )
        assert "<title>Why warm up?</title>" in page(address)
        assert "<title>Why warm up?</title>" not in page(address.partition("?")[0])
    finally:
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=60)
    assert (program.returncode, err) == (0, "")
    assert not list(folder.iterdir())


def page(address):
    """As a browser reads it, which keeps cookies; the server may still be starting."""
    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    for _ in range(300):
        try:
            return urllib.request.build_opener(cookies).open(address).read().decode()
        except ConnectionError:
            time.sleep(0.1)
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise
            time.sleep(0.1)
    pytest.fail(f"nothing answers at {address}")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("lab nonsense", ("nonsense", "why-warm-up")),
        ("lab why-warm", ("did you mean why-warm-up",)),
        ("lab --port 70000", ("--port 70000", "65535")),
        ("lab --port -1", ("--port -1", "65535")),
    ],
)
def test_what_lab_cannot_open_is_refused(run, line, words):
    refused = run(line)
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert all(word in refused.err for word in words)


def test_a_port_in_use_is_refused(run):
    with socket.create_server(("127.0.0.1", 0)) as used:
        refused = run(f"lab --port {used.getsockname()[1]}")
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert "--port" in refused.err


def test_without_marimo_lab_says_what_to_install(run, monkeypatch):
    monkeypatch.setattr(sys.modules[command.callback.__module__], "find_spec", lambda name: None)
    refused = run("lab")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        "warmup: lab without marimo: pip install 'warmup-simulator[notebooks]'.\n"
    )


@pytest.mark.parametrize(("installed", "checkout"), [("studies",) * 2, ("notebooks", FOLDER)])
def test_an_installed_package_has_the_scripts_of_the_checkout(
    installed, checkout, tmp_path, monkeypatch
):
    """The wheel puts them where an installed package looks."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    here = (ROOT / checkout).relative_to(ROOT).as_posix()
    place = tmp_path / wheel["force-include"][here]
    place.parent.mkdir()
    place.symlink_to(ROOT / here)
    expected = scripts(installed, here).keys()
    monkeypatch.setattr(files, "__file__", str(tmp_path / "simulator" / "files.py"))
    found = scripts(installed, "nowhere")
    assert found.keys() == expected
    assert found
    assert all(path.parent == place for path in found.values())
