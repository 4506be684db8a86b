"""Every closed form over the whole of its domain, edges included, and a sentence outside.

The values at edges that were wrong once are below, each beside what it is measured or proved by.
"""

import inspect
import math
from itertools import combinations

import jax
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import fewer

from simulator import theory
from simulator.checks import InputError
from simulator.theory import linear, noise, quadratics, stabilization, uv, warmup
from simulator.theory.widths import Layers

FORMS = {
    f"{topic}.{name}": getattr(module, name)
    for topic in theory.__all__
    for module in [getattr(theory, topic)]
    for name in module.__all__
    if inspect.isfunction(getattr(module, name))
}
TINY = 5e-324
EDGES = [0.0, TINY, 1e-308, 2.3e-308, 1e-160, 1e-20, 1e-8, 0.1, 0.5, 1 - 2**-53, 1.0,
         1 + 2**-52, 1.5, 2.0, 3.0, 4.0, 1e8, 1e20, 1e40, 1e155, 1e308, 1.7e308]  # fmt: skip
# A closed form loops as often as a whole number says.
MOST = 4


def numbers(condition, lower, upper):
    """What meets the condition: its ends, their neighbours, and others of every size."""
    top = np.finfo(float).max if condition.upper is None else upper
    with np.errstate(over="ignore"):
        ends = [lower, np.nextafter(lower, np.inf), top, np.nextafter(top, -np.inf)]
    signed = [side * edge for side in (1, -1) for edge in EDGES]
    above = [lower + edge for edge in EDGES] if np.isfinite(lower) else []

    def meets(number):
        return (number > lower if condition.open_below else number >= lower) and (
            number < top if condition.open_above else number <= top
        )

    fit = [float(number) for number in {*ends, *signed, *above} if meets(number)]
    low, high = max(lower, -np.finfo(float).max), min(top, np.finfo(float).max)
    return st.sampled_from(sorted(fit)) | st.floats(low, high).filter(meets)


@st.composite
def arguments(draw, form):
    """Arguments that meet every condition; a joint bound after what it depends on."""
    kinds = {name: str(of.annotation) for name, of in inspect.signature(form).parameters.items()}
    conditions = [c for c in form.domain if not c.property]
    properties = {c.name: c.property for c in form.domain if c.property}
    scope, sizes = {"inf": np.inf, "sqrt": np.sqrt, "max": np.maximum}, {}
    scope |= {name: draw(st.sampled_from([*EDGES, -1.0, np.inf, -np.inf, np.nan]))
              for name, kind in properties.items() if kind == "any"}  # fmt: skip
    while conditions:
        condition = conditions.pop(0)
        name = condition.name
        if condition.choices:
            scope[name] = draw(st.sampled_from(condition.choices))
            continue
        try:
            with np.errstate(all="ignore"):
                lower, upper = condition.bounds(scope, inspect.unwrap(form).__globals__)
        except NameError:  # of an argument that is not drawn yet
            conditions.append(condition)
            continue
        if "int" in kinds[name]:
            whole = st.integers(int(lower), int(min(upper - condition.open_above, lower + MOST)))
        if condition.shape is None:
            number = draw(whole if kinds[name] == "int" else numbers(condition, lower, upper))
            scope[name] = number * draw(st.sampled_from([1, -1])) if condition.size else number
            continue
        shape = tuple(size_of(draw, sizes, dim) for dim in condition.shape if dim != "...")
        entries = whole if "int" in kinds[name] else numbers(condition, lower, upper)
        n = math.prod(shape)
        array = np.array(draw(st.lists(entries, min_size=n, max_size=n)))
        scope[name] = fitting(draw, array.reshape(shape), properties.get(name))
        if kinds[name] == "Layers":
            scope[name] = Layers(*scope[name])
        if "Sequence" in kinds[name]:
            scope[name] = tuple(map(int, scope[name]))
    return {name: scope[name] for name in kinds}


def size_of(draw, sizes, dim):
    return sum(
        int(term) if term.isdigit() else sizes.setdefault(term, draw(st.integers(1, 3)))
        for term in dim.split(" + ")
    )


