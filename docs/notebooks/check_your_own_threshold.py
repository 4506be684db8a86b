"""Check your own threshold: a formula for the largest stable learning rate, against networks."""

import marimo

app = marimo.App(app_title="Check your own threshold")


@app.cell
def _():
    import marimo as mo
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib import ticker

    import simulator as sim

    return mo, np, plt, sim, ticker


@app.cell
def _(mo):
    mo.md("""
    # Check your own threshold

    A network with two linear layers learns one example: f = c v · U x. Training at a constant
    learning rate eta either stays bounded or diverges. Three numbers at initialization decide: the
    trace `lam` of the tangent kernel, `kappa`, and the residual `delta` = f - y. Type a formula for
    the largest stable eta. Random networks are trained 1 % below and 1 % above it.

    Try `2 / lam` (the textbook limit), `4 / lam` (Lewkowycz et al., exact at y = 0), and
    `8 / (lam + sqrt(lam**2 - 16 * kappa**2 * y * delta))` (exact).
    """)
    return


@app.cell
def _(mo):
    formula = mo.ui.text(value="4 / lam", label="eta_max =", full_width=True)
    target = mo.ui.slider(0.0, 4.0, value=1.0, step=0.5, label="target y", show_value=True)
    count = mo.ui.slider(20, 200, value=60, step=20, label="networks", show_value=True)
    mo.vstack([formula, target, count])
    return count, formula, target


@app.cell
def _(count, np, sim, target):
    rng = np.random.default_rng(0)
    networks = []
    for seed in range(count.value):
        data = sim.Data(rng.standard_normal((1, 3)), np.array([[target.value]]))
        model = sim.UV(width=int(2 ** rng.integers(2, 10)))
        theta = model.init(data, seed)
        networks.append((model, data, theta, *model.one_example(theta, data)[:3]))
    return (networks,)


@app.cell
def _(formula, mo, networks, np, target):
    def evaluate(text):
        """The formula for each network; other names raise NameError."""
        known = ("sqrt", "exp", "log", "abs", "minimum", "maximum", "pi")
        names = {name: getattr(np, name) for name in known}
        columns = np.array([entry[3:] for entry in networks]).T
        names |= dict(zip(("delta", "lam", "kappa"), columns, strict=True), y=target.value)
        return np.broadcast_to(eval(text, {"__builtins__": {}}, names), columns[0].shape)

    try:
        claimed, problem = evaluate(formula.value), ""
    except Exception as error:
        claimed, problem = None, f"`{formula.value}`: {error}"
    mo.stop(
        claimed is None, mo.md(f"**This is not a formula of lam, kappa, delta and y.** {problem}")
    )
    return (claimed,)


@app.cell
def _(claimed, networks, np, sim):
    def survives(network, eta):
        model, data, theta = network[:3]
        run = sim.simulate(
            model, data, schedule=sim.Warmup(eta_trgt=eta), steps=2000, theta0=theta,
            sharpness_every=0,
        )  # fmt: skip
        return not run.diverged

    possible = np.isfinite(claimed) & (claimed > 0)
    etas = np.where(possible, claimed, np.nan)
    below, above = (
        np.array(
            [eta > 0 and survives(n, eta) for n, eta in zip(networks, factor * etas, strict=True)]
        )
        for factor in (0.99, 1.01)
    )
    right = below & ~above
    return above, below, right


@app.cell
def _(above, below, claimed, formula, mo, networks, np, right, target):
    lam, kappa, delta = (np.array([entry[k] for entry in networks]) for k in (4, 5, 3))
    exact = 8 / (lam + np.sqrt(lam**2 - 16 * kappa**2 * target.value * delta))
    verdict = "The formula holds" if right.all() else "The formula is wrong"
    worst = int(np.argmax(np.where(right, 0.0, np.abs(np.log(np.abs(claimed) / exact)))))
    example = (
        ""
        if right.all()
        else f"""
    The worst case has `lam` = {lam[worst]:.4g}, `kappa` = {kappa[worst]:.4g} and `delta` =
    {delta[worst]:.4g}: the formula gives {claimed[worst]:.4g}, the limit is {exact[worst]:.4g}.
    """
    )
    mo.md(f"""
    **{verdict}**: `{formula.value}` is right to 1 % for {int(right.sum())} of {right.size}
    networks; {int((~below).sum())} diverge below it, and {int(above.sum())} stay bounded above it.
    {example}
    """)
    return (exact,)


@app.cell
def _(claimed, exact, plt, right, ticker):
    figure, ax = plt.subplots(figsize=(6, 5), layout="constrained")
    ax.plot(exact[right], claimed[right], "o", color="#08519c", label="right to 1 %")
    ax.plot(exact[~right], claimed[~right], "x", color="#a63603", label="wrong")
    ax.axline((exact.min(), exact.min()), slope=1, color="k", lw=1, ls="--", label="exact")
    ax.set(xscale="log", yscale="log", xlabel=r"exact $\eta_\mathrm{max}$", ylabel="formula")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(ticker.NullFormatter())
    ax.legend()
    figure
    return


@app.cell
def _(mo):
    mo.md("""
    To test a conjecture on random models, data or optimizers, write it as a property test with
    `sim.testing`: see the README, section In Python.
    """)
    return


if __name__ == "__main__":
    app.run()
