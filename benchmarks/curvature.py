"""A sharpness-tracked training step, in gradients: ours, the paper's, the best JAX, PyTorch.

Digits, 512 samples, 64-64-64-10, float64, full-batch GD, linear warmup from 0 over half of the
steps to a target beyond the threshold. All follow one trajectory, and each takes its loss and its
gradient at every step of it, besides the eigenvalue.

- ``ours``: ``sim.simulate(..., sharpness_every=1)``, all that it does included, at its default
  accuracy of 1e-5.
- ``paper``: Kalra & Barkeshli's procedure, JAX's LOBPCG at every step from one vector of signs,
  tolerance 1e-9, products by jvp of grad. It has no memory, so every eighth step is a fair sample.
- ``jax lobpcg``: LOBPCG from the last vector, stopped where the error is about 1e-5; only with
  ``--lobpcg 1``, as it costs more than all others together and is never the best.
- ``jax davidson``: `solvers.davidson` from the last two vectors at accuracy 1e-5, products that
  reuse the activations (``linearize``), all steps in one jitted scan.
- ``torch power``: power iteration from the last vector as PyHessian's, tolerance 1e-3, at most 100.
- ``torch arpack``: hessian-eigenthings' Lanczos from the last vector, every eighth step.

Ratios are times over ours: above 1, ours is faster. Errors are relative, against ARPACK at 1e-10
on our products, at every eighth step.
"""

from __future__ import annotations

import contest  # first: it sets the environment

# isort: split
from collections.abc import Callable
from typing import Any

import numpy as np
import solvers
from peers import jax_loss, split, torch_loss

import simulator as sim

SAMPLE = 8
# A residual r makes an error of about r^2 / gap: 1e-5 where the gap is as large as the eigenvalue.
RESIDUAL = 3e-3
# eta_trgt in units of eta_c: beyond the threshold, short of divergence and of dead networks, where
# ours would have nothing left to do.
TARGETS = {
    ("sp", "relu", "mse"): 16, ("sp", "tanh", "mse"): 2,
    ("sp", "relu", "xent"): 16, ("sp", "tanh", "xent"): 8,
    ("mup", "relu", "mse"): 4, ("mup", "tanh", "mse"): 4,
    ("mup", "relu", "xent"): 0.3, ("mup", "tanh", "xent"): 4,
}  # fmt: skip

Curve = np.ndarray


def trajectory(objective: Any, theta: Curve, eta: Curve) -> tuple[Curve, Curve, dict[int, float]]:
    """Losses, thetas (steps, P) and, at every eighth step, converged eigenvalues."""
    losses, thetas, exact = np.empty(eta.size), np.empty((eta.size, theta.size)), {}
    gradient, image = np.empty_like(theta), np.empty_like(theta)

    def product(v: Curve) -> Curve:
        objective.hvp(np.ascontiguousarray(v), image)
        return image.copy()

    start = np.random.default_rng(0).standard_normal(theta.size)
    theta = theta.copy()
    for step, rate in enumerate(eta):
        thetas[step] = theta
        losses[step] = objective.gradient(thetas[step], gradient)
        if not gradient.any():
            raise SystemExit(f"the network dies at step {step}; lower its target")
        if step % SAMPLE == 0:
            exact[step] = solvers.arpack(product, start, 1e-10)[0]
        theta -= rate * gradient
    return losses, thetas, exact


def sampled(values: Curve, steps: int) -> Curve:
    """A curve over all steps, NaN where it was not measured."""
    curve = np.full(steps, np.nan)
    curve[::SAMPLE] = values
    return curve