def fitting(draw, array, wanted):
    """An array with a property, of every scale."""
    if wanted is None:
        return array
    if wanted == "nonzero_rows":
        return np.where(np.abs(array).max(axis=-1, keepdims=True) < 1e-40, 1.0, array)
    if wanted == "symmetric":
        return np.maximum(array, array.T)
    n = len(array)
    seed, size = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([1e-300, 1e-20, 1.0, 1e19]))
    rank = n if wanted == "definite" else draw(st.integers(0, n))
    weights = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0][:rank]
    return size * weights.T @ np.diag(np.logspace(0, -draw(st.integers(0, 6)), rank)) @ weights


@pytest.mark.parametrize("name", FORMS)
def test_a_closed_form_states_its_domain(name):
    form = FORMS[name]
    assert {c.name for c in form.domain} == set(inspect.signature(form).parameters)
    assert all(condition.text in inspect.getdoc(form) for condition in form.domain)


@pytest.mark.parametrize("name", FORMS)
def test_a_closed_form_gives_a_number_all_over_its_domain(name):
    form = FORMS[name]

    @fewer(0.5)
    @given(st.data())
    def walk(data):
        given = data.draw(arguments(form))
        found = form(**given)  # warnings are errors
        lower, upper = form.gives.bounds({}, {})
        for part in found if isinstance(found, tuple) else (found,):
            if np.asarray(part).dtype.kind in "bU":
                continue
            assert not np.isnan(part).any(), found
            if np.isrealobj(part):
                assert (np.asarray(part) >= lower).all(), found
                assert (np.asarray(part) <= upper).all(), found

    walk()


def outside(form):
    """A value below the lower end of each condition, or a name that is not listed."""
    for condition in form.domain:
        if condition.choices:
            yield condition.name, "nonsense"
        elif not condition.property and isinstance(condition.lower, float):
            below = (
                condition.lower if condition.open_below else np.nextafter(condition.lower, -np.inf)
            )
            yield condition.name, below if np.isfinite(below) else np.nan
            yield condition.name, np.nan


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form.domain])
@fewer(0.1)
@given(data=st.data())
def test_outside_its_domain_a_closed_form_says_so_in_one_sentence(name, data):
    form = FORMS[name]
    given = data.draw(arguments(form))
    argument, value = data.draw(st.sampled_from(list(outside(form)) or [(None, None)]))
    if argument is None:
        return
    if isinstance(given[argument], tuple):
        value = (value, *given[argument][1:]) if not hasattr(given[argument], "_fields") else value
    elif np.ndim(given[argument]):
        value = np.full_like(given[argument], value)
    with pytest.raises(InputError) as caught:
        form(**given | {argument: value})
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------------------- values at the edges


@given(alpha=st.floats(-20, -0.01), eta=st.floats(0.05, 3))
def test_no_ramp_drives_a_sharpness_that_falls_faster_than_the_threshold_can(alpha, eta):
    """By the threshold itself, 2 / eta_t - 2 / eta_{t+1} against eta |alpha|."""
    critical = stabilization.critical_ramp(alpha, eta)
    for ramp in np.geomspace(1e-6, 1e12, 60):
        gained, fallen = 2 / eta - 2 / (eta + ramp), eta * abs(alpha)
        if abs(gained - fallen) > 1e-9 * fallen:
            assert (ramp > critical) == (gained > fallen)


def test_below_eta_lambda_four_every_warmup_survives_and_beyond_not():
    """Weights of one example under label noise, from a floor of 1e-6, without a criterion."""
    rng = np.random.default_rng(0)
    for reach, t_wrm, survive in ((3.0, 1, True), (3.9, 2, True), (6.0, 2, False)):
        u = rng.normal(size=64) / 8
        v = rng.normal(size=64) / 8
        v -= u * (u @ v) / (u @ u)  # at the minimum, f = y = 0
        lam = u @ u + v @ v
        for update in range(400):
            eta = reach / lam * min((update + 1) / t_wrm, 1.0)
            pull = eta * (u @ v - 1e-6 * lam * rng.normal())
            u, v = u - pull * v, v - pull * u
            if not abs(u @ v) < 1e3:
                break
        assert (abs(u @ v) < 1e3) == survive
        predicted = warmup.survival_probability(t_wrm, reach, 1.0, 1e-6)
        assert predicted == pytest.approx(float(survive), abs=1e-9)
        assert (warmup.shortest_warmup(reach, 1.0, 1e-6) <= t_wrm) == survive


