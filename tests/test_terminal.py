"""What a person sees at a terminal, and what nobody sees elsewhere."""

import io
import json
import re
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from threading import Thread

import click
import numpy as np
import pytest
from click.shell_completion import ShellComplete
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numba.core import event
from program import GRID, NETWORK, QUADRATIC

import simulator as sim
from simulator.commands import terminal, warmup
from simulator.commands.picture import LEAST, picture
from simulator.limits import StabilityLimit
from simulator.training import Snapshot

pytestmark = pytest.mark.usefixtures("folder", "undrawn")

RUN = f"run {NETWORK} --t-wrm 4"
ESCAPE = "\x1b"


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.delenv("NO_COLOR", raising=False)


# --- greeting, completion -----------------------------------------------------------------------


def test_the_program_alone_greets_with_three_lines_that_can_be_typed(run):
    greeting = run("")
    assert (greeting.code, greeting.err) == (0, "")
    assert re.findall(r"^  (warmup .*)", greeting.out, re.M) == [
        line for line, _ in warmup.examples
    ]
    assert len(warmup.examples) == 3
    assert "warmup --help" in greeting.out
    assert max(map(len, greeting.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "typed", "offered"),
    [
        ("", "sw", {"sweep"}),
        ("run", "--eta-t", {"--eta-trgt"}),
        ("run --model", "", {"mlp", "uv", "quadratic"}),
        ("sweep --optimizer", "a", {"adam", "adamw"}),
        ("run --param", "", {"sp", "ntp", "mup"}),
        ("critical --method", "t", {"two-way"}),
        ("theory --law", "period-d", {"period-doubling"}),
        ("study run", "edge", {"edge-of-stability", "edge-of-stability-flow"}),
        ("run --data", "d", {"digits", "a file"}),
        ("info", "", {"a file"}),
        ("run --config nowhere.toml", "--qu", {"--quiet"}),
    ],
)
def test_a_shell_is_offered_commands_options_and_values(words, typed, offered):
    shell = ShellComplete(warmup, {}, "warmup", "_WARMUP_COMPLETE")
    items = shell.get_completions(words.split(), typed)
    assert {"a file" if item.type == "file" else item.value for item in items} == offered


def test_a_shell_can_ask_for_its_completion(run, monkeypatch):
    monkeypatch.setenv("_WARMUP_COMPLETE", "zsh_source")
    assert "compdef _warmup_completion warmup" in run("").out


# --- quiet and colours --------------------------------------------------------------------------


def test_quiet_leaves_the_results(run, monkeypatch):
    monkeypatch.setattr(terminal, "_LINE_EVERY_SECONDS", 0.0)
    line = f"sweep {QUADRATIC} {GRID} --overwrite -o store.zarr"
    told, quiet = run(line), run(f"{line} --quiet")
    assert "4 of 4 runs done" in told.err
    assert (quiet.code, quiet.err) == (0, "")
    assert quiet.out.splitlines()[1:] == told.out.splitlines()[1:]


def test_quiet_can_be_a_config_and_says_nothing_of_the_compiler(run, capsys):
    with click.Context(warmup.commands["run"]) as ctx:
        terminal.set_quiet(ctx, None, True)
        terminal.announce_compilation()
        _compile()
        terminal.note("chatter")
        terminal.report("needed")
    assert capsys.readouterr().err == "needed\n"
    Path("quiet.toml").write_text("quiet = true\nlive = true")
    assert run(f"{RUN} --config quiet.toml").err == ""


def _compile(*nested):
    """What Numba sends when it compiles a kernel, and kernels that it calls."""
    with event.trigger_event("numba:compile"):
        for inner in nested:
            _compile(*inner)


def test_a_line_says_which_kernel_is_compiled_and_is_erased(monkeypatch):
    """Kernels that kernels call are not counted; other lines do not run into it."""
    erase = f"\r{ESCAPE}[2K"
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", screen := Terminal())
        with click.Context(warmup):
            terminal.announce_compilation()
            _compile()
            with event.trigger_event("numba:compile"):
                _compile([], [[]])
                terminal.report("note")
            _compile()
        _compile()
    line = "compiling kernel {}, once on this machine"
    assert screen.getvalue() == (
        f"{line.format(1)}{erase}{line.format(2)}{erase}note\n{line.format(3)}{erase}"
    )


