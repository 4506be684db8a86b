"""`CDAT` and `LossGap`: exact laws on quadratics, and what they do to networks."""

import json
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulator as sim

ETA_MOST = 1e9
curvatures = st.lists(st.floats(0.01, 10), min_size=1, max_size=5)


@cache
def digits():
    return sim.load_data("digits", samples=128)


def network(**options):
    return sim.MLP(width=32, depth=3, **options)


@given(curvatures=curvatures, sigma=st.floats(0.1, 3), seed=st.integers(0, 99))
def test_the_loss_of_a_quadratic_falls_exactly_where_sigma_is_below_two(curvatures, sigma, seed):
    """L' - L = -sigma (1 - sigma / 2) (g.g)^2 / g.Hg at each update."""
    model = sim.Quadratic(curvatures)
    run = sim.simulate(model, schedule=sim.CDAT(ETA_MOST, sigma), steps=4, seed=seed)
    theta, c = model.init(seed=seed), np.array(curvatures)
    for eta, loss in zip(run.eta, run.loss, strict=True):
        slope, bend = np.sum((c * theta) ** 2), np.sum(c**3 * theta**2)
        assert eta == pytest.approx(sigma * slope / bend, rel=1e-9)
        assert loss == pytest.approx(0.5 * np.sum(c * theta**2), rel=1e-9)
        theta = theta - eta * c * theta
        after = 0.5 * np.sum(c * theta**2)
        change = -sigma * (1 - sigma / 2) * slope**2 / bend
        assert after - loss == pytest.approx(change, rel=1e-7, abs=1e-9 * loss)
        assert (after < loss) == (sigma < 2) or abs(sigma - 2) < 1e-6


@given(curvature=st.floats(0.01, 100), sigma=st.floats(0.1, 3), memory=st.floats(0, 0.99))
def test_in_one_dimension_each_update_multiplies_theta_by_one_minus_sigma(curvature, sigma, memory):
    """An average of slopes over one of curvatures changes nothing: their ratio is constant."""
    schedule = sim.CDAT(ETA_MOST, sigma, memory)
    run = sim.simulate(sim.Quadratic([curvature]), schedule=schedule, steps=6)
    expected = run.loss[0] * (1 - sigma) ** (2 * np.arange(6))
    np.testing.assert_allclose(run.loss, expected, rtol=1e-9, atol=1e-12 * run.loss[0])


@pytest.mark.parametrize(
    ("sigma", "ratio", "rtol"), [(1.9, 7.24e-8, 1e-2), (2.0, 1.0, 1e-6), (2.01, 388.9, 1e-2)]
)
def test_on_three_curvatures_two_is_the_edge(sigma, ratio, rtol):
    model = sim.Quadratic([1.0, 10.0, 100.0])
    run = sim.simulate(model, schedule=sim.CDAT(ETA_MOST, sigma), steps=300, theta0=np.ones(3))
    assert run.loss_final / run.loss_init == pytest.approx(ratio, rel=rtol)


@pytest.mark.parametrize(
    ("memory", "eta", "loss"),
    [
        (0.0, (0.449554134241, 0.698196184071, 1.25604524008, 0.984550639467), 0.0622748878241),
        (0.9, (0.449554134241, 0.472529788699, 0.481385361193, 0.487503169424), 0.0742612421736),
    ],
)
def test_the_first_rates_of_a_network_are_those_of_another_program(memory, eta, loss):
    """A JAX program in double precision, from the same theta."""
    schedule = sim.CDAT(ETA_MOST, memory=memory)
    run = sim.simulate(network(), digits(), schedule=schedule, steps=4, sharpness_every=0)
    np.testing.assert_allclose(run.eta, eta, rtol=1e-8)
    assert run.loss_final == pytest.approx(loss, rel=1e-8)
    assert run.products == 4


class Flat:
    """A probe of what is left where no number is."""

    loss = 0.0

    def __init__(self, slope, bend):
        self.slope, self.bend = (lambda: slope), (lambda: bend)

    def eta_critical(self):
        return math.inf


def test_where_there_is_no_curvature_or_no_loss_the_rate_is_the_largest():
    assert sim.CDAT(3.0).chooser()(Flat(1.0, 0.0)) == 3.0
    assert sim.CDAT(3.0).chooser()(Flat(0.0, 0.0)) == 3.0
    assert sim.CDAT(3.0).chooser()(Flat(math.inf, math.inf)) == 3.0
    assert sim.CDAT(3.0).chooser()(Flat(-1.0, 1.0)) == 0.0
    assert sim.CDAT(3.0).chooser()(Flat(1.0, -1.0)) == 2.0
    assert sim.LossGap(3.0).chooser()(Flat(0.0, 0.0)) == 3.0


@given(exponent=st.floats(0, 2), factor=st.floats(0.1, 2), memory=st.floats(0, 0.9),
       batch=st.sampled_from([None, 16]))  # fmt: skip
