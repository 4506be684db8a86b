"""Self-stabilisation: the reduced map, its cycle, and what a falling threshold adds to it."""

import jax
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simulator.checks import InputError
from simulator.theory import stabilization

rates = st.floats(0.005, 0.02)
slopes = st.floats(0.5, 3.0)
forces = st.floats(0.2, 4.0)


def _train_toy(x, w, g, h, curvature, etas):
    """Gradient descent on (S_0 + g w) x^2 / 2 - h w, written out: x and S before each update."""
    xs, ss = np.empty(len(etas) + 1), np.empty(len(etas) + 1)
    for t, eta in enumerate(etas):
        xs[t], ss[t] = x, curvature + g * w
        x, w = x - eta * ss[t] * x, w - eta * (0.5 * g * x**2 - h)
    xs[-1], ss[-1] = x, curvature + g * w
    return xs, ss


def _reduced(x, y, alpha, beta, eta, updates):
    path = np.empty((updates + 1, 2))
    path[0] = x, y
    for t in range(updates):
        x, y = stabilization.reduced_step(x, y, alpha, beta, eta)
        path[t + 1] = x, y
    return np.abs(path[:, 0]), path[:, 1]


@given(
    x=st.floats(-3, 3), w=st.floats(-3, 3), curvature=st.floats(0, 400), g=st.floats(-3, 3),
    h=st.floats(-3, 3),
)  # fmt: skip
def test_the_toys_gradient_is_that_of_its_loss(x, w, curvature, g, h):
    expected = jax.grad(stabilization.toy_loss, argnums=(0, 1))(x, w, curvature, g, h)
    found = stabilization.toy_gradient(x, w, curvature, g, h)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@given(eta=rates, g=slopes, h=slopes, x=st.floats(0.05, 2.0), w=st.floats(-0.5, 0.5))
def test_gradient_descent_on_the_toy_is_the_reduced_map(eta, g, h, x, w):
    """alpha = g h, beta = g^2, y = S - 2 / eta: 1000 updates, or until the outward spiral."""
    updates = int(min(1000, 0.3 / (eta**2 * g * h)))
    y = g * w
    xs, ss = np.empty(updates), np.empty(updates)
    for t in range(updates):
        dx, dw = stabilization.toy_gradient(x, w, 2 / eta, g, h)
        x, w = x - eta * dx, w - eta * dw
        xs[t], ss[t] = x, 2 / eta + g * w
    start = xs[0] / -(1 + eta * y)
    found_x, found_y = _reduced(start, y, g * h, g**2, eta, updates)
    np.testing.assert_allclose(np.abs(xs), found_x[1:], atol=1e-8)
    np.testing.assert_allclose(ss - 2 / eta, found_y[1:], atol=1e-8)


