"""The critical and the maximal learning rate, against theory and against counting."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from profiles import fewer

import simulator as sim
from simulator.catapult_search import TOLERANCE, Bracket
from simulator.critical import Critical, _largest
from simulator.seeding import generator
from simulator.theory import uv
from simulator.training import Interrupted

NET = {"width": 32, "depth": 3}


def brackets(bracket, value, slack=1e-9):
    return bracket.lower * (1 - slack) <= value <= bracket.upper * (1 + slack)


def made(eta_c=1.0, eta_max=2.0, passes=7):
    """A result with these numbers."""
    return Critical(
        eta_c=eta_c, eta_max=eta_max, eta_critical=0.5, bracket_c=Bracket(0.95 * eta_c, eta_c),
        bracket_max=Bracket(eta_max, 1.05 * eta_max), forward_passes=passes, products=1, updates=0,
    )  # fmt: skip


# --- one example, where both are known in closed form ---------------------------------------------


def skipped(state, bracket):
    """Whether the loss rises at first on a window of eta so narrow that a doubling leaps over it.

    The ratio delta' / delta of one update is a parabola in eta: below -1 between two roots, and
    above 1 from lam / (kappa^2 delta f) on, which is what the search finds then.
    """
    delta, lam, kappa, y = state
    bend = kappa**2 * delta * (delta + y)
    root = math.sqrt(max(lam**2 - 8 * bend, 0.0))
    first, last = 4 / (lam + root), 4 / (lam - root) if root < lam else math.inf
    return bend > 0 and last < 2 * first and brackets(bracket, lam / bend)


@pytest.mark.slow
@fewer(2.5)
@given(problem=sim.testing.one_example(width=st.integers(1, 10_000)), seed=sim.testing.seeds())
def test_on_one_example_both_are_those_of_theory(problem, seed):
    model, _, data = problem
    found = sim.critical_learning_rate(model, data, seed=seed, failure="diverged")
    state = model.one_example(model.init(data, seed), data)
    first = float(uv.eta_loss(*state))
    assert brackets(found.bracket_c, first) or skipped(state, found.bracket_c)
    assert brackets(found.bracket_max, float(uv.eta_max(*state)))
    for bracket in (found.bracket_c, found.bracket_max):
        assert bracket.upper <= (1 + TOLERANCE) * bracket.lower
    assert (found.eta_c, found.eta_max) == (found.bracket_c.upper, found.bracket_max.lower)


@given(problem=sim.testing.one_example(), delta=st.floats(0.01, 1))
def test_the_paper_s_search_ends_with_a_rise_of_at_most_delta(problem, delta):
    model, _, data = problem
    seed, loss = 3, model.loss(model.init(data, 3), data)
    found = sim.critical_learning_rate(model, data, seed=seed, method="paper", delta=delta, steps=0)
    state = model.one_example(model.init(data, seed), data)
    ratio = float(uv.first_step_ratio(*state, found.eta_c))
    assert 1 - 1e-6 <= ratio**2 <= (1 + delta) * (1 + 1e-6)
    assert loss == pytest.approx(0.5 * state[0] ** 2)


# --- quadratics -----------------------------------------------------------------------------------

curvatures = st.lists(st.floats(0.01, 10), min_size=1, max_size=5)


@fewer(0.5)
@given(curvatures=curvatures, seed=st.integers(0, 99))
def test_a_quadratic_trains_up_to_two_over_its_sharpness(curvatures, seed):
    found = sim.critical_learning_rate(sim.Quadratic(curvatures), seed=seed, steps=2048)
    limit = 2 / max(curvatures)
    assert found.eta_critical == pytest.approx(limit)
    assert found.eta_c >= limit * (1 - 1e-9)
    assert found.eta_max <= limit * (1 + 1e-9)
    if len(curvatures) == 1:
        assert brackets(found.bracket_c, limit)
        # At 2 / sharpness itself the loss stands still: the search may begin exactly there.
        assert found.bracket_max.upper >= limit * (1 - 1e-2)
        assert not found.usable


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_momentum_s_first_step_is_that_of_gradient_descent(beta):
    """Its limit for ever is 2 (1 + beta) / sharpness; its first update knows only the gradient."""
    model = sim.Quadratic([1.0, 3.0])
    plain = sim.critical_learning_rate(model, steps=0, tolerance=1e-3)
    for optimizer, factor in (
        (sim.Momentum(beta), 1.0),
        (sim.Momentum(beta, ema=True), 1 - beta),
        (sim.Nesterov(beta), 1 + beta),
    ):
        found = sim.critical_learning_rate(model, optimizer=optimizer, steps=0, tolerance=1e-3)
        assert found.eta_c * factor == pytest.approx(plain.eta_c, rel=1e-3)


# --- networks -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_gi_adam_bears_a_first_step_thirty_times_adam_s(digits, seed):
    """1 / sqrt(1 - beta2) = 31.6: correcting v_0 = g^2 for a bias makes its step smaller."""
    model = sim.MLP(**NET)
    adam, gi = (
        sim.critical_learning_rate(
            model, digits, optimizer=rule, seed=seed, tolerance=1e-3, steps=0
        ).eta_c
        for rule in (sim.Adam(), sim.GIAdam())
    )
    assert gi / adam == pytest.approx(1 / math.sqrt(1 - 0.999), rel=0.01)


@pytest.mark.slow
def test_in_a_mean_squared_error_a_warmup_may_start_at_eta_c(digits):
    for seed in range(3):
        found = sim.critical_learning_rate(sim.MLP(**NET), digits, seed=seed)
        assert found.eta_critical < found.eta_c < found.eta_max
        assert found.recommendation(100.0)[0] == found.eta_c
        start = found.recommendation(0.5 * found.eta_c)
        assert start.eta_init == 0.5 * found.eta_c
        assert "not above eta_c" in start.reason


@pytest.mark.slow
def test_in_cross_entropy_training_has_failed_before_one_update_raises_the_loss(digits):
    for seed in range(3):
        found = sim.critical_learning_rate(sim.MLP(**NET, loss="xent"), digits, seed=seed)
        assert found.eta_c >= found.eta_max > 0
        start = found.recommendation(4.0)
        assert start.eta_init == 0.4
        assert "training fails" in start.reason


@pytest.mark.slow
def test_a_dead_network_is_finite_and_has_failed(digits):
    untrained, diverged = (
        sim.critical_learning_rate(sim.MLP(**NET), digits, failure=failure).eta_max
        for failure in ("untrained", "diverged")
    )
    assert diverged > 1.5 * untrained


def test_the_update_is_that_of_the_first_batch():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((24, 3)), rng.standard_normal((24, 2))
    model = sim.MLP(width=8, depth=2)
    rows = generator(5, "batches", 0).permutation(24)[:7]
    ours = sim.critical_learning_rate(model, sim.Data(x, y), seed=5, batch_size=7, steps=0)
    alone = sim.critical_learning_rate(model, sim.Data(x[rows], y[rows]), seed=5, steps=0)
    whole = sim.critical_learning_rate(model, sim.Data(x, y), seed=5, steps=0)
    assert ours.bracket_c == pytest.approx(alone.bracket_c, rel=1e-9)
    assert ours.bracket_c != whole.bracket_c


def test_rates_rescale_what_they_multiply(digits):
    model = sim.MLP(**NET)
    twice = np.full(model.init(digits).size, 2.0)
    plain, rated = (
        sim.critical_learning_rate(model, digits, rates=rates, steps=64) for rates in (None, twice)
    )
    for name in ("eta_c", "eta_max", "eta_critical"):
        assert getattr(plain, name) == pytest.approx(2 * getattr(rated, name), rel=1e-6)


# --- what it costs --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counted(sim.Model):
    """A model whose objectives note each loss, gradient and product that is asked of them."""

    model: sim.Model
    calls: list

    def init(self, data=None, seed=0, dtype="float64"):
        return self.model.init(data, seed, dtype)

    def bind(self, data=None, dtype="float64"):
        objective = self.model.bind(data, dtype)
        for name in ("loss", "gradient", "hvp"):
            setattr(objective, name, self._noting(name, getattr(objective, name)))
        return objective

    def _noting(self, name, function):
        def noted(*arguments):
            self.calls.append(name)
            return function(*arguments)

        return noted


OPTIMIZERS = [sim.GD(), sim.Momentum(), sim.Adam(), sim.GIAdam()]


@given(st.sets(st.integers(-12, 12), max_size=8), st.integers(-6, 6))
def test_the_largest_that_trains_is_the_end_of_a_stretch_that_trains(failing, guess):
    """Rates 2^(k/2) that fail, and all above 2^6.5: where some train again, those are holes."""
    asked = []

    def fails(eta):
        asked.append(eta)
        at = 2 * math.log2(eta)
        return at > 13 or any(abs(at - k) < 0.25 for k in failing)

    bracket, holes = _largest(fails, 2.0 ** (guess / 2), 0.05, math.inf)
    if bracket.lower == 0.0:
        return
    assert not fails(bracket.lower)
    assert fails(bracket.upper)
    assert bracket.upper <= 1.05 * bracket.lower * (1 + 1e-12)
    assert all(fails(eta) and eta > bracket.lower for eta in holes)
    # Downwards in steps of sqrt 2: once it fails it fails on, as slow ones do.
    seen = [not fails(bracket.lower / 2 ** (k / 2)) for k in range(1, 5)]
    if not holes:
        assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda rule: rule.name)
@pytest.mark.parametrize("method", ["two-way", "paper"])
@pytest.mark.parametrize("batch_size", [None, 16])
def test_the_forward_passes_told_are_those_made(digits, monkeypatch, optimizer, method, batch_size):
    model = Counted(sim.MLP(**NET), [])
    # The unit is measured beside the search, with gradients of its own.
    monkeypatch.setattr("simulator.critical.eta_critical", lambda *arguments: 1.0)
    found = sim.critical_learning_rate(
        model, digits, optimizer=optimizer, method=method, batch_size=batch_size, steps=0
    )
    assert model.calls.count("gradient") == 1
    assert found.forward_passes == 1 + model.calls.count("loss")
    assert found.products == model.calls.count("hvp") == (method == "two-way")
    assert (found.updates, math.isnan(found.eta_max)) == (0, True)


@pytest.mark.slow
def test_two_ways_take_half_the_passes_of_the_paper_s(digits):
    """The gradient's own pass counts: six losses at best, and one more a doubling of the guess."""

    def passes(method):
        found = (
            sim.critical_learning_rate(sim.MLP(**NET), digits, seed=seed, method=method, steps=0)
            for seed in range(9)
        )
        return np.median([one.forward_passes for one in found])

    assert 7 <= passes("two-way") <= 9
    assert 15 <= passes("paper") <= 25