@given(beta=st.floats(0, 0.95), past=st.floats(0, 3), nesterov=st.booleans())
def test_beyond_its_limit_noise_spreads_a_quadratic_without_end(beta, past, nesterov):
    limit = quadratics.nesterov_limit(beta) if nesterov else quadratics.heavy_ball_limit(beta)
    companion = quadratics.nesterov_companion if nesterov else quadratics.companion
    gain = noise.nesterov_gain if nesterov else noise.heavy_ball_gain
    for z in (limit * (1 + past), 0.99 * limit):
        stable = np.abs(np.linalg.eigvals(companion(z, beta))).max() < 1 - 1e-12
        if abs(z / limit - 1) > 1e-9:
            assert np.isfinite(gain(z, 1.0, beta)) == stable
        assert noise.stationary_variance(gain(z, 1.0, beta), 1.0) >= 0


def test_what_is_0_over_0_is_what_counting_gives():
    for samples in range(1, 5):
        for batch in range(1, samples + 1):
            means = [np.mean(c) for c in combinations(range(samples), batch)]
            share = noise.share_of_variance(batch, samples)
            assert np.var(means) == pytest.approx(share * np.var(range(samples)), abs=1e-12)
    assert noise.share_of_variance(1, 1) == 0.0


@given(st.lists(st.sampled_from([0.0, -1.5, 2.0, 0.3]), min_size=1, max_size=4))
def test_a_chain_with_dead_weights_is_as_sharp_as_autograd_says(weights):
    slope = jax.grad(lambda w: jax.numpy.prod(w))(jax.numpy.array(weights))
    found = linear.chain_sharpness(weights)
    assert found == pytest.approx(float(jax.numpy.sum(slope**2)), rel=1e-12)


@given(seed=st.integers(0, 2**32 - 1), y=st.sampled_from([0.0, 1e-8, 1.5]))
def test_gradient_flow_of_width_1_ends_at_the_clamped_root(seed, y):
    """Balanced weights, whose f rounding puts beyond lam / 2: mpmath takes the root."""
    w = np.random.default_rng(seed).normal() * 3
    kappa = 0.7
    lam, f = kappa**2 * 2 * w**2, kappa * w * w
    found = uv.flow_limit(f - y, lam, kappa, y)
    with mpmath.workdps(50):
        square = mpmath.mpf(lam) ** 2 + 4 * mpmath.mpf(kappa) ** 2 * (
            mpmath.mpf(y) ** 2 - (mpmath.mpf(f - y) + mpmath.mpf(y)) ** 2
        )
        exact = float(mpmath.sqrt(max(square, 0)))
    assert found == pytest.approx(exact, abs=3e-8 * lam)


@given(
    energy=st.floats(-300, 300).map(lambda e: 10**e),
    alpha=st.floats(-300, 300).map(lambda a: 10**a),
)
def test_the_peak_of_a_cycle_of_any_size_solves_its_equation(energy, alpha):
    """q - ln q = 1 + E / alpha, with q = beta X^2 / (2 alpha) to 700 digits."""
    x = stabilization.x_peak(energy, alpha, 2.0)
    with mpmath.workdps(700):
        depth = mpmath.mpf(energy) / mpmath.mpf(alpha)
        q = max(depth, mpmath.sqrt(2 * depth)) + 1
        for _ in range(40):
            q -= (q - mpmath.log(q) - 1 - depth) / (1 - 1 / q)
        assert x == pytest.approx(float(mpmath.sqrt(q * mpmath.mpf(alpha))), rel=1e-7)


@given(
    kappa=st.floats(1e-6, 2), f=st.floats(-3, 3), slack=st.floats(0, 2), y=st.floats(-2, 2),
    t=st.floats(0, 3),
)  # fmt: skip
def test_flow_of_any_coupling_and_of_a_dead_mode_is_the_integral(kappa, f, slack, y, t):
    """Of d delta/dt = -lam delta, d lam/dt = -4 kappa^2 f delta, by Runge and Kutta's method."""
    lam = 2 * kappa * abs(f) + slack
    state, h = np.array([f - y, lam]), t / 400

    def slope(at):
        return np.array([-at[1] * at[0], -4 * kappa**2 * (at[0] + y) * at[0]])

    for _ in range(400):
        k1 = slope(state)
        k2 = slope(state + h / 2 * k1)
        k3 = slope(state + h / 2 * k2)
        state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(state + h * k3))
    found = uv.flow(t, f - y, lam, kappa, y)
    np.testing.assert_allclose(found, state, rtol=1e-5, atol=1e-6)
