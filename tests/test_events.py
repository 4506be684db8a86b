"""Events: found where they were put, not found where there is none, and told as they were."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulator as sim
from simulator.events import DRIVERS, explain, find_events
from simulator.events.detect import approach, crossings, edges, turns
from simulator.limits import StabilityLimit
from simulator.theory import uv
from simulator.trajectory import Trajectory

GD = StabilityLimit(2.0)
EXAMPLE = sim.Data([[1.0]], [[0.0]])


def curves(loss, ratio=None, eta=None, **more):
    """Curves of gradient descent whose ratio to the threshold is this."""
    loss = np.asarray(loss, float)
    missing = np.full(len(loss), np.nan)
    eta = np.ones(len(loss)) if eta is None else np.asarray(eta, float)
    sharpness = missing if ratio is None else 2 * np.asarray(ratio, float) / eta
    step = np.arange(len(loss), dtype=float)
    return Trajectory(step, loss, eta, sharpness, missing, GD, **more)


def scripted(rng):
    """A run with catapults at known steps: its curves, and (crossing, start, peak, end) of each."""
    loss, ratio, truth = [1.0], [0.5], []

    def go(value, near):
        loss.append(value * (1 + 0.002 * rng.standard_normal()))
        ratio.append(near * (1 + 0.02 * rng.standard_normal()))

    for _ in range(rng.integers(0, 5)):
        calm, early = rng.integers(20, 60), rng.integers(0, 10)
        for step in range(calm):
            crossed = step >= calm - early
            go(0.97 * loss[-1], 1.3 if crossed else rng.uniform(0.3, 0.85))
        start, level = len(loss) - 1, loss[-1]
        crossing = start - early + 1
        rise, fall = rng.integers(1, 9), rng.integers(1, 9)
        height = np.exp(rng.uniform(np.log(1.3), np.log(1e4)))
        for step in range(1, rise + 1):
            go(level * height ** (step / rise), rng.uniform(1.2, 3))
        peak = len(loss) - 1
        for step in range(1, fall + 1):
            go(level * height ** (1 - step / (fall + 0.5)), rng.uniform(0.1, 0.8))
        go(0.9 * level, 0.5)
        truth.append((crossing, start, peak, len(loss) - 1))
    for _ in range(40):
        go(0.97 * loss[-1], 0.5)
    return curves(loss, ratio, eta=np.linspace(0.1, 1, len(loss))), truth


def test_in_1000_scripted_runs_the_events_are_found_within_one_step():
    rng, right, events = np.random.default_rng(0), 0, 0
    for _ in range(1000):
        run, truth = scripted(rng)
        found = [(c.crossing, c.start, c.peak, c.end) for c in find_events(run).catapults]
        events += 4 * len(truth)
        if len(found) == len(truth):
            right += sum(abs(a - b) <= 1 for f, t in zip(found, truth, strict=True)
                         for a, b in zip(f, t, strict=True))  # fmt: skip
    assert events > 5000
    assert right >= 0.99 * events


def told_by_the_map(delta, lam, kappa, eta):
    """(crossing, start, peak, end) of one example, y = 0, by its factors: |f'/f| above 1 rises."""
    crossing = start = peak = -1
    first = 0.5 * float(delta) ** 2
    low = first
    for t, rate in enumerate(eta):
        loss = 0.5 * float(delta) ** 2
        if crossing < 0 and rate * uv.sharpness(delta, lam, kappa, 0.0) > 2:
            crossing = t
        factor = 1 - rate * lam + rate**2 * kappa**2 * delta**2
        if start < 0 and abs(factor) > 1:
            start, low = t, loss
        elif start >= 0 and peak < 0 and abs(factor) <= 1:
            peak = t
        if peak >= 0 and loss <= low:
            return crossing, start, peak, t
        delta, lam = uv.step(delta, lam, kappa, 0.0, rate)
    return crossing, start, peak, -1


@pytest.mark.slow
def test_in_300_runs_of_one_example_the_events_are_those_of_the_map():
    rng, right, count = np.random.default_rng(1), 0, 0
    model = sim.UV(width=64)
    for seed in range(300):
        t_wrm = int(rng.choice([1, 1, 8, 40]))
        unit = sim.eta_critical(model, EXAMPLE, sim.GD(), seed)
        schedule = sim.Warmup(0.0, rng.uniform(1.05, 1.8) * unit, t_wrm)
        run = sim.simulate(model, EXAMPLE, schedule=schedule, steps=150, seed=seed)
        delta, lam, kappa = one_example_state(model, seed)
        crossing, start, peak, end = told_by_the_map(delta, lam, kappa, run.eta)
        found = find_events(run).catapults
        peak_loss = run.loss[peak] / run.loss[start] if peak >= 0 else 0
        if end < 0 or peak_loss <= 1.1:
            continue
        count += 1
        right += bool(found) and all(
            abs(a - b) <= 1
            for a, b in zip(
                (found[0].crossing, found[0].start, found[0].peak, found[0].end),
                (crossing, start, peak, end), strict=True,
            )
        )  # fmt: skip
    assert count > 210
    assert right >= 0.99 * count


