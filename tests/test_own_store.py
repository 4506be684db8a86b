"""Stores of models and optimizers in a person's own file: gone on with, shown without it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import xarray as xr
from program import forge, strict_json

import simulator as sim

pytestmark = pytest.mark.usefixtures("folder")

FILE = """
import numpy as np, simulator as sim

SCALE = 1.0

def shape(theta):
    return {helper}

def loss(theta, x, y, decay):
    return SCALE * shape(theta) @ theta + decay * theta @ theta / 2

def gradient(theta, x, y, decay):
    return SCALE * theta + decay * theta

def hvp(theta, v, x, y, decay):
    return SCALE * v + decay * v

def init(rng, x, y, decay):
    return rng.standard_normal(3)

model = sim.Custom(
    "well", loss=loss, gradient=gradient, hvp=hvp, init=init, options={{"decay": {decay}}}
)
"""
DATA = sim.Data(np.arange(8.0)[:, None], np.ones((8, 1)))
GRID = {"eta_trgt": [0.1, 0.5], "t_wrm": [1, 2], "steps": 6, "seeds": 2, "curves": True}
STORE = Path("well.zarr")


def written(helper="theta / 2", decay=0.5, more=""):
    """The model of a file, as Python would import it."""
    space = {"__name__": "wells"}
    exec(compile(FILE.format(helper=helper, decay=decay) + more, "wells.py", "exec"), space)
    return space["model"]


def test_a_sweep_is_kept_gone_on_with_and_grown():
    first = sim.sweep(written(), DATA, **GRID, output=STORE)
    more = "\n# a comment\nother = 3"
    again = sim.sweep(written(more=more), DATA, **GRID, output=STORE, resume=True)
    xr.testing.assert_identical(first, again)
    grown = sim.sweep(
        written(), DATA, **(GRID | {"eta_trgt": [0.1, 0.3, 0.5]}), output=STORE, grow=True
    )
    there = grown.sel(eta_trgt=[0.1, 0.5])
    for name in first.data_vars:
        np.testing.assert_array_equal(there[name], first[name])
    alone = sim.simulate(written(), DATA, schedule=sim.Warmup(eta_trgt=0.3), steps=6)
    np.testing.assert_array_equal(grown.loss.sel(seed=0, eta_trgt=0.3, t_wrm=1)[0], alone.loss)
    spec = json.loads(xr.open_zarr(STORE).attrs["spec"])
    assert spec["model"]["name"] == "well"
    assert spec["model"]["decay"] == 0.5


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"helper": "theta * 0.5"}, r"model source py3\.\d+-\w{16}, not py3"),
        ({"decay": 0.25}, "model decay 0.5, not 0.25"),
        ({"more": "\nSCALE = 2.0"}, "model source"),
    ],
)
def test_another_version_of_it_is_not_gone_on_with(other, named):
    sim.sweep(written(), DATA, **GRID, output=STORE)
    with pytest.raises(sim.InputError, match=f"was made with {named}"):
        sim.sweep(written(**other), DATA, **GRID, output=STORE, resume=True)


def test_its_fingerprint_is_the_same_in_every_process():
    line = "from tests_own import *; print(fingerprint(model))"
    code = FILE.format(helper="theta / 2 if x not in {'a', 'b', 'c'} else theta", decay=1)
    code = code.replace("def shape(theta)", "def shape(theta, x='d')")
    Path("tests_own.py").write_text(f"from simulator.sweeps.fingerprint import fingerprint\n{code}")
    found = {
        subprocess.run(
            [sys.executable, "-c", line], check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{Path.cwd()}:{sys.path[0]}:"
                 f"{Path(sim.__file__).parents[1]}"},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1


def test_without_its_file_a_store_is_shown_but_not_trained(run):
    sim.sweep(written(), DATA, **GRID, output=STORE)
    shown = run(f"info {STORE}")
    assert shown.code == 0
    assert '"name": "well", "decay": 0.5' in shown.out
    assert "no line: its model well is user-defined" in shown.out
    assert strict_json(run(f"info {STORE} --json").out)["spec"]["model"]["name"] == "well"
    assert run(f"plot {STORE}").code == 0
    assert STORE.with_suffix(".png").exists()
    np.savez("data.npz", x=DATA.x, y=DATA.y)
    cell = "--cell eta_trgt=0.1,t_wrm=1,seed=0 --data data.npz"
    for line in (
        f"run --replay {STORE} {cell}", f"explain {STORE} {cell}", f"info {STORE} --command",
        f"sweep --data data.npz --steps 6 --t-wrm 1,2 -o {STORE} --resume",
    ):  # fmt: skip
        refused = run(line)
        assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
        assert "well" in refused.err
        assert "user-defined" in refused.err


def test_a_report_shows_of_it_what_its_store_has(run):
    pytest.importorskip("bokeh")
    np.savez("data.npz", x=DATA.x, y=DATA.y)
    sim.sweep(written(), DATA, **GRID, output=STORE)
    assert run(f"report {STORE} --data data.npz").code == 0
    sim.sweep(written(), DATA, **GRID | {"curves": False}, output="numbers.zarr")
    refused = run("report numbers.zarr --data data.npz")
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert "well is user-defined, and cannot be run again here; give --no-curves" in refused.err
    assert run("report numbers.zarr --no-curves").code == 0


def test_a_store_that_claims_to_be_of_a_person_s_own_model_is_only_read(run, store):
    attributes = json.loads((store / "zarr.json").read_text())
    spec = json.loads(attributes["attributes"]["spec"])
    spec["model"] = {"name": "\x1b[31mred", "source": "x", "deep": {"er": [1]}}
    attributes["attributes"]["spec"] = json.dumps(spec)
    (store / "zarr.json").write_text(json.dumps(attributes))
    forge(store)
    shown = run(f"info {store}")
    assert shown.code == 0
    assert "\x1b" not in shown.out
    assert run(f"run --replay {store} --cell eta_trgt=0.5,t_wrm=1").code == 2


def test_a_name_of_ours_is_not_to_be_taken():
    flat = {"loss": lambda theta: 0.0, "gradient": lambda theta: theta, "hvp": lambda theta, v: v}
    model = sim.Custom("mlp", **flat, init=lambda rng: rng.standard_normal(1))
    with pytest.raises(sim.InputError, match="is the name of a built-in model"):
        sim.sweep(model, eta_trgt=[0.1], steps=2)


# --- subclasses ---------------------------------------------------------------------------------


class RidgeObjective(sim.Objective):
    def __init__(self, strength):
        super().__init__(2, 0, "float64")
        self.strength = strength

    def loss(self, theta):
        return 0.5 * self.strength * float(theta @ theta)

    def gradient(self, theta, out):
        out[:] = self.strength * theta
        return self.loss(theta)

    def hvp(self, v, out):
        out[:] = self.strength * v


@dataclass(frozen=True)
class Ridge(sim.Model):
    name: ClassVar[str] = "ridge"
    strength: float = 2.0

    def init(self, data=None, seed=0, dtype="float64"):
        return np.array([1.0, 1.0 + seed])

    def bind(self, data=None, dtype="float64"):
        return RidgeObjective(self.strength)


@dataclass(frozen=True)
class Sloped(Ridge):
    name: ClassVar[str] = "sloped"
    slopes: object = (1.0,)


@dataclass(frozen=True)
class SignDescent(sim.Optimizer):
    """Of one's own: u_t = strength * sign(g_t), which no quadratic bears for ever."""

    name: ClassVar[str] = "sign"
    vectors: ClassVar[int] = 0
    strength: float = 0.5

    def direction(self, theta, gradient, state, t, out):
        out[:] = self.strength * np.sign(gradient)

    @property
    def limit(self):
        return sim.StabilityLimit(2.0)

    first_limit = limit