def test_the_loss_gap_s_rate_is_the_first_times_a_power_of_the_loss(
    exponent, factor, memory, batch
):
    schedule = sim.LossGap(4.0, exponent, factor, memory)
    run = sim.simulate(
        sim.MLP(width=8),
        digits(),
        schedule=schedule,
        steps=12,
        sharpness_every=12,
        batch_size=batch,
    )
    weights = memory ** np.arange(12)
    for t in range(12):
        average = weights[: t + 1][::-1] @ run.loss[: t + 1] / weights[: t + 1].sum()
        eta = factor * 2 / run.sharpness[0] * (run.loss[0] / average) ** exponent
        assert run.eta[t] == pytest.approx(min(eta, 4.0), rel=1e-9)


def test_a_product_is_the_same_before_and_after_a_forward_pass():
    @np.vectorize
    def asked(first):
        seen = []

        class Curious(sim.Schedule):
            name = "curious"

            def chooser(self):
                def choose(probe):
                    if first:
                        probe.loss_after(3.0)
                    seen.append((probe.slope(), probe.bend()))
                    return 0.1

                return choose

        sim.simulate(network(), digits(), schedule=Curious(), steps=3, sharpness_every=0)
        return hash(tuple(seen))

    before, after = asked([False, True])
    assert before == after


def test_they_are_swept_along_their_own_options_and_remade(run, folder):
    small = "--width 8 --samples 32 --steps 24 --eta-trgt 8 --seeds 1"
    line = f"sweep {small} --schedule cdat --sigma 1,2 --memory 0,0.9 -o s.zarr"
    assert run(line).code == 0
    model, data = sim.MLP(width=8), sim.load_data("digits", 32)
    eta_trgt = 8 * sim.eta_critical(model, data, sim.GD())
    alone = sim.simulate(model, data, schedule=sim.CDAT(eta_trgt, 2.0, 0.9), steps=24)
    again = json.loads(run("run --replay s.zarr --cell sigma=2,memory=0.9 --json").out)["result"]
    assert again["identical"]
    assert again["loss_final"] == alone.loss_final
    remade = run("info s.zarr --command").out
    for words in ("--schedule cdat", "--sigma 1.0,2.0", "--memory 0.0,0.9"):
        assert words in remade
    assert run(f"sweep {small} --decay linear --t-decay 4,12 --eta-end 0.5 -o w.zarr").code == 0
    cell = json.loads(run("run --replay w.zarr --cell t_decay=12,t_wrm=1 --json --curves").out)
    assert cell["result"]["identical"]
    eta = cell["curves"]["eta"]
    assert eta[11] == eta_trgt
    assert eta[-1] == pytest.approx(eta_trgt / 16)


def test_schedules_whose_defaults_differ_are_remade_from_one_line(run, folder):
    """An option of two schedules that was not typed is left out again."""
    small = "--width 8 --samples 32 --steps 24 --eta-trgt 8 --seeds 1 --schedule warmup,loss-gap"
    small += " --t-wrm 1"
    assert run(f"sweep {small} -o s.zarr").code == 0
    assert "exponent" not in run("info s.zarr --command").out
    assert run("sweep -o s.zarr --resume").code == 0
    typed = run(f"sweep {small} --exponent 0.5 --overwrite -o s.zarr")
    assert typed.code == 0
    assert "--exponent 0.5" in run("info s.zarr --command").out
    old = run(f"sweep {small} --warmup-exponent 0.5 --resume -o s.zarr")
    assert old.code == 0


@pytest.mark.parametrize("seed", range(5))
def test_loss_gap_reaches_a_rate_that_a_long_warmup_does_not_survive(seed):
    """At 16 eta_critical, tanh in SP: exponent 1 trains, a linear warmup of 64 updates does not."""
    model, kept = network(activation="tanh"), {"steps": 640, "seed": seed}
    eta_trgt = 16 * sim.eta_critical(model, digits(), sim.GD(), seed)
    gap = sim.LossGap(eta_trgt, exponent=1.0)
    run = sim.simulate(model, digits(), schedule=gap, sharpness_every=640, **kept)
    assert run.trainable
    assert np.argmax(run.eta == eta_trgt) < 100
    assert run.eta.max() == eta_trgt
    linear = sim.Warmup(eta_trgt=eta_trgt, t_wrm=64)
    assert not sim.simulate(model, digits(), schedule=linear, sharpness_every=0, **kept).trainable


@pytest.mark.parametrize(("parameterization", "most"), [("sp", 0.05), ("mup", 0.008)])
def test_cdat_at_two_sits_at_the_edge(parameterization, most):
    """And it survives at 3. The study greedy-or-edge has more seeds and more of sigma."""
    model, kept = network(parameterization=parameterization), {"steps": 512, "seed": 0}
    at = sim.simulate(model, digits(), schedule=sim.CDAT(ETA_MOST), sharpness_every=8,
                      sharpness_tol=1e-3, **kept)  # fmt: skip
    assert at.loss_final < most * model.constant_loss(digits())
    assert 1.0 <= np.nanmedian((at.eta * at.sharpness / 2)[384:]) <= 1.12
    beyond = sim.CDAT(ETA_MOST, 3.0)
    run = sim.simulate(model, digits(), schedule=beyond, sharpness_every=0, **kept)
    assert not run.diverged