def one_example_state(model, seed):
    """(delta, lambda, kappa) at initialisation, from the weights themselves."""
    weights = sim.UV(width=model.width, representation="parameters")
    theta = weights.init(EXAMPLE, seed)
    u, v = theta[: model.width], theta[model.width :]
    kappa = uv.coupling(model.width, 0.0, 1.0)
    return kappa * float(u @ v), kappa**2 * float(u @ u + v @ v), kappa


@given(
    spectrum=st.lists(st.floats(0.01, 1), min_size=1, max_size=5), share=st.floats(0.05, 0.98),
    optimizer=st.sampled_from([sim.GD(), sim.Momentum(0.9), sim.Momentum(0.5), sim.Nesterov()]),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_below_the_threshold_a_quadratic_has_no_event(spectrum, share, optimizer, seed):
    """Momentum's loss goes up and down there; that is no catapult."""
    eta = share * optimizer.eta_critical(max(spectrum))
    run = sim.simulate(
        sim.Quadratic(spectrum), optimizer=optimizer, schedule=sim.Warmup(eta_trgt=eta), steps=120,
        seed=seed,
    )  # fmt: skip
    events = find_events(run)
    assert (events.crossings, events.catapults, events.edges, events.diverged) == ((), (), (), -1)


@pytest.mark.slow
def test_the_noise_of_minibatches_is_no_catapult():
    model, data = sim.MLP(width=8), sim.load_data("digits", samples=64)
    for seed in range(15):
        eta = 0.1 * sim.eta_critical(model, data, sim.GD(), seed)
        run = sim.simulate(
            model, data, schedule=sim.Warmup(eta_trgt=eta), steps=60, batch_size=8, seed=seed
        )
        assert find_events(run).catapults == ()


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_a_crossing_is_the_first_measurement_above_after_one_below(rows):
    ratio = np.array([np.nan if not seen else 1.5 if high else 0.5 for seen, high in rows])
    found, last = [], 0.0
    for row, value in enumerate(ratio):
        if np.isfinite(value):
            if value > 1 >= last:
                found.append(row)
            last = value
    assert crossings(ratio) == found
    assert curves(np.ones(len(rows)), ratio).crossing_step == (found[0] if found else -1)


@given(
    before=st.integers(0, 50), length=st.integers(1, 120), after=st.integers(16, 60),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_a_stretch_at_the_edge_is_as_long_as_it_was_made(before, length, after, seed):
    rng = np.random.default_rng(seed)
    hovering = 1 + 0.08 * rng.uniform(-1, 1, length)
    hovering[::2], hovering[-1] = 1.05, 1.05
    hovering[1:-1:2] = 0.95
    ratio = np.concatenate([np.full(before, 0.5), hovering, np.full(after, 0.5)])
    loss = np.exp(-0.01 * np.arange(len(ratio)))
    found = edges(curves(loss, ratio))
    if length < 32:
        assert found == []
    else:
        (edge,) = found
        assert (edge.start, edge.end) == (before, before + length - 1)
        assert edge.mean_ratio == pytest.approx(hovering.mean())


GROWING = np.exp(np.linspace(-2, 0.05, 40))


@pytest.mark.parametrize(
    ("eta", "sharpness", "expected"),
    [(GROWING, np.full(40, 2.0), "warmup"),
     (np.ones(40), 2 * GROWING, "sharpening"),
     (np.sqrt(GROWING), 2 * np.sqrt(GROWING), "both"),
     (GROWING**1.5, 2 * GROWING**-0.5, "warmup"),
     (GROWING**-0.5, 2 * GROWING**1.5, "sharpening"),
     (np.full(40, 1.2), np.full(40, 2.0), "start")],
)  # fmt: skip
def test_what_grew_in_the_last_doubling_drives(eta, sharpness, expected):
    run = curves(np.ones(40), ratio=sharpness * eta / 2, eta=eta)
    (crossing,) = crossings(run.ratio)
    assert approach(run, crossing)[0] == expected
    assert expected in DRIVERS


def test_a_catapult_without_a_crossing_of_its_own_is_not_driven_by_that_of_another():
    loss = np.array([4, 2, 3, 1, 1, 2, 0.9, 0.8, 1.5, 0.7])
    ratio = np.array([0.6, 1.2, 1.3, 1.2, 1.1, 1.2, 0.8, 1.1, 1.2, 0.9])
    run = curves(loss, ratio=ratio, eta=ratio)
    assert [c.driver for c in find_events(run).catapults] == ["warmup", "still", "warmup"]
    assert [c.crossing for c in find_events(run).catapults] == [1, 4, 7]
    assert "1 because the sharpness stays above the threshold" in explain(run).paragraph


@pytest.mark.parametrize(("constant", "how"), [(None, "no"), (0.0, "less than 10 %")])
def test_a_stuck_run_says_what_it_is_compared_with(constant, how):
    loss = np.full(50, 1.05 if constant is None else 0.95)
    loss[0], loss[-9] = 1.0, 0.94
    run = curves(loss, constant_loss=constant)
    assert f"losses are {how} better than the first." in explain(run).paragraph


def test_without_a_sharpness_nothing_drives():
    assert approach(curves(np.ones(5)), -1)[0] == "unknown"


def test_the_four_stages_of_a_catapult_follow_one_another():
    """Damian, Nichani & Lee 2023: sharpening, blow-up, self-stabilization, return."""
    model = sim.UV(width=256)
    eta = 1.5 * sim.eta_critical(model, EXAMPLE, sim.GD())
    run = sim.simulate(model, EXAMPLE, schedule=sim.Warmup(0, eta, 12), steps=150)
    (catapult,) = find_events(run).catapults
    assert run.ratio[catapult.crossing - 1] <= 1 < run.ratio[catapult.crossing]
    assert catapult.crossing <= catapult.sharpest <= catapult.calm <= catapult.end
    assert run.ratio[catapult.calm] <= 1
    assert (run.ratio[catapult.crossing : catapult.calm] > 1).all()
    assert catapult.sharpness_after < catapult.sharpness_before
    assert catapult.driver == "warmup"
    assert catapult.sharpest <= catapult.peak <= catapult.calm


def trained(model, data, multiple=None, *, t_wrm=1, optimizer=None, eta=None, steps=400):
    optimizer = optimizer or sim.GD()
    eta = eta or multiple * sim.eta_critical(model, data, optimizer)
    schedule = sim.Warmup(eta_trgt=eta, t_wrm=t_wrm)
    return sim.simulate(model, data, optimizer=optimizer, schedule=schedule, steps=steps)


@pytest.fixture(scope="module")
def digits():
    return sim.load_data("digits", samples=128)


SP, MUP = sim.MLP(width=32), sim.MLP(width=32, parameterization="mup")
ONE_OUTPUT = sim.MLP(width=256, depth=2, parameterization="ntp")


def parity(samples=32):
    data = sim.load_data("digits", samples=samples)
    return sim.Data(data.x, np.where(data.y % 2, 1.0, -1.0)[:, None])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(
            lambda d: trained(ONE_OUTPUT, parity(), 0.3, steps=100),
            ["is constant at", "stays within 5 %", "stays below", "no catapult"], id="lazy",
        ),
        pytest.param(
            lambda d: trained(ONE_OUTPUT, parity(), 1.5, steps=100),
            ["starts above the threshold", "One catapult follows", "falls from"], id="a catapult",
        ),
        pytest.param(
            lambda d: trained(SP, d, 8, t_wrm=64),
            ["warms up from", "sharpness reduction", "rear-end collision"], id="warmup, sp",
        ),
        pytest.param(
            lambda d: trained(MUP, d, 2, t_wrm=200),
            ["progressive sharpening", "edge of stability", "head-on collision"], id="warmup, mup",
        ),
        pytest.param(
            lambda d: trained(MUP, d, 0.9),
            ["enters the edge of stability", "times the threshold on average"], id="edge",
        ),
        pytest.param(
            lambda d: trained(sim.MLP(width=32, activation="tanh"), d, 30),
            ["does not recover", "is not finite", "diverges"], id="divergence",
        ),
        pytest.param(
            lambda d: trained(SP, d, optimizer=sim.Adam(), eta=0.25, steps=200),
            ["38 / eta", "with a peak of", "The network is dead"], id="adam",
        ),
        pytest.param(
            lambda d: trained(SP, d, optimizer=sim.Adam(), eta=0.125, t_wrm=128),
            ["preconditioned sharpness", "warms up", "38 / eta", "edge of stability"],
            id="adam, warmup",
        ),
        pytest.param(
            lambda d: trained(SP, d, optimizer=sim.GIAdam(), eta=0.125),
            ["preconditioned sharpness", "It falls below the threshold by step"], id="gi-adam",
        ),
    ],
)  # fmt: skip
def test_a_run_is_told_in_the_fields_words(make, words, digits):
    story = explain(make(digits))
    for word in words:
        assert word in story.paragraph, story.paragraph
    assert "nan" not in str(story)


