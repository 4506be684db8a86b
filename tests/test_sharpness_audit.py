"""Every measurement along hard runs, against a dense eigendecomposition in double precision."""

import itertools

import numpy as np
import pytest

import simulator as sim
from simulator import figures
from simulator.curvature import SharpnessTracker

# name: model, largest eta over eta_critical, and what else the run has.
RUNS = {
    "saturating cross-entropy": (("tanh", "mup", "xent"), 8, {}),
    "saturating cross-entropy, float32": (("tanh", "mup", "xent"), 8, {"dtype": "float32"}),
    "ReLU catapults": (("relu", "sp", "mse"), 12, {}),
    "GI-Adam": (("tanh", "mup", "xent"), 8, {"optimizer": sim.GIAdam()}),
    "momentum": (("tanh", "mup", "xent"), 2, {"optimizer": sim.Momentum()}),
    "RMSProp": (("relu", "sp", "xent"), 8, {"optimizer": sim.RMSProp()}),
    "five eigenvalues": (("linear", "mup", "xent"), 4, {"top_k": 5, "optimizer": sim.GIAdam()}),
    "a blow-up that stays finite": (("tanh", "mup", "mse"), 5, {}),
}


@pytest.fixture
def measured(monkeypatch):
    """Place, preconditioner and estimate of each measurement along a run."""
    found, measure = [], SharpnessTracker.measure

    def recorded(tracker, place=None, gradient=None):
        estimate = measure(tracker, place, gradient)
        if place is not None:
            found.append((np.array(place, float), tracker.preconditioner, estimate))
        return estimate

    monkeypatch.setattr(SharpnessTracker, "measure", recorded)
    return found


def _errors(model, data, place, preconditioner, values):
    """Relative errors; what lies below the rounding of the Hessian is none. None if not finite."""
    with np.errstate(all="ignore"):
        hessian = model.hessian(place, data)
        if preconditioner is not None:
            root = np.sqrt(np.asarray(preconditioner, float))
            hessian = hessian / root / root[:, None]
    if not np.isfinite(hessian).all():
        return None
    exact = np.linalg.eigvalsh(hessian)[::-1]
    off, top = np.abs(values - exact[: len(values)]), exact[: len(values)]
    relative = off / np.maximum(np.abs(top), np.finfo(float).tiny)
    return np.where(off <= 1e-13 * np.abs(exact).max(), 0.0, relative)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
@pytest.mark.filterwarnings("ignore:the sharpness:RuntimeWarning")
def test_no_measurement_is_another_eigenvalue(name, measured):
    """The search starts at random, and misses about one in ten thousand: none of these."""
    (activation, parameterization, loss), multiple, options = RUNS[name]
    depth = 2 if "blow-up" in name else 3
    model, data = sim.MLP(5, depth, activation, parameterization, loss), sim.load_data("digits", 64)
    optimizer = options.get("optimizer", sim.GD())
    schedule = sim.Warmup(eta_trgt=multiple * sim.eta_critical(model, data, optimizer), t_wrm=2)
    run = sim.simulate(model, data, schedule=schedule, steps=40, **options)
    wrong, doubted, finite = 0, 0, 0
    tolerance = 1e-3 if run.theta.dtype == np.float32 else 1e-4
    for place, preconditioner, estimate in measured:
        errors = _errors(model, data, place, preconditioner, estimate.values)
        if errors is None:
            continue
        finite += 1
        doubted += not estimate.converged
        wrong += estimate.converged and not (errors <= tolerance).all()
    assert finite >= 30
    assert not wrong
    assert doubted <= finite / 20
    assert run.n_unconverged >= doubted


def test_a_measurement_that_did_not_converge_says_so(monkeypatch, digits, tmp_path):
    """In the run, its story, its figure and its summary."""
    from dataclasses import replace

    measure, calls = SharpnessTracker.measure, itertools.count()

    def doubtful(tracker, place=None, gradient=None):
        estimate = measure(tracker, place, gradient)
        return replace(estimate, converged=next(calls) % 4 > 0)

    monkeypatch.setattr(SharpnessTracker, "measure", doubtful)
    run = sim.simulate(sim.MLP(8), digits, steps=16)
    assert run.n_unconverged == 5
    np.testing.assert_array_equal(np.flatnonzero(~run.converged), [0, 4, 8, 12])
    np.testing.assert_array_equal(np.isinf(run.residual), ~run.converged)
    assert "4 of 16 measurements of the sharpness did not converge" in sim.explain(run).paragraph
    _, panel, _ = figures.trajectory(run)
    (marks,) = [line for line in panel.lines if line.get_label() == "not converged"]
    np.testing.assert_array_equal(marks.get_xdata(), [0, 4, 8, 12])
    with pytest.warns(RuntimeWarning, match="did not converge"):
        [sim.sharpness(sim.MLP(8), sim.MLP(8).init(digits), digits) for _ in range(4)]