def test_subclasses_of_models_and_optimizers_are_swept_and_kept(run):
    grid = {"eta_trgt": [0.1, 0.5], "steps": 8}
    optimizer = SignDescent(0.25)
    kept = sim.sweep(Ridge(3.0), optimizer=optimizer, **grid, output="ridge.zarr")
    again = sim.sweep(Ridge(3.0), optimizer=optimizer, **grid, output="ridge.zarr", resume=True)
    xr.testing.assert_identical(kept, again)
    trained = sim.simulate(
        Ridge(3.0), optimizer=optimizer, schedule=sim.Warmup(eta_trgt=0.5), steps=8
    )
    np.testing.assert_allclose(trained.theta, 0.0, atol=1e-12)
    assert float(kept.loss_final[0, 0, 1, 0]) == trained.loss_final
    for model, rule, named in (
        (Ridge(4.0), optimizer, "model strength 3.0, not 4.0"),
        (Ridge(3.0), SignDescent(0.5), "optimizer strength 0.25, not 0.5"),
        (Ridge(3.0), sim.GD(), "optimizer sign, not gd"),
    ):
        with pytest.raises(sim.InputError, match=named):
            sim.sweep(model, optimizer=rule, **grid, output="ridge.zarr", resume=True)
    assert '"name": "sign"' in run("info ridge.zarr").out
    sim.sweep(sim.Quadratic(), optimizer=optimizer, **grid, output="ours.zarr")
    assert "sign" in run("run --replay ours.zarr --cell eta_trgt=0.1").err
    assert "optimizer sign is user-defined" in run("report ours.zarr").err
    with pytest.raises(sim.InputError, match="option slopes of type ndarray"):
        sim.sweep(Sloped(slopes=np.ones(2)), **grid)