@given(
    eta=rates, g=slopes, h=st.floats(-3, 3), x=st.floats(0.05, 2.0),
    ramps=st.lists(st.floats(-0.01, 0.03), min_size=30, max_size=30),
)  # fmt: skip
def test_a_changing_learning_rate_drives_the_reduced_map_as_sharpening_does(eta, g, h, x, ramps):
    """alpha_eff = alpha + 2 ramp / (eta^2 (eta + ramp)) is exact for every update."""
    etas = eta * np.cumprod(1 + np.array(ramps))
    xs, ss = _train_toy(x, 0.0, g, h, 2 / etas[0], etas)
    ys = ss[:-1] - 2 / etas
    drive = stabilization.effective_drive(g * h, etas[:-1], np.diff(etas))
    moved = stabilization.reduced_step(xs[:-2], ys[:-1], drive, g**2, etas[:-1])
    np.testing.assert_allclose(moved[0], xs[1:-1], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(moved[1], ys[1:], rtol=1e-9, atol=1e-9 * 2 / eta)


@given(alpha=forces, eta=rates, ramp=st.floats(1e-9, 1e-7))
def test_a_slow_ramp_adds_twice_its_rate_over_eta_cubed(alpha, eta, ramp):
    """alpha_eff = alpha + 2 (d eta/dt) / eta^3."""
    added = stabilization.effective_drive(alpha, eta, ramp) - alpha
    assert added == pytest.approx(2 * ramp / eta**3, rel=1.1 * ramp / eta, abs=1e-12)


@given(
    eta=rates, g=slopes, h=st.floats(-3, 3), x=st.floats(0.05, 2.0), w=st.floats(-0.5, 0.5),
    updates=st.integers(1, 200),
)  # fmt: skip
def test_the_mean_square_is_what_the_change_of_sharpness_leaves(eta, g, h, x, w, updates):
    """sum beta x^2 / 2 = T alpha - (y_T - y_0) / eta, exactly."""
    xs, ss = _train_toy(x, w, g, h, 2 / eta, np.full(updates, eta))
    assume(np.abs(xs).max() < 1e3)
    expected = stabilization.mean_square(g * h, g**2, eta, updates, ss[-1] - ss[0])
    # The difference of two sharpnesses near 2 / eta is no more exact than they are.
    rounding = 1e-14 / (eta * g) ** 2
    assert np.mean(xs[:-1] ** 2) == pytest.approx(expected, rel=1e-10, abs=rounding)


@given(seed=st.integers(0, 10_000), size=st.integers(2, 6))
def test_the_amplitude_is_the_variance_that_holds_the_sharpness(seed, size):
    """dS/dt = 0 of dw/dt = -(grad L + delta^2 grad S / 2): the central flow in one direction."""
    rng = np.random.default_rng(seed)
    grad_loss, grad_sharpness = rng.standard_normal((2, size))
    grad_loss *= -np.sign(grad_loss @ grad_sharpness)
    alpha, beta = -grad_loss @ grad_sharpness, grad_sharpness @ grad_sharpness
    flow = -(grad_loss + 0.5 * stabilization.amplitude(alpha, beta) ** 2 * grad_sharpness)
    assert flow @ grad_sharpness == pytest.approx(0, abs=1e-12 * beta)


@given(alpha=forces, beta=forces, eta=rates)
def test_the_fixed_point_flips_for_ever(alpha, beta, eta):
    delta = stabilization.amplitude(alpha, beta)
    x, y = stabilization.reduced_step(delta, 0.0, alpha, beta, eta)
    assert x == -delta
    assert y == pytest.approx(0, abs=1e-15)


@given(alpha=st.floats(-4, -0.01), beta=forces)
def test_nothing_rests_where_the_sharpness_falls_by_itself(alpha, beta):
    with pytest.raises(InputError, match=r"^alpha .*: give 0 <= alpha$"):
        stabilization.amplitude(alpha, beta)


@given(alpha=forces, beta=forces, eta=rates)
def test_the_jacobian_is_the_derivative_of_the_map(alpha, beta, eta):
    """Of (X, y) -> ((1 + eta y) X, y + ...), by central differences at the fixed point."""
    point = np.array([stabilization.amplitude(alpha, beta), 0.0])
    small = 1e-6

    def moved(at):
        x, y = stabilization.reduced_step(*at, alpha, beta, eta)
        return np.array([-x, y])

    columns = [
        (moved(point + small * d) - moved(point - small * d)) / (2 * small) for d in np.eye(2)
    ]
    found = stabilization.jacobian(alpha, beta, eta)
    np.testing.assert_allclose(found, np.transpose(columns), rtol=1e-7, atol=1e-8)
    modulus = np.abs(np.linalg.eigvals(found))
    np.testing.assert_allclose(modulus, stabilization.outward_spiral(alpha, eta), rtol=1e-12)


@given(alpha=forces, beta=forces, turn=st.floats(0.002, 0.02), far=st.floats(1.01, 1.1))
def test_small_cycles_spiral_outward_by_the_eigenvalue(alpha, beta, turn, far):
    """The distance to the fixed point grows by sqrt(1 + 2 eta^2 alpha) an update; E by its square.

    The distance is sqrt(E) but for the cycle's shape, so whole cycles are compared.
    """
    eta = turn / np.sqrt(alpha)
    updates = round(stabilization.cycle_period(alpha, eta))
    x, y = _reduced(far * stabilization.amplitude(alpha, beta), 0.0, alpha, beta, eta, updates)
    energy = stabilization.cycle_energy(x[[0, -1]], y[[0, -1]], alpha, beta)
    growth = 2 * updates * np.log(stabilization.outward_spiral(alpha, eta))
    assert np.log(energy[1] / energy[0]) == pytest.approx(growth, rel=0.1)


@given(alpha=forces, beta=forces, turn=st.floats(0.002, 0.02), far=st.floats(1.01, 1.1))
def test_small_cycles_have_the_period_of_the_linear_map(alpha, beta, turn, far):
    """2 pi / (eta sqrt(2 alpha)), between the first and third time that y changes sign."""
    eta = turn / np.sqrt(alpha)
    period = stabilization.cycle_period(alpha, eta)
    start = far * stabilization.amplitude(alpha, beta)
    _, y = _reduced(start, 0.0, alpha, beta, eta, round(1.9 * period))
    crossings = np.flatnonzero(np.diff(np.sign(y[1:])))
    assert crossings[1] - crossings[0] == pytest.approx(period / 2, rel=0.02, abs=1)
    assert (
        crossings[2] - crossings[0] == pytest.approx(period, rel=0.02, abs=1)
        if (len(crossings) > 2)
        else True
    )


@given(alpha=forces, beta=forces, turn=st.floats(0.002, 0.02), start=st.floats(1e-3, 0.7))
def test_a_cycle_peaks_where_its_energy_says(alpha, beta, turn, start):
    """From (X_0, 0) up to the first fall of X: what follows is a cycle further out."""
    eta = turn / np.sqrt(alpha)
    start = start * stabilization.amplitude(alpha, beta)
    energy = stabilization.cycle_energy(start, 0.0, alpha, beta)
    x, y = _reduced(start, 0.0, alpha, beta, eta, round(15 / turn))
    peak = 1 + np.argmax(np.diff(x[1:]) < 0)
    assert x[peak] == pytest.approx(stabilization.x_peak(energy, alpha, beta), rel=4 * turn)
    assert y[: peak + 1].max() == pytest.approx(stabilization.y_peak(energy), rel=4 * turn)


@given(beta=forces, excess=st.floats(0.5, 2), turn=st.floats(0.001, 0.02), x=st.floats(1e-3, 0.7))
def test_without_sharpening_a_catapult_undershoots_as_far_as_it_overshot(beta, excess, turn, x):
    """alpha = 0: y^2 + beta X^2 / 2 is conserved, so X peaks at y = 0 and y ends at -sqrt(E).

    To first order in the turn eta y, which the explicit map adds to the energy.
    """
    eta = turn / excess
    energy = stabilization.cycle_energy(x, excess, 0.0, beta)
    assert energy == pytest.approx(excess**2 + beta * x**2 / 2, rel=1e-12)
    found_x, found_y = _reduced(x, excess, 0.0, beta, eta, round(20 / turn))
    assert found_x.max() == pytest.approx(stabilization.x_peak(energy, 0.0, beta), rel=2 * turn)
    assert found_y.min() == pytest.approx(-stabilization.y_peak(energy), rel=2.5 * turn)


@given(alpha=forces, beta=forces, depth=st.floats(0.0, 600))
def test_the_peak_of_a_cycle_has_its_energy(alpha, beta, depth):
    """q - ln q = 1 + E / alpha, on the outer side of delta."""
    peak = stabilization.x_peak(alpha * depth, alpha, beta)
    assert peak >= stabilization.amplitude(alpha, beta) * (1 - 1e-7)
    energy = stabilization.cycle_energy(peak, 0.0, alpha, beta)
    assert energy == pytest.approx(alpha * depth, rel=1e-9, abs=1e-9 * alpha)


@given(alpha=st.one_of(st.just(0.0), forces), beta=forces, x=st.floats(1e-3, 3), y=st.floats(-3, 3))
def test_the_energy_of_a_cycle_does_not_change_as_eta_vanishes(alpha, beta, x, y):
    """One update changes it by O(eta^2) only: a factor 100 for a factor 10."""
    changes = []
    for eta in (1e-3, 1e-4):
        moved = stabilization.reduced_step(x, y, alpha, beta, eta)
        after = stabilization.cycle_energy(*moved, alpha, beta)
        changes.append(abs(after - stabilization.cycle_energy(x, y, alpha, beta)))
    size = (y**2 + alpha + beta * x**2) ** 2
    assert changes[0] <= 20 * 1e-6 * size + 1e-12
    assert changes[1] <= 20 * 1e-8 * size + 1e-12


@given(alpha=forces, beta=forces)
def test_the_energy_is_least_and_zero_at_the_fixed_point(alpha, beta):
    delta = stabilization.amplitude(alpha, beta)
    x = delta * np.array([1, 0.9, 1.1, 0.01, 10])
    energy = stabilization.cycle_energy(x, 0.0, alpha, beta)
    assert energy[0] == pytest.approx(0, abs=1e-12 * alpha)
    assert (energy[1:] > 1e-3 * alpha).all()


@given(
    alpha=st.floats(-3, 3), g=slopes, share=st.floats(-3, 3), eta=st.floats(0.002, 0.004),
    x=st.floats(1e-4, 1e-3),
)  # fmt: skip
def test_training_is_catapulted_iff_the_effective_drive_is_positive(alpha, g, share, eta, x):
    """C1, C2 and C3 on the toy under warmup: X grows 50-fold iff alpha_eff > 0."""
    assume(abs(alpha) > 0.3)
    ramp = max(share, 0.0) * abs(alpha) * eta**3 / 2
    drive = stabilization.effective_drive(alpha, eta, ramp)
    assume(abs(drive) > 0.2 * abs(alpha))
    # y reaches sqrt(2 ln(50)) times this rate of turning: growth takes 1 / (eta sqrt(drive)).
    updates = int(4 / (eta * np.sqrt(abs(drive))))
    etas = eta + ramp * np.arange(updates)
    xs, _ = _train_toy(x * stabilization.amplitude(1.0, g**2), 0.0, g, alpha / g, 2 / eta, etas)
    grown = np.abs(xs).max() > 50 * abs(xs[0])
    assert grown == (drive > 0) == bool(stabilization.catapults(alpha, eta, ramp))


@given(alpha=st.floats(-3, 3), eta=rates, share=st.floats(0.1, 3))
def test_the_critical_ramp_divides_following_from_catapults(alpha, eta, share):
    assume(alpha == 0 or abs(alpha) > 1e-6)
    critical = stabilization.critical_ramp(alpha, eta)
    if alpha >= 0:
        assert critical == 0
        return
    assume(abs(share - 1) > 1e-6)
    assert stabilization.effective_drive(alpha, eta, critical) == pytest.approx(
        0, abs=1e-12 * abs(alpha)
    )
    assert bool(stabilization.catapults(alpha, eta, share * critical)) == (share > 1)
    assert critical == pytest.approx(-alpha * eta**3 / 2, rel=abs(alpha) * eta**2)


def test_numbers_of_the_critical_warmup_rate():
    """alpha = -1, eta = 0.01: 1.2e-6 an update catapults, 4e-7 is followed."""
    found = stabilization.catapults(-1.0, 0.01, np.array([1.2e-6, 4e-7]))
    assert found.tolist() == [True, False]