def jax_contestants(
    jax: Any, model: sim.MLP, data: sim.Data, thetas: Curve, slow: int
) -> dict[str, Any]:
    """Calls that follow the trajectory; each returns losses and sharpness over the steps."""
    import jax.numpy as jnp
    from jax.experimental.sparse.linalg import lobpcg_standard

    loss_of, widths, size = jax_loss(model, model.widths(data)), model.widths(data), thetas.shape[1]
    x, y = jnp.asarray(data.x), jnp.asarray(data.targets)
    every, some = jnp.asarray(thetas), jnp.asarray(thetas[::SAMPLE])
    draw = np.random.default_rng(1).standard_normal((size, 2))
    two = jnp.asarray(np.linalg.qr(draw)[0])
    signs = jnp.asarray(np.sign(draw[:, :1]))
    warm = solvers.lobpcg_tolerance(RESIDUAL, size)

    def loss(theta: Any, x: Any, y: Any) -> Any:
        return loss_of(split(theta, widths), x, y)

    def curvature(theta: Any, x: Any, y: Any) -> Any:
        slope = jax.grad(loss)
        return lambda v: jax.jvp(lambda t: slope(t, x, y), (theta,), (v,))[1]

    @jax.jit
    def papers(theta: Any, x: Any, y: Any) -> Any:
        product = jax.vmap(curvature(theta, x, y), in_axes=1, out_axes=1)
        value, gradient = jax.value_and_grad(loss)(theta, x, y)
        return value, gradient, lobpcg_standard(product, signs, 1000, 1e-9)[0][0]

    @jax.jit
    def step_by_lobpcg(vector: Any, theta: Any, x: Any, y: Any) -> Any:
        product = jax.vmap(curvature(theta, x, y), in_axes=1, out_axes=1)
        value, gradient = jax.value_and_grad(loss)(theta, x, y)
        values, vector, _ = lobpcg_standard(product, vector, 1000, warm)
        return vector, (value, gradient @ gradient, values[0])

    @jax.jit
    def all_by_davidson(thetas: Any, x: Any, y: Any) -> Any:
        def step(vectors: Any, theta: Any) -> Any:
            value = loss(theta, x, y)
            gradient, product = jax.linearize(lambda t: jax.grad(loss)(t, x, y), theta)
            top, vectors, products = solvers.davidson(product, vectors, 1e-5)
            return vectors, (value, gradient @ gradient, top, products)

        return jax.lax.scan(step, two.T, thetas)[1]

    def paper() -> tuple[Curve, Curve]:
        found = [jax.block_until_ready(papers(theta, x, y)) for theta in some]
        return tuple(sampled([float(f[i]) for f in found], len(thetas)) for i in (0, 2))

    def lobpcg() -> tuple[Curve, Curve]:
        found, vector = [], two[:, :1]
        for theta in every:
            vector, values = step_by_lobpcg(vector, theta, x, y)
            found.append(jax.block_until_ready(values))
        return tuple(np.array([float(f[i]) for f in found]) for i in (0, 2))

    def davidson() -> tuple[Curve, Curve]:
        found = [np.asarray(curve) for curve in all_by_davidson(every, x, y)]
        return found[0], found[2]

    calls = {"paper": paper, "jax davidson": davidson}
    return calls | ({"jax lobpcg": lobpcg} if slow else {})


def torch_contestants(torch: Any, model: sim.MLP, data: sim.Data, thetas: Curve) -> dict[str, Any]:
    """The same for PyTorch: products by differentiating the gradient again."""
    torch.set_num_threads(1)
    loss_of, widths = torch_loss(model, model.widths(data)), model.widths(data)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.targets)
    start = torch.from_numpy(np.random.default_rng(1).standard_normal(thetas.shape[1]))

    def at(theta: Curve) -> tuple[float, Callable[[Any], Any]]:
        leaf = torch.from_numpy(theta).requires_grad_()
        value = loss_of(split(leaf, widths), x, y)
        (slope,) = torch.autograd.grad(value, leaf, create_graph=True)
        return value.item(), lambda v: torch.autograd.grad(slope, leaf, v, retain_graph=True)[0]

    def power() -> tuple[Curve, Curve]:
        curves, v = np.empty((2, len(thetas))), start / start.norm()
        for step, theta in enumerate(thetas):
            curves[0, step], product = at(theta)
            curves[1, step], v, _ = solvers.power_iteration(product, v, 1e-3, 100)
        return curves[0], curves[1]

    def arpack() -> tuple[Curve, Curve]:
        curves, v = np.full((2, len(thetas)), np.nan), start.numpy()
        for step in range(0, len(thetas), SAMPLE):
            curves[0, step], product = at(thetas[step])
            curves[1, step], v = solvers.arpack(
                lambda u, p=product: p(torch.from_numpy(u.ravel())).numpy(), v, RESIDUAL
            )
        return curves[0], curves[1]

    return {"torch power": power, "torch arpack": arpack}


