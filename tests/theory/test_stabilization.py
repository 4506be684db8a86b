"""Self-stabilisation: the reduced map, its cycle, and what a falling threshold adds to it."""

import jax
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simulator.checks import InputError
from simulator.theory import stabilization

rates = st.floats(0.005, 0.02)


forces = st.floats(0.2, 4.0)


@given(
    x=st.floats(-3, 3), w=st.floats(-3, 3), curvature=st.floats(0, 400), g=st.floats(-3, 3),
    h=st.floats(-3, 3), damping=st.floats(0, 3),
)  # fmt: skip
def test_the_toys_gradient_is_that_of_its_loss(x, w, curvature, g, h, damping):
    expected = jax.grad(stabilization.toy_loss, argnums=(0, 1))(x, w, curvature, g, h, damping)
    found = stabilization.toy_gradient(x, w, curvature, g, h, damping)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@given(alpha=forces, eta=rates, ramp=st.floats(1e-9, 1e-7))
def test_a_slow_ramp_adds_twice_its_rate_over_eta_cubed(alpha, eta, ramp):
    """alpha_eff = alpha + 2 (d eta/dt) / eta^3."""
    added = stabilization.effective_drive(alpha, eta, ramp) - alpha
    assert added == pytest.approx(2 * ramp / eta**3, rel=1.1 * ramp / eta, abs=1e-12)


@given(seed=st.integers(0, 10_000), size=st.integers(2, 6))
def test_the_amplitude_is_the_variance_that_holds_the_sharpness(seed, size):
    """dS/dt = 0 of dw/dt = -(grad L + delta^2 grad S / 2): the central flow in one direction."""
    rng = np.random.default_rng(seed)
    grad_loss, grad_sharpness = rng.standard_normal((2, size))
    grad_loss *= -np.sign(grad_loss @ grad_sharpness)
    alpha, beta = -grad_loss @ grad_sharpness, grad_sharpness @ grad_sharpness
    flow = -(grad_loss + 0.5 * stabilization.amplitude(alpha, beta) ** 2 * grad_sharpness)
    assert flow @ grad_sharpness == pytest.approx(0, abs=1e-12 * beta)


@given(x=st.floats(-3, 3), w=st.floats(-1, 1), eta=rates, g=forces, h=forces, damping=forces)
def test_descent_on_the_damped_toy_is_the_damped_map(x, w, eta, g, h, damping):
    dx, dw = stabilization.toy_gradient(x, w, 2 / eta, g, h, damping)
    moved = stabilization.reduced_step(x, g * w, g * h, g**2, eta, damping)
    np.testing.assert_allclose(moved, (x - eta * dx, g * (w - eta * dw)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("damping", "updates", "expected", "decays"),
    [
        (0.15, 10, (0.62444804793, 0.61634666620), True),
        (0.05, 400, (0.3428941850, 0.7656999249), False),
    ],
)
def test_ten_and_four_hundred_damped_updates(damping, updates, expected, decays):
    """From (0.5, 0.3) with eta = 0.05, alpha = 1, beta = 2; the fixed point is at 1."""
    assert stabilization.damped_cycle_decays(0.05, 1.0, damping) == decays
    x, y = 0.5, 0.3
    for _ in range(updates):
        x, y = stabilization.reduced_step(x, y, 1.0, 2.0, 0.05, damping)
    np.testing.assert_allclose((abs(x), y), expected, rtol=1e-6)
    for _ in range(10_000 - updates if decays else 0):
        x, y = stabilization.reduced_step(x, y, 1.0, 2.0, 0.05, damping)
    if decays:
        assert abs(x) - 1 == pytest.approx(1.89e-6, rel=1e-2)


@given(
    alpha=forces, eta=st.floats(0.01, 0.6), upper=st.booleans(), side=st.sampled_from([0.98, 1.02])
)
def test_a_cycle_decays_where_the_map_s_eigenvalues_are_inside_the_unit_circle(
    alpha, eta, upper, side
):
    """Of (ln X, y) at the fixed point, by differences of the map."""
    damping = side * (2 / eta + eta * alpha if upper else 2 * eta * alpha)
    rest, small = stabilization.amplitude(alpha, 1.0), 1e-6

    def moved(log_x, y):
        x, y = stabilization.reduced_step(rest * np.exp(log_x), y, alpha, 1.0, eta, damping)
        return np.array([np.log(-x / rest), y])

    columns = [(moved(*(small * e)) - moved(*(-small * e))) / (2 * small) for e in np.eye(2)]
    radius = np.abs(np.linalg.eigvals(np.transpose(columns))).max()
    if abs(radius - 1) > 1e-7:
        assert (radius < 1) == stabilization.damped_cycle_decays(eta, alpha, damping)


@given(alpha=forces, beta=forces, eta=rates, damping=st.floats(0, 4))
def test_the_fixed_point_flips_for_ever(alpha, beta, eta, damping):
    delta = stabilization.amplitude(alpha, beta)
    x, y = stabilization.reduced_step(delta, 0.0, alpha, beta, eta, damping)
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