@pytest.mark.slow
def test_an_adaptive_failure_is_not_told_of_a_run_that_trains(digits):
    fine = explain(trained(SP, digits, optimizer=sim.GIAdam(), eta=0.125))
    assert "failed" not in fine.paragraph
    assert np.isnan(fine.events.inflation)


def test_without_a_sharpness_the_loss_alone_is_read():
    loss = np.concatenate([np.exp(-0.1 * np.arange(20)), [0.5, 3.0, 0.4], np.full(20, 0.1)])
    loss[23:] *= np.exp(-0.1 * np.arange(20))
    story = explain(curves(loss, eta=np.full(len(loss), np.nan)))
    assert "only the loss is described" in story.paragraph
    assert "One catapult follows, of unknown cause." in story.paragraph
    (catapult,) = story.events.catapults
    assert (catapult.start, catapult.peak, catapult.end) == (19, 21, 23)


def test_an_excursion_that_has_not_come_back_is_told():
    loss = [*np.exp(-0.1 * np.arange(40)), *[0.1] * 20]
    story = explain(curves(loss, np.full(60, 0.5)))
    text = "The loss rises from its minimum (0.0202 at step 39) and has not recovered by the end"
    assert text in str(story)


def test_a_run_that_dies_is_told_as_dead():
    loss, ratio = [1.0, 50.0, *[0.9] * 60], [3.0, 3.0, *[0.0] * 60]
    dead = explain(curves(loss, ratio, constant_loss=0.9, gradient_final=0.0))
    assert "The network is dead" in dead.paragraph
    # A loss that stands still may have other causes.
    for still in (curves(loss, ratio, constant_loss=0.9), curves([1.0]), curves([1.0, 1.0])):
        assert "dead" not in explain(still).paragraph