def test_the_updates_told_are_those_of_the_runs(digits, monkeypatch):
    made, train = [], sim.train

    def noting(*arguments, **options):
        made.append(arguments[0].steps)
        return train(*arguments, **options)

    monkeypatch.setattr("simulator.critical.train", noting)
    found = sim.critical_learning_rate(sim.MLP(**NET), digits, steps=32)
    assert found.updates == sum(made) == 32 * len(made)


def test_a_search_that_is_told_to_stop_stops(digits):
    with pytest.raises(Interrupted):
        sim.critical_learning_rate(sim.MLP(**NET), digits, stop=lambda: True)


# --- where there is nothing to find ---------------------------------------------------------------


def test_where_no_update_raises_the_loss_it_says_so():
    found = sim.critical_learning_rate(sim.Quadratic([1.0]), eta_most=1.0)
    assert (found.eta_c, found.eta_max) == (math.inf, math.inf)
    assert found.recommendation(5.0) == (
        0.5,
        "no learning rate up to 1 raises the loss in one update",
    )
    paper = sim.critical_learning_rate(sim.Quadratic([1.0]), eta_most=1.0, method="paper", steps=0)
    assert paper.eta_c == math.inf


@pytest.mark.parametrize("method", ["two-way", "paper"])
def test_a_gradient_of_zero_has_no_catapult(method):
    found = sim.critical_learning_rate(sim.Quadratic([0.0]), method=method, steps=8)
    assert (found.eta_c, found.eta_max, found.forward_passes) == (math.inf, 0.0, 1)
    assert found.recommendation(1.0) == (0.1, "the first update at initialisation is zero")


