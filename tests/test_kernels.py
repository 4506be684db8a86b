"""Every kernel computes in machine code what its lines say in Python.

``.ci/run`` runs this file without the JIT too, and fails there unless the cases reach every line of
every kernel: a new kernel needs a case.
"""

import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numba.core import config
from test_curvature import Matrix

import simulator as sim
from simulator.curvature.tracker import SharpnessTracker
from simulator.numerics import eigen, products
from simulator.numerics.activations import CODES
from simulator.numerics.dense import LOSSES
from simulator.optimizers import OPTIMIZERS
from simulator.training import ensemble

MEASURED = (
    "loss", "sharpness", "theta", "loss_init", "loss_max", "loss_final", "sharpness_max",
    "diverged_step", "n_catapults",
)  # fmt: skip


def _data(samples, inputs, outputs, loss="mse"):
    draw = np.random.default_rng(samples)
    x = draw.standard_normal((samples, inputs))
    if loss == "xent":
        return sim.Data(x, np.arange(samples) % outputs)
    return sim.Data(x, draw.standard_normal((samples, outputs)))


def _told(run):
    return {name: np.asarray(getattr(run, name), dtype=float) for name in MEASURED}


def _network(activation="tanh", loss="mse", norm=None, **options):
    data = _data(6, 3, 2, loss)
    model = sim.MLP(4, 3, activation, "ntp", loss, True, **(norm or {}))
    schedule = sim.Warmup(eta_trgt=0.05, t_wrm=2)
    return _told(sim.simulate(model, data, schedule=schedule, steps=4, top_k=2, **options))


def _products(samples, fan_in, fan_out):
    """In one piece and in several, and of one output."""
    draw = np.random.default_rng(0)
    shapes = ((samples, fan_in), (fan_in, fan_out), (samples, fan_out))
    h, w, d = (draw.standard_normal(shape) for shape in shapes)
    spare, z, out, e = (np.empty_like(a) for a in (w.ravel(), d, w, h))
    products.forward(h, w, z)
    products.backward(d, w, spare, e)
    products.outer(h, d, 0.0, spare, out)
    products.outer(h, d, 1.0, spare, out)
    return {"forward": z, "backward": e, "outer": out}


def _side_by_side(every, optimizer, steps):
    model = sim.UV(width=5)
    cells = sim.sweep(
        model, ONE, optimizer=optimizer, eta_init=[0.3], eta_trgt=[0.5, 2.4, 9.0], t_wrm=[1, 5],
        steps=steps, seeds=1, eta_unit="critical", sharpness_every=every,
    )  # fmt: skip
    names = ("loss_init", "loss_max", "loss_final", "sharpness_max", "diverged_step", "n_catapults")
    eta = sim.eta_critical(model, ONE, optimizer)
    schedule = sim.Warmup(eta_trgt=0.3 * eta, t_wrm=4)
    curves = sim.simulate(
        model, ONE, optimizer=optimizer, schedule=schedule, steps=steps, sharpness_every=every
    )
    return {"curve": curves.loss, **{name: np.asarray(cells[name], dtype=float) for name in names}}


def _sparse_curves():
    model = sim.UV(width=5)
    batched = model.batched(ONE)
    begin = batched.begin(np.array([model.init(ONE, seed) for seed in range(3)]))
    rates = np.array([[0.0, 0.1, 0.1], [0.2, 0.3, 9.0]])
    weights = np.stack([sim.Warmup(t_wrm=t_wrm).weights(9) for t_wrm in (1, 4)])
    curves = ensemble.train_batched(
        batched, begin, rates, weights, np.array([0, 1, 1]), sim.GD(),
        measured=True, constant_loss=None, stride=3,
    )  # fmt: skip
    return {"sharpness": curves.sharpness, "eta": curves.eta}


def _owned(value):
    return value.copy() if isinstance(value, np.ndarray) else value


