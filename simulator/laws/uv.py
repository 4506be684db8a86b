"""Laws of one example in the UV model, where everything up to divergence is exact."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.arrays import Array
from simulator.curvature import sharpness
from simulator.laws.law import Reading, at_most, equal, law, match
from simulator.laws.one_example import Example, random_example
from simulator.laws.pictures import uv as pictures
from simulator.models import UV
from simulator.theory import uv

Starts = Iterator[tuple[Example, Array, tuple[float, float, float, float]]]


def _start(example: Example, rng: np.random.Generator) -> Array:
    return example.model.init(example.data, int(rng.integers(2**32)))


def _gaussian(rng: np.random.Generator, count: int, largest: int | None = None) -> Starts:
    """So many examples with Gaussian weights, and (delta, lam, kappa, y) of each."""
    for _ in range(count):
        example = random_example(rng, largest and int(rng.integers(1, largest)))
        theta = _start(example, rng)
        yield example, theta, example.setting(theta)


@law(1e-8)
def exact_updates(rng: np.random.Generator) -> Iterator[Reading]:
    """delta' = delta (1 - eta lam + (eta kappa)^2 delta f), and lam' likewise, at every width.

    lam' = lam + eta kappa^2 delta (eta lam delta - 4 f): Lewkowycz et al. 2003.02218 at y = 0.
    Ten updates at any bounded eta.
    """
    for example, theta, setting in _gaussian(rng, 24):
        eta = rng.uniform() * float(uv.eta_max(*setting))
        state = setting[:2]
        for _ in range(10):
            state = uv.step(*state, *setting[2:], eta)
        after = example.state(example.train(theta, eta, 10).theta)
        scale = np.array([1.0 + abs(example.y), setting[1]])
        yield equal(state / scale, after / scale, scale=1.0)


@law(1e-8)
def modes_and_mu_are_all(rng: np.random.Generator) -> Iterator[Reading]:
    """At constant eta all depends on eta A, eta B and eta kappa y, not on width, s, |x|, var_w.

    Two networks of any two shapes started at the same three numbers, after 10 updates.
    """
    for _ in range(16):
        mu, weights = rng.uniform(0.1, 1.8), rng.dirichlet([1.0, 1.0, 1.0])
        start = weights[:2] * (4.0 + 2.0 * mu, 4.0 - 2.0 * mu)
        ends = []
        for _ in range(2):
            example = random_example(rng, y=rng.uniform(0.1, 3.0))
            eta = mu / (example.kappa * example.y)
            theta = example.weights(start / eta, rng)
            delta, lam = example.state(example.train(theta, eta, 10).theta)
            ends.append((eta * example.kappa * delta, eta * lam))
        yield equal(ends[0], ends[1], scale=1.0)


@law(1e-10)
def hessian_of_one_example(rng: np.random.Generator) -> Iterator[Reading]:
    """Eigenvalues (lam +- sqrt(lam^2 + 4 kappa^2 delta (3 delta + 2 y))) / 2, +-kappa delta, 0.

    With their multiplicities, by dense linear algebra on every weight.
    """
    for _ in range(12):
        example = random_example(rng, int(rng.integers(1, 9)), representation="parameters")
        theta = rng.standard_normal(example.model.init(example.data).size)
        setting = example.setting(theta)
        spectrum = uv.hessian_spectrum(*setting, example.model.width, example.data.inputs)
        found = np.linalg.eigvalsh(example.model.hessian(theta, example.data))
        yield equal(spectrum / spectrum[-1], found / spectrum[-1], scale=1.0)


@law(1e-8)
def top_of_hessian(rng: np.random.Generator) -> Iterator[Reading]:
    """Sharpness = (lam + sqrt(lam^2 + 4 kappa^2 delta (3 delta + 2 y))) / 2, lam the NTK trace.

    By the simulator's solver at widths up to a million.
    """
    for example, theta, setting in _gaussian(rng, 24):
        yield equal(uv.sharpness(*setting), sharpness(example.model, theta, example.data))


@law(1e-6)
def gradient_flow_in_time(rng: np.random.Generator) -> Iterator[Reading]:
    """Flow conserves A B, and tan(phi_end - phi) falls as exp(-lam_end t), tan(phi)^2 = B / A.

    The trace lam after a random time, against a fourth-order integration of the weights.
    """
    for example, theta, setting in _gaussian(rng, 16):
        top = max(setting[1], uv.flow_limit(*setting))
        time = rng.uniform(0.1, 4.0) / top
        yield equal(
            uv.flow(time, *setting)[1] / top,
            example.state(example.flow(theta, time, 0.05 / top))[1] / top,
            scale=1.0,
        )


@law(1e-4)
def gradient_flow_limit(rng: np.random.Generator) -> Iterator[Reading]:
    """Gradient flow ends at the sharpness sqrt(lam_0^2 + 4 kappa^2 (y^2 - f_0^2)).

    A fourth-order integration of the weights until the residual has decayed, then the solver.
    """
    for example, theta, setting in _gaussian(rng, 40):
        limit, first = uv.flow_limit(*setting), np.multiply(*uv.modes(*setting))
        # The trace on the way is at least 2 sqrt(A B).
        if limit < 8.0 * np.sqrt(first) and setting[1] < 8.0 * np.sqrt(first):
            stride = 0.2 / max(setting[1], limit)
            ending = example.flow(theta, 6.0 / np.sqrt(first), stride)
            yield equal(limit, sharpness(example.model, ending, example.data))


@law(1e-5)
def descent_ends_flatter(rng: np.random.Generator) -> Iterator[Reading]:
    """Descent ends flatter than flow, by at most eta (kappa delta_0)^2 / (2 - eta lam).

    At eta lam < 1, lam the larger one of the start and of flow's end. Traces after 1,500 updates;
    measured is the difference in units of the bound, or 1 less it where that is more: it has to be
    in [0, 1].
    """
    for example, theta, setting in _gaussian(rng, 40, largest=100):
        limit = float(uv.flow_limit(*setting))
        eta = rng.uniform(0.1, 0.95) / max(setting[1], limit)
        delta, lam = example.state(example.train(theta, eta, 1500).theta)
        if abs(delta) < 1e-9 * abs(setting[0]):
            flatter = (limit - lam) / uv.step_size_bias(*setting, eta)
            yield at_most(1.0, max(flatter, 1.0 - flatter))


@law(0.0)
def net_trend(rng: np.random.Generator) -> Iterator[Reading]:
    """Training at a small eta ends sharper than it starts iff |f_0| < |y| (progressive sharpening).

    Kalra, He and Barkeshli 2311.02076. The trace at the start and where 2,000 updates at
    eta lam = 0.02 have converged, |f_0| and |y| apart by 10 % of their sum at least.
    """
    for example, theta, (delta, lam, _, _) in _gaussian(rng, 40, largest=30):
        output, target = abs(delta + example.y), abs(example.y)
        eta = 0.02 / max(lam, uv.flow_limit(delta, lam, example.kappa, example.y))
        left, end = example.state(example.train(theta, eta, 2000).theta)
        if abs(output - target) > 0.1 * (output + target) and abs(left) < 1e-3 * abs(delta):
            yield match(output < target, end > lam)


@law(0.05, picture=pictures.trace_and_sharpness)
def sharpness_dip(rng: np.random.Generator) -> Iterator[Reading]:
    """From f_0 = 0, wide: the Hessian sharpness falls until f = 2 y / 5; the trace only rises.

    Where the sharpness that the simulator follows is smallest, at eta lam = 0.01; NaN if the trace
    ever falls.
    """
    for _ in range(3):
        example = random_example(rng, int(10 ** rng.uniform(4, 5)), representation="gram")
        example = Example(UV(example.model.width), example.data)
        lam = 100.0 * example.kappa * abs(example.y)
        theta = example.weights([0.5 * lam, 0.5 * lam], rng)
        run = example.train(theta, 0.01 / lam, 200, sharpness_every=1)
        traces = [example.state(at)[1] for at in example.descend(theta, 0.01 / lam, 100)]
        remaining = np.sqrt(2.0 * run.loss[np.argmin(run.sharpness)]) / abs(example.y)
        yield equal(0.4, 1.0 - remaining if np.all(np.diff(traces) > 0) else np.nan)


@law(1e-3)
def sharpness_drift(rng: np.random.Generator) -> Iterator[Reading]:
    """In flow the sharpness drifts by -2 kappa^2 delta (f + 2 lam (2 f - y) / R).

    R = 2 sharpness - lam. A central difference of the solver's sharpness along the gradient.
    """
    for example, theta, setting in _gaussian(rng, 16):
        shift = 3e-4 / setting[1] * example.model.gradient(theta, example.data)
        ahead = sharpness(example.model, theta - shift, example.data)
        behind = sharpness(example.model, theta + shift, example.data)
        scale = example.kappa**2 * abs(setting[0]) * (abs(setting[0]) + abs(example.y))
        yield equal(
            uv.sharpness_drift(*setting) / scale,
            (ahead - behind) / (6e-4 / setting[1]) / scale,
            scale=1.0,
        )


def _states(example: Example, rng: np.random.Generator, draws: int) -> Array:
    """(delta, lam) at initialisation of so many seeds (draws, 2)."""
    return np.array([example.state(_start(example, rng)) for _ in range(draws)])


@law(0.15)
def initial_trace_and_output(rng: np.random.Generator) -> Iterator[Reading]:
    """Initially E lam = 2 sigma^2 chi, Var lam = 4 sigma^4 chi^2 / n, Var f = sigma^4 chi / n^s.

    sigma^2 is the weight variance at s = 0, chi = |x|^2. Over 3,000 seeds.
    """
    for _ in range(3):
        example = random_example(rng, int(rng.integers(8, 1000)), 0.0, "gram")
        states, model = _states(example, rng, 3000), example.model
        chi = float(np.sum(example.data.x**2))
        yield equal(
            list(uv.initial_moments(model.width, model.s, model.var_w, chi)),
            [states[:, 1].mean(), states[:, 1].var(), states[:, 0].var()],
        )


@law(0.12)
def aligned_layers(rng: np.random.Generator) -> Iterator[Reading]:
    """Gaussian layers are aligned by E (kappa f / lam)^2 = 1 / (4 (n + 1)), at every s.

    At y = 0 the first update then raises the loss beyond eta lam = 2 + 1 / n on average. Over 3,000
    seeds.
    """
    widths = np.array([1, 2, 4, int(rng.integers(5, 1000))])
    measured = []
    for width in widths:
        example = random_example(rng, int(width), 0.0, "gram")
        states = _states(example, rng, 3000)
        measured.append(np.mean((example.kappa * states[:, 0] / states[:, 1]) ** 2))
    yield equal(uv.squared_alignment(widths), measured)


@law(0.05)
def sharpness_reduction_probability(rng: np.random.Generator) -> Iterator[Reading]:
    """A fraction 2 Phi(-|y| n^(s/2) / (sigma^2 |x|)) of wide networks ends flatter than it starts.

    Kalra, He and Barkeshli 2311.02076 find the reduction in NTK parameterization, not in muP. 4,000
    networks of width 64, weight by weight, at eta lam = 0.1 or so.
    """
    width, networks = 64, 4000
    for s in (0.0, 0.3):
        y, x, var_w = rng.uniform(0.2, 1.0), rng.uniform(0.5, 1.5), rng.uniform(0.5, 1.5)
        kappa = uv.coupling(width, s, x**2)
        u, v = np.sqrt(var_w * width**-s) * rng.standard_normal((2, networks, width))
        eta = 0.1 / (2.0 * var_w * x**2 + 2.0 * kappa * y)
        first = np.sum(u**2 + v**2, axis=1)
        for _ in range(120):
            pull = eta * kappa * (kappa * np.einsum("rn,rn->r", u, v) - y)[:, None]
            u, v = u - pull * v, v - pull * u
        yield equal(
            uv.reduction_probability(y, width, s, var_w, x**2),
            np.mean(np.sum(u**2 + v**2, axis=1) < first),
            scale=1.0,
        )


@law(1e-9)
def invariant_line(rng: np.random.Generator) -> Iterator[Reading]:
    """W = a / (4 + 2 mu) + b / (4 - 2 mu): 1 - W' = (1 - W)(1 + eps^2 + mu eps), no run crosses 1.

    a, b = eta A, eta B, eps = eta kappa delta, mu = eta kappa y. One simulated update from random
    modes, up to far beyond that line.
    """
    for _ in range(24):
        example = random_example(rng)
        mu = np.copysign(rng.uniform(0.1, 1.95), example.y)
        eta = mu / (example.kappa * example.y)
        a, b = rng.uniform(0.0, 8.0, 2)
        ahead = example.train(example.weights([a / eta, b / eta], rng), eta, 1).theta
        after = uv.dimensionless(*example.setting(ahead), eta)
        ratio = uv.invariant_ratio(uv.residual(a, b, mu), mu)
        scale = 1.0 + ratio * uv.invariant(a, b, mu)
        yield equal(
            (1.0 - uv.invariant(a, b, mu)) * ratio / scale,
            (1.0 - uv.invariant(*after)) / scale,
            scale=1.0,
        )


@law(0.0, picture=pictures.phases_of_one_example)
def divergence_boundary(rng: np.random.Generator) -> Iterator[Reading]:
    """GD at constant eta is bounded iff eta < 8 / (lam_0 + sqrt(lam_0^2 + 16 kappa^2 y (y - f_0))).

    4 / lam_0 at y = 0 (Lewkowycz et al. 2003.02218). Runs of 3,000 updates at 0.3 % to 30 % above
    or below it, from Gaussian weights and from any modes, in both representations.
    """
    for instance in range(80):
        example = random_example(rng, y=0.0 if instance % 8 == 0 else None)
        theta = _start(example, rng)
        if instance % 2 and example.y:
            modes = rng.uniform(0.0, 8.0, 2) * example.kappa * abs(example.y)
            theta = example.weights(modes, rng)
        away = rng.choice([-1.0, 1.0]) * 0.3 * 10 ** rng.uniform(-2.0, 0.0)
        eta = float((1.0 + away) * uv.eta_max(*example.setting(theta)))
        yield match(bool(away < 0), not example.train(theta, eta, 3000).diverged)


@law(0.0)
def late_phases(rng: np.random.Generator) -> Iterator[Reading]:
    """Bounded runs reach zero loss and eta lam < 2 if eta < 1 / (kappa |y|), else they oscillate.

    And beyond 2 / (kappa |y|) all diverge. Runs of 4,000 updates from any modes, 1 % away from the
    boundary; converged if eta kappa |delta| < 1e-6 and eta lam < 2.
    """
    ranges = ((0.1, 0.9), (1.1, 1.95), (2.05, 3.0))
    for instance in range(45):
        example = random_example(rng)
        eta = rng.uniform(*ranges[instance % 3]) / (example.kappa * abs(example.y))
        theta = example.weights(rng.uniform(0.05, 4.0, 2) / eta, rng)
        setting = example.setting(theta)
        if abs(eta / uv.eta_max(*setting) - 1.0) > 0.01:
            yield match(str(uv.late_phase(*setting, eta)), _late_phase(example, theta, eta))


def _late_phase(example: Example, theta: Array, eta: float) -> str:
    run = example.train(theta, eta, 4000)
    if run.diverged:
        return "diverges"
    delta, lam = example.state(run.theta)
    settled = abs(eta * example.kappa * delta) < 1e-6 and eta * lam < 2.0
    return "converges" if settled else "oscillates"


@law(1e-9)
def ceiling_of_the_loss(rng: np.random.Generator) -> Iterator[Reading]:
    """No loss of a bounded run exceeds 2 / (eta kappa)^2: |eta kappa delta| <= 2 at every step.

    The largest loss of 1,000 updates at 60 % to 99.9 % of the largest bounded eta.
    """
    for example, theta, setting in _gaussian(rng, 40):
        eta = float(uv.eta_max(*setting) * rng.uniform(0.6, 0.999))
        yield at_most(uv.loss_cap(example.kappa, eta), example.train(theta, eta, 1000).loss_max)


@law(0.0)
def edge_reachability(rng: np.random.Generator) -> Iterator[Reading]:
    """Some constant eta ends at the edge of stability iff lam_0 < 3 kappa |y| + kappa f_0 sign(y).

    From a larger trace only warmup gets there. 4,000 updates at eta = 1.03 / (kappa |y|), where 8 %
    of trace more or less would not decide.
    """
    found = 0
    while found < 40:
        example = random_example(rng)
        k, y = example.kappa, example.y
        theta = example.weights(rng.uniform(0.1, 3.0, 2) * k * abs(y), rng)
        delta, lam = example.state(theta)
        more, less = (uv.edge_is_reachable(delta, lam * by, k, y) for by in (1.08, 1 / 1.08))
        if more == less:
            phase = _late_phase(example, theta, 1.03 * float(uv.eta_edge(k, y)))
            yield match(bool(uv.edge_is_reachable(delta, lam, k, y)), phase == "oscillates")
            found += 1


@law(0.0)
def first_update_raises_loss(rng: np.random.Generator) -> Iterator[Reading]:
    """The first update raises the loss iff eta > 4 / (lam + sqrt(lam^2 - 8 kappa^2 delta f)).

    Where that is real; otherwise iff eta > lam / (kappa^2 delta f). One update, 1 % to 30 % below
    or above.
    """
    for example, theta, setting in _gaussian(rng, 40, largest=30):
        away = rng.choice([-1.0, 1.0]) * 10 ** rng.uniform(-2.0, -0.5)
        eta = float((1.0 + away) * uv.eta_loss(*setting))
        run = example.train(theta, eta, 1)
        yield match(bool(away > 0), run.loss_final > run.loss_init)