def test_runs_too_short_for_any_rate_end_the_search(digits):
    found = sim.critical_learning_rate(sim.MLP(**NET), digits, steps=1)
    assert found.eta_max == 0.0
    assert found.updates < 20
    assert (
        "none of the constant learning rates that were tried trains"
        in found.recommendation(1.0).reason
    )


@pytest.mark.slow
def test_a_rate_that_is_only_slow_at_eta_c_is_sought_above_it():
    """A linear network has not quite trained at eta_c in so many updates; a little above it has."""
    data = sim.load_data("digits", 64)
    found = sim.critical_learning_rate(sim.UV(512), data, seed=0, steps=512)
    assert found.eta_c < found.eta_max < math.inf


def test_a_loss_that_is_not_finite_has_none():
    huge = sim.Data([[1e200]], [[1.0]])
    found = sim.critical_learning_rate(sim.UV(4, representation="parameters"), huge, steps=0)
    assert math.isnan(found.eta_c)
    assert "not finite" in found.recommendation(1.0).reason


def test_where_eta_max_is_unknown_eta_c_will_do():
    assert made(eta_max=math.nan).recommendation(4.0).eta_init == 1.0
    assert not made(eta_c=2.0, eta_max=2.0).usable


@pytest.mark.parametrize(
    ("name", "value"),
    [("method", "papre"), ("failure", "dead"), ("dtype", "float16"), ("steps", -1), ("eta_0", 0),
     ("delta", -1), ("tolerance", 0), ("eta_most", math.nan), ("seed", -1), ("batch_size", 2)],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(name, value):
    with pytest.raises(sim.InputError, match=name):
        sim.critical_learning_rate(sim.Quadratic([1.0]), **{name: value})
    with pytest.raises(sim.InputError, match="eta_trgt"):
        made().recommendation(0.0)
    with pytest.raises(sim.InputError, match="t_wrm"):
        made().saving(1.0, 0)


# --- what it saves --------------------------------------------------------------------------------


@given(eta_c=st.floats(0.01, 1), ratio=st.floats(0.2, 50), t_wrm=st.integers(1, 2000),
       usable=st.booleans())  # fmt: skip
@example(eta_c=1.0, ratio=2.0, t_wrm=512, usable=True)
def test_the_updates_counted_are_those_predicted(eta_c, ratio, t_wrm, usable):
    found, eta_trgt = made(eta_c, 2 * eta_c if usable else 0.5 * eta_c), ratio * eta_c
    saving = found.saving(eta_trgt, t_wrm)
    assert saving.t_reach - 1e-6 <= saving.updates < saving.t_reach + 1 + 1e-6
    share = min(found.recommendation(eta_trgt).eta_init / eta_trgt, 1)
    assert share == pytest.approx(min(1 / ratio, 1) if usable else 0.1)
    assert saving.saved == pytest.approx(t_wrm * share)
    assert saving.t_save == pytest.approx(saving.saved - 7 / 2)