def test_batch_noise_is_no_event():
    """A converged minibatch run: the loss of each batch jumps, its mean stands still."""
    rng = np.random.default_rng(0)
    loss = np.exp(-0.05 * np.arange(300)) + 0.1 * rng.uniform(0.5, 1.5, 300)
    ratio = 1 + 0.5 * rng.uniform(-1, 1, 300)
    noisy = explain(curves(loss, ratio, updates_per_epoch=4))
    assert noisy.events.catapults == ()
    assert "recovered" not in noisy.paragraph
    assert explain(curves(loss, ratio)).events.catapults  # of all samples they would be catapults


def test_a_driver_is_judged_by_its_own_stretch():
    """Warmup that has ended drives nothing; nor does a rise of the sharpness before its turn."""
    eta = np.minimum(np.arange(1, 101) / 40, 1.0)
    run = curves(np.ones(100), ratio=eta * np.linspace(0.7, 1.1, 100), eta=eta)
    name, change = approach(run, crossings(run.ratio)[0])
    assert name == "sharpening"
    assert change > 1
    sharpness = np.r_[np.linspace(1, 3, 50), np.linspace(3, 2, 50)]
    eta = np.linspace(0.1, 0.51, 100)
    run = curves(np.ones(100), ratio=sharpness * eta, eta=eta)
    name, change = approach(run, crossings(run.ratio)[0])
    assert name == "warmup"
    assert change < 1


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=40))
def test_between_turns_a_curve_goes_one_way(values):
    values = np.array(values)
    points = [0, *turns(values), len(values) - 1]
    legs = np.sign(np.diff(values[points]))
    assert (np.abs(np.diff(legs[:-1])) == 2).all()
    for first, last in pairwise(points[1:-1]):
        stretch = values[first : last + 1]
        assert {values[first], values[last]} == {stretch.min(), stretch.max()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parameterization", "phase"),
    [("sp", "sharpness_reduction"), ("mup", "progressive_sharpening")],
)
def test_left_alone_sp_flattens_and_mup_sharpens(parameterization, phase, digits):
    """Kalra & Barkeshli 2024, figure 1; MSE, ReLU, depth 3."""
    model = sim.MLP(width=32, parameterization=parameterization)
    assert sim.natural_phase(model, digits, optimizer=sim.GD()) == phase


def test_a_run_beyond_the_threshold_is_told_with_its_natural_phase(digits):
    story = explain(trained(SP, digits, 4, steps=50), natural="sharpness_reduction")
    assert "of the critical learning rate, the sharpness falls (sharpness reduction)" in str(story)