def contest_at(setting: tuple[str, str, str], arguments: Any, libraries: Any) -> dict[str, Any]:
    """Times and errors of every contestant in one setting."""
    parameterization, activation, criterion = setting
    data, steps = sim.load_data("digits", samples=512), arguments.steps
    model = sim.MLP(64, 3, activation, parameterization, criterion)
    eta_trgt = TARGETS[setting] * sim.eta_critical(model, data, sim.GD())
    warmup = sim.Warmup(eta_trgt=eta_trgt, t_wrm=steps // 2)
    objective, theta = model.bind(data), model.init(data)
    losses, thetas, exact = trajectory(objective, theta, warmup.values(steps))
    if not np.isfinite(thetas).all():
        raise SystemExit(f"{setting}: diverges; lower its target")
    gradient = np.empty_like(theta)

    def ours() -> tuple[Curve, Curve]:
        run = sim.simulate(model, data, schedule=warmup, steps=steps, sharpness_every=1)
        return run.loss, run.sharpness

    def gradients() -> None:
        for _ in range(steps):
            objective.gradient(theta, gradient)

    calls: dict[str, Callable[[], Any]] = {"ours": ours}
    jax, torch = libraries
    if jax is not None:
        calls |= jax_contestants(jax, model, data, thetas, arguments.lobpcg)
    if torch is not None:
        calls |= torch_contestants(torch, model, data, thetas)
    errors, share = {}, {}
    for name, call in calls.items():
        loss, values = call()
        measured = np.isfinite(loss)
        # Chaos makes a trajectory of another's: theirs is ours, up to the gradient's rounding.
        contest.agree(f"{setting} {name}", {"": losses[measured], name: loss[measured]}, 1e-9)
        at = [step for step in exact if measured[step]]
        error = np.abs(values[at] / np.array([exact[step] for step in at]) - 1)
        errors[name] = {"median": float(np.median(error)), "max": float(error.max())}
        share[name] = measured.mean()
    times = contest.alternate(calls | {"gradient": gradients}, arguments.rounds, least=0)
    unit = times.pop("gradient") / steps
    per_step = {name: t / (steps * share[name]) for name, t in times.items()}
    return {
        name: {
            "ms": contest.spread(1e3 * t), "gradients": contest.spread(t / unit),
            "ratio": contest.spread(t / per_step["ours"]), "error": errors[name],
        }
        for name, t in per_step.items()
    }  # fmt: skip


def main() -> None:
    arguments = contest.options(__doc__, steps=200, lobpcg=0).parse_args()
    libraries = [contest.optional(name) for name in ("jax", "torch")]
    if libraries[0] is not None:
        libraries[0].config.update("jax_enable_x64", True)
    results, gained = {}, {}
    head = ["contestant", "ms a step", "gradients a step", "over ours", "error: median", "max"]
    for setting in TARGETS:
        found = results[" ".join(setting)] = contest_at(setting, arguments, libraries)
        rows = [
            [name, *(contest.show(f[key]) for key in ("ms", "gradients", "ratio")),
             *(f"{f['error'][key]:.0e}" for key in ("median", "max"))]
            for name, f in found.items()
        ]  # fmt: skip
        print(f"\n{' '.join(setting)}, eta_trgt {TARGETS[setting]} eta_c")
        contest.table(head, rows)
        for name, f in found.items():
            gained.setdefault(name, []).append([f["gradients"]["median"], f["ratio"]["median"]])
    print(f"\nover the {len(results)} settings")
    columns = {name: np.array(pairs).T for name, pairs in gained.items()}
    contest.table(
        ["contestant", "gradients a step", "over ours"],
        [
            [name, *(contest.show(contest.spread(c)) for c in pair)]
            for name, pair in columns.items()
        ],
    )
    contest.finish(arguments.json, results)


if __name__ == "__main__":
    main()
