"""The rows of its curves that a report keeps: peaks, and whatever a straight line would miss."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import simulator as sim
from simulator.reporting import cells
from simulator.reporting.decimate import rows_to_keep
from simulator.trajectory import Trajectory

pytest.importorskip("bokeh")

curves = st.integers(3, 60).flatmap(
    lambda rows: st.lists(
        arrays(float, rows, elements=st.floats(0, 1) | st.just(np.nan)), min_size=1, max_size=3
    )
)


@given(curves=curves, most=st.integers(1, 70), data=st.data())
def test_decimation_keeps_peaks_and_what_it_is_told_to(curves, most, data):
    rows = len(curves[0])
    always = data.draw(st.sets(st.integers(0, rows - 1), max_size=5))
    kept = rows_to_keep(curves, most, always)
    assert {0, rows - 1, *always} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    assert len(kept) <= max(most, 2 + len(always) + 2 * len(curves))
    for curve in curves:
        if np.isfinite(curve).any():
            assert np.nanmax(curve[kept]) == np.nanmax(curve)
            assert np.nanmin(curve[kept]) == np.nanmin(curve)


@given(curves=curves)
def test_what_decimation_leaves_out_would_not_be_seen(curves):
    """With no bound on their number, the rows that are left out lie on the lines, to 0.1 %."""
    kept = rows_to_keep(curves, most=10**6)
    for curve in curves:
        known = np.flatnonzero(np.isfinite(curve))
        shown = np.intersect1d(kept, known)
        if shown.size > 1 and shown[0] == known[0] and shown[-1] == known[-1]:
            assert np.abs(curve[known] - np.interp(known, shown, curve[shown])).max() <= 1e-3 + 1e-9


@settings(max_examples=10)
@given(loss=arrays(float, 200, elements=st.floats(0.01, 100)))
def test_every_peak_of_a_catapult_survives(loss):
    spec = sim.sweeps.Spec(sim.Quadratic(), sim.GD(), eta_trgt=(1.0,), steps=200)
    told = sim.sweep(sim.Quadratic(), eta_trgt=(1.0,), steps=1)
    chunk = {
        "loss": loss.reshape(1, 1, 1, 1, -1), "eta": np.full((1, 1, 1, 1, 200), 1.0),
        "sharpness": np.full((1, 1, 1, 1, 200), 3.0),
    }  # fmt: skip
    found = cells.pack(told, spec, None, [((slice(0, 1),) * 4, chunk)])
    kept = set(found.curves.columns["step"].tolist())
    assert {c.peak for c in sim.events.find_events(curves_of(loss)).catapults} <= kept


def curves_of(loss):
    steps = np.arange(200.0)
    return Trajectory(
        steps, loss, np.ones(200), np.full(200, 3.0), np.full(200, np.nan), sim.GD().limit
    )