def test_a_bar_says_which_kernel_is_compiled(monkeypatch):
    """In threads, one after another; the bar is all that draws."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", screen := Terminal())
        with click.Context(warmup):
            terminal.announce_compilation()
            with terminal.progress(2) as on_progress:
                for _ in range(3):
                    thread = Thread(target=_compile)
                    with event.trigger_event("numba:compile"):
                        thread.start()
                        thread.join()
                on_progress(1)
                time.sleep(0.6)
                with event.trigger_event("numba:compile"):
                    time.sleep(0.6)
    drawn = screen.getvalue()
    assert "compiling kernel 4, once on this machine" in drawn
    assert not re.search(r"(^|\n|2K)compiling", drawn)
    assert all(len(line) <= 80 for line in re.split(r"\r|\n", click.unstyle(drawn)))


def test_without_a_terminal_compiling_is_said_once_and_then_now_and_then(monkeypatch, capsys):
    with click.Context(warmup):
        terminal.announce_compilation()
        for _ in range(3):
            _compile([])
        monkeypatch.setattr(terminal, "_LINE_EVERY_SECONDS", -1.0)
        _compile()
    first = "Compiling kernels: once on this machine, later commands load them.\n"
    assert capsys.readouterr().err == f"{first}Compiling kernel 4.\n"


def test_bars_are_for_terminals_and_not_for_the_quiet(run, monkeypatch):
    line = f"sweep {QUADRATIC} {GRID} --overwrite -o store.zarr"

    def seen(line):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", screen := Terminal())
            assert run(line).code == 0
        return screen.getvalue()

    assert "  0 %" in seen(line)
    assert "4/4 runs" in seen(line)
    assert seen(f"{line} --quiet") == ""
    assert run(line).err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run(line).err == ""
    monkeypatch.setenv("TERM", "dumb")
    assert seen(line) == ""


def test_a_bar_leaves_the_cursor_stdout_and_lines_beside_it_alone(monkeypatch):
    """Whatever else is written meanwhile; a process that is killed cannot give the cursor back."""
    with monkeypatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.setattr(sys, "stderr", screen := Terminal())
        with click.Context(warmup), terminal.progress(2, "laws") as on_progress:
            print("a result")
            thread = Thread(target=on_progress, args=(1,))
            thread.start()
            thread.join()
            terminal.report("compiling")
            drawn = screen.getvalue()
    assert out.getvalue() == "a result\n"
    assert drawn.rindex(f"{ESCAPE}[?25h") > drawn.rindex(f"{ESCAPE}[?25l")
    assert f"\r{ESCAPE}[2Kcompiling\n" in drawn
    assert "1/2 laws" in screen.getvalue()
    assert screen.getvalue().endswith(f"{ESCAPE}[1A{ESCAPE}[2K")


def test_errors_are_told_to_the_quiet_too(run):
    assert "--width 0" in run("run --quiet --width 0").err


@pytest.mark.parametrize(
    "name",
    [
        "run",
        pytest.param("theory --law warmup-decay", marks=pytest.mark.slow),
        pytest.param("study run uv-catapult --quick --seeds 1", marks=pytest.mark.slow),
    ],
)
def test_a_verdict_is_coloured_on_a_terminal_and_nowhere_else(monkeypatch, run, name):
    word = "holds" if name != "run" else "diverged"
    line = name if name != "run" else "run --model quadratic --t-wrm 1 --steps 2000 --eta-trgt 8"

    def shown(more=""):
        with redirect_stdout(Terminal()) as out:
            run(f"{line} {more}")
        return out.getvalue()

    assert re.search(rf"{ESCAPE}\[\d+m{word}{ESCAPE}\[0m", shown())
    assert ESCAPE not in shown("--no-color")
    assert ESCAPE not in run(line).out
    monkeypatch.setenv("NO_COLOR", "1")
    plain = shown()
    assert ESCAPE not in plain
    assert word in plain


# --- live ---------------------------------------------------------------------------------------


def test_a_run_is_watched_without_being_changed(digits):
    model, seen = sim.MLP(width=4, depth=2), []
    for schedule in (sim.Warmup(eta_trgt=0.5, t_wrm=4), sim.PersistentCatapult(4.0)):
        seen.clear()
        options = {"schedule": schedule, "optimizer": sim.Adam(), "steps": 6}
        watched = sim.simulate(
            model, digits, **options,
            callback=lambda s: seen.append((s, s.loss[s.step], s.eta[s.step])),
        )  # fmt: skip
        alone = sim.simulate(model, digits, **options)
        np.testing.assert_array_equal(watched.theta, alone.theta)
        assert [snapshot.step for snapshot, _, _ in seen] == list(range(6))
        np.testing.assert_array_equal([loss for _, loss, _ in seen], alone.loss)
        np.testing.assert_array_equal([eta for _, _, eta in seen], alone.eta)
        last = seen[-1][0]
        np.testing.assert_array_equal(last.sharpness, alone.preconditioned_sharpness)
        np.testing.assert_array_equal(last.threshold, alone.threshold)


def live(run, monkeypatch, more=""):
    screen = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", screen)
        patch.setattr("simulator.commands.live._SECONDS_BETWEEN", 0.0)
        result = run(f"{RUN} --live {more}")
    return result, screen.getvalue()


def test_live_draws_on_a_screen_of_its_own_and_leaves_the_last_picture(run, monkeypatch):
    result, screen = live(run, monkeypatch)
    assert result.code == 0
    assert result.out.startswith("mlp, gd, seed 0")
    before, rest = screen.split(f"{ESCAPE}[?1049h")
    drawn, after = rest.split(f"{ESCAPE}[?1049l")
    assert before == ""
    assert drawn.count("updates") == 16  # one each
    assert f"{ESCAPE}[?25h" in drawn + after  # the cursor is back
    text = click.unstyle(after.replace(f"{ESCAPE}[?25h", ""))
    assert "step 16 of 16" in text
    assert "sharpness ⠒ and its threshold ╌" in text
    assert f"{ESCAPE}[34m" in after  # in colour


def test_live_without_colour_or_a_document_is_as_clean(run, monkeypatch):
    result, screen = live(run, monkeypatch, "--no-color --json")
    assert json.loads(result.out)["command"] == "run"
    assert not re.search(rf"{ESCAPE}\[[\d;]+m", screen)
    after = screen.split(f"{ESCAPE}[?1049l")[1].replace(f"{ESCAPE}[?25h", "")
    assert ESCAPE not in after
    assert "updates" in after


def test_a_terminal_is_given_back_when_a_run_is_interrupted(run, monkeypatch):
    def give_up(*args):
        raise KeyboardInterrupt

    shown = []
    module = sys.modules["simulator.commands.picture"]
    monkeypatch.setattr(
        module, "picture", lambda *a: shown.append(a) or (give_up() if len(shown) > 3 else "drawn")
    )
    result, screen = live(run, monkeypatch)
    assert (result.code, result.out) == (130, "")
    assert screen.count(f"{ESCAPE}[?1049h") == screen.count(f"{ESCAPE}[?1049l") == 1
    assert screen.rindex(f"{ESCAPE}[?25h") > screen.rindex(f"{ESCAPE}[?25l")
    assert screen.endswith("warmup: Interrupted.\n")


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("this is no terminal", {"isatty": lambda self: False}),
        ("encoding, ascii, lacks", {"encoding": "ascii"}),
        ("cannot be drawn on", {}),
    ],
)
def test_where_nothing_can_be_drawn_the_run_is_done_and_it_is_said(run, monkeypatch, why, change):
    if not change:
        monkeypatch.setenv("TERM", "dumb")
    for name, value in change.items():
        monkeypatch.setattr(Terminal, name, value)
    result, screen = live(run, monkeypatch)
    assert result.code == 0
    assert re.fullmatch(f"--live draws nothing: .*{why}.*\\.\n", screen)
    assert live(run, monkeypatch, "--quiet")[1] == ""


def test_what_trains_as_a_whole_is_drawn_when_it_has(run, monkeypatch):
    uv = "--model uv --data teacher --samples 1 --width 2 --depth 2"
    monkeypatch.setattr(sys.modules[__name__], "RUN", f"run {uv[:-10]} --steps 16 --t-wrm 4")
    result, screen = live(run, monkeypatch)
    assert result.code == 0, screen
    assert f"{ESCAPE}[?1049h" not in screen
    assert "step 16 of 16" in screen


# --- the picture --------------------------------------------------------------------------------


def snapshot(loss, sharpness, eta, step=None):
    arrays = [np.asarray(curve, dtype=float) for curve in (loss, sharpness, eta)]
    return Snapshot(len(arrays[0]) - 1 if step is None else step, *arrays, StabilityLimit(2.0))


def panels(text):
    """The rows of characters of both panels, without their labels."""
    rows = [line.split("│")[1] for line in click.unstyle(text).splitlines() if "│" in line]
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]


def test_a_curve_that_falls_goes_down_and_to_the_right():
    loss, sharpness = panels(
        picture(snapshot(10.0 ** -np.arange(100), np.full(100, 2.0), np.full(100, 0.5)), 80, 24)
    )
    places = [min(r for r, row in enumerate(loss) if row.ljust(69)[c] != " ") for c in range(69)]
    assert places[0] == 0
    assert places[-1] == len(loss) - 1
    assert places == sorted(places)
    # Sharpness 2 below its threshold of 4: both level, the threshold above.
    above, below = (i for i, row in enumerate(sharpness) if row.strip())
    assert set(sharpness[above].strip()) == {"╌"}
    assert "╌" not in sharpness[below]


def test_a_live_run_shows_the_curvature_of_its_step():
    """Below the sharpness, in its own colour, with 2 / eta beside the optimizer's threshold."""
    curves = [np.ones(100), np.full(100, 19.0), np.full(100, 2.0)]
    measured = {"directional_sharpness": np.full(100, 0.1), "full_sharpness": np.full(100, 5.0)}
    shot = Snapshot(99, *curves, StabilityLimit(38.0), measured)
    text = picture(shot, 160, 24)
    assert "sharpness ⠒, directional sharpness ⠒ and thresholds ╌" in click.unstyle(text)
    assert "directional sharpness 0.1 (2 / eta 1)" in click.unstyle(text)
    rows = [row for row in panels(text)[1] if row.strip()]
    # Sharpness on its threshold of 19, 2 / eta at 1, the step at 0.1.
    assert len(rows) == 3
    assert set(rows[1].strip()) == {"╌"}
    assert f"{ESCAPE}[35m" in text


