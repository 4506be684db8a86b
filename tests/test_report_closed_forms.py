"""The closed forms on a report's diagram, compared with runs."""

import numpy as np
import pytest

import simulator as sim
from simulator.reporting.closed_forms import closed_forms


def one_example(**keywords):
    data = sim.Data(np.array([[1.0, -0.5]]), np.array([[0.7]]))
    model = sim.UV(10**6)
    return model, data, sim.sweep(model, data, sharpness_every=0, **keywords)


def test_the_line_of_the_largest_constant_eta_is_where_runs_diverge():
    """Eta in units of eta_critical: of all seeds the median, of one seed its own."""
    model, data, found = one_example(
        eta_trgt=(1.0,), seeds=3, steps=1, eta_unit="critical"
    )  # fmt: skip
    spec = sim.sweeps.Spec(
        model, sim.GD(), eta_trgt=(1.0,), seeds=(0, 1, 2), steps=1, eta_unit="critical",
        sharpness_every=0,
    )  # fmt: skip
    own = [
        closed_forms(found.isel(seed=[seed]), spec, data, np.ones(1)).eta_max for seed in range(3)
    ]
    for seed, line in enumerate(own):
        unit = float(found["eta_critical"][seed].max())
        for factor in (0.98, 1.02):
            run = sim.simulate(
                model, data, schedule=sim.Warmup(eta_trgt=factor * line * unit), steps=400,
                seed=seed, sharpness_every=0,
            )  # fmt: skip
            assert run.diverged == (factor > 1)
    assert closed_forms(found, spec, data, np.ones(1)).eta_max == np.median(own)


@pytest.mark.slow
def test_the_line_of_the_shortest_warmup_is_where_half_of_the_seeds_survive():
    """From the edge, eta_init = eta_critical; by simulating every t_wrm."""
    etas, times = np.array([4.0, 6.0, 8.0]), np.arange(2, 130, 4)
    model, data, found = one_example(
        eta_trgt=etas, eta_init=(1.0,), t_wrm=times, seeds=16, steps=600, eta_unit="critical"
    )  # fmt: skip
    spec = sim.sweeps.Spec(
        model, sim.GD(), eta_trgt=tuple(etas), eta_init=(1.0,), t_wrm=tuple(times),
        seeds=tuple(range(16)), steps=600, eta_unit="critical", sharpness_every=0,
    )  # fmt: skip
    line = closed_forms(found, spec, data, etas).shortest
    alive = ~found["diverged"].isel(eta_init=0).transpose("seed", "eta_trgt", "t_wrm").values
    half = times[(alive.mean(axis=0) >= 0.5).argmax(axis=-1)]
    np.testing.assert_allclose(half, line, rtol=0.15)
    slopes = np.polyfit(etas, half, 1)[0] / np.polyfit(etas, line, 1)[0]
    assert 0.9 < slopes < 1.1


def test_from_elsewhere_no_shortest_warmup_is_claimed():
    model, data, found = one_example(
        eta_trgt=(1.0,), eta_init=(0.0, 3.0), steps=1, eta_unit="critical"
    )
    spec = sim.sweeps.Spec(
        model, sim.GD(), eta_trgt=(1.0,), eta_init=(0.0, 3.0), steps=1, eta_unit="critical",
        sharpness_every=0,
    )  # fmt: skip
    for init in (0, 1):
        assert np.isnan(closed_forms(found, spec, data, np.array([5.0]), init).shortest).all()