def _eigenvalues():
    """Followed; of zero, whose products have no direction; and of what is not finite."""
    draw, found = np.random.default_rng(0), {}
    random = draw.standard_normal((60, 60))
    for name, matrix in (("random", random), ("zero", 0 * random), ("bad", np.nan * random)):
        objective = Matrix(matrix + matrix.T)
        tracker = SharpnessTracker(objective, top_k=2)
        for _ in range(4):
            found[f"{name} {len(found)}"] = np.array(tracker.measure().values)
            objective.matrix = objective.matrix + np.diag(0.05 * np.arange(60.0))
    # A model whose numbers are beyond all bounds is left out.
    rows, summary = np.eye(6), np.array([2.0, 1.0])
    made, values = np.zeros((3, 6)), np.zeros(3)
    known = (rows[:2], 2.0 * rows[:2], summary, np.eye(2), 2, 1, rows[2:4], np.array([np.inf, 1.0]))
    known += (np.empty(eigen.work_size(2, 2)),)
    found["kept"] = np.array(eigen.learn(*map(_owned, known), made, values))
    # One that is all in the basis adds nothing.
    inside = (rows[:2], 2.0 * rows[:2], summary, np.eye(2), 2, 2, rows[:2], summary)
    inside += (np.empty(eigen.work_size(2, 2)),)
    found["inside"] = np.array(eigen.learn(*map(_owned, inside), made, values))
    # An operator that is not finite where it was known before.
    lost = np.array([[np.nan, 0.0], [0.0, 1.0]])
    found["lost"] = np.array(
        eigen.ritz(
            rows[:2].copy(), rows[:2].copy(), lost, np.zeros(2), np.zeros((2, 2)), 1, 2,
            np.empty(eigen.work_size(2, 2)),
        )
    )  # fmt: skip
    # So dense at the top that a basis is full before it is found.
    crowded = SharpnessTracker(Matrix(np.diag(np.linspace(1, 2, 600) ** 0.1)), tol=1e-10)
    twice = np.array([[1.0, 0.0], [2.0, 0.0]])
    left = eigen.orthonormalize(twice, 1, np.empty(4))
    return {**found, "crowded": np.array(crowded.measure().values), "left": np.array(left)}


ONE = _data(1, 3, 1)
NORMS = [
    ("activation", {}),
    ("activation", {"residual": True, "affine": True}),
    ("preactivation", {}),
    ("preactivation", {"affine": True}),
    ("readout", {"residual": True}),
    ("after", {"residual": True}),
]
CASES = {
    **{f"{a} {loss}": partial(_network, a, loss) for a in CODES for loss in LOSSES},
    **{f"{name}": partial(_network, optimizer=make()) for name, make in OPTIMIZERS.items()},
    **{
        f"{norm} {options}": partial(_network, norm={"norm": norm, **options})
        for norm, options in NORMS
    },
    "rates of parameters": partial(_network, rates=np.linspace(0.5, 1.0, 46)),
    "float32": partial(_network, "gelu", "xent", dtype="float32"),
    "float32 tanh": partial(_network, dtype="float32"),
    "eigenvalues": _eigenvalues,
    "one piece": partial(_products, 7, 4, 3),
    "pieces": partial(_products, 501, 64, 128),
    "too thin for pieces": partial(_products, 70, 130, 200),
    "one output": partial(_products, 9, 5, 1),
    "sparse curves": _sparse_curves,
    "one example": partial(_side_by_side, 1, sim.GD(), 170),
    "one example, unmeasured": partial(_side_by_side, 0, sim.GD(), 70),
    "one example, momentum": partial(_side_by_side, 3, sim.Momentum(0.8), 40),
}


def results():
    """What each case comes to, in whichever way this process runs kernels."""
    with np.errstate(all="ignore"):
        return {name: case() for name, case in CASES.items()}


@pytest.fixture(scope="module")
def otherwise(tmp_path_factory):
    """The results of a process without the JIT; beside a test without it, of one with it."""
    path = tmp_path_factory.mktemp("otherwise") / "results"
    code = "import pickle, sys, test_kernels as t; pickle.dump(t.results(), open(sys.argv[1],'wb'))"
    flag = {"NUMBA_DISABLE_JIT": "0" if config.DISABLE_JIT else "1"}
    subprocess.run(
        [sys.executable, "-c", code, path], cwd=Path(__file__).parent, env={**os.environ, **flag},
        check=True,
    )  # fmt: skip
    return pickle.loads(path.read_bytes())


@pytest.mark.parametrize("name", CASES)
def test_machine_code_computes_what_python_does(name, otherwise):
    with np.errstate(all="ignore"):
        found = CASES[name]()
    rtol = 1e-4 if "float32" in name else 1e-8
    for word, expected in otherwise[name].items():
        np.testing.assert_allclose(found[word], expected, rtol, 1e-12, err_msg=word)