def test_snapshots_have_what_is_measured():
    seen = []
    run = sim.simulate(
        sim.Quadratic([1.0, 2.0]), steps=5, schedule=sim.Warmup(0.1, 0.1), callback=seen.append,
        measure=("sharpness", "directional", "full"), batch_every=2,
    )  # fmt: skip
    assert {*seen[0].measured} == {"directional_sharpness", "full_sharpness"}
    for shot in (seen[-1], Snapshot.of(run)):
        for name, curve in shot.measured.items():
            np.testing.assert_array_equal(curve, getattr(run, name))
    with pytest.raises(ValueError, match="read-only"):
        seen[0].measured["full_sharpness"][0] = 1.0


def test_the_future_is_not_drawn():
    loss, _ = panels(picture(snapshot(np.ones(100), np.ones(100), np.ones(100), step=49), 80, 24))
    assert max(len(row.rstrip()) for row in loss) == pytest.approx(69 / 2, abs=1)


@given(
    curves=arrays(float, (3, 37), elements=st.floats(allow_nan=True, allow_infinity=True)),
    step=st.integers(0, 36),
    size=st.tuples(st.integers(1, 150), st.integers(1, 60)),
)
def test_whatever_the_curves_are_the_picture_has_its_size(curves, step, size):
    text = picture(snapshot(*curves[:2], np.abs(curves[2]), step=step), *size)
    lines = click.unstyle(text).splitlines()
    assert max(map(len, lines)) <= size[0]
    assert len(lines) <= size[1]
    if size[0] < LEAST[0] or size[1] < LEAST[1]:
        assert len(lines) == 1
