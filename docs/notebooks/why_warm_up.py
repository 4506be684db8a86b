"""Why warm up? One network, trained at one learning rate with and without warmup."""

import marimo

app = marimo.App(app_title="Why warm up?")


@app.cell
def _():
    import marimo as mo
    import matplotlib.pyplot as plt
    import numpy as np

    import simulator as sim
    from simulator.figures import phase_diagram

    return mo, np, phase_diagram, plt, sim


@app.cell
def _(mo):
    mo.md("""
    # Why warm up?

    A network is unstable where its sharpness exceeds 2 / eta. Choose a target learning rate, in
    multiples of the critical one (2 / sharpness at initialisation), and see the same network
    trained at it twice: from the first update on, and warmed up to it from 0.
    """)
    return


@app.cell
def _(mo):
    eta = mo.ui.slider(
        steps=[1, 2, 4, 8, 16, 32, 64, 128], value=32, label="eta_trgt / eta_critical",
        show_value=True,
    )  # fmt: skip
    t_wrm = mo.ui.slider(steps=[4, 16, 64, 128], value=64, label="t_wrm, updates", show_value=True)
    parameterization = mo.ui.dropdown(["sp", "ntp", "mup"], value="sp", label="parameterisation")
    seed = mo.ui.slider(0, 4, value=0, label="seed", show_value=True)
    mo.vstack([eta, t_wrm, parameterization, seed])
    return eta, parameterization, seed, t_wrm


@app.cell
def _(eta, parameterization, seed, sim, t_wrm):
    data = sim.load_data("digits", samples=256)
    model = sim.MLP(width=32, depth=3, parameterization=parameterization.value)
    unit = sim.eta_critical(model, data, sim.GD(), seed=seed.value)
    runs = {
        name: sim.simulate(
            model, data, schedule=sim.Warmup(eta_trgt=eta.value * unit, t_wrm=ramp),
            steps=256, seed=seed.value,
        )
        for name, ramp in (("without", 1), (f"t_wrm = {t_wrm.value}", t_wrm.value))
    }  # fmt: skip
    cold, warm = runs.values()
    return cold, data, model, runs, unit, warm


@app.cell
def _(cold, mo, sim, warm):
    told = [
        mo.md(f"**{name}: {run.outcome.replace('_', ' ')}**\n\n{sim.explain(run).paragraph}")
        for name, run in (("Without warmup", cold), ("With warmup", warm))
    ]
    mo.hstack(told, widths="equal")
    return


@app.cell
def _(np, plt, runs):
    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(8, 6), layout="constrained")
    for (name, run), color in zip(runs.items(), ("#a63603", "#08519c"), strict=True):
        shown = np.isfinite(run.loss) & (run.loss < 1e3)
        steps = np.arange(run.loss.size)
        above.plot(steps[shown], run.loss[shown], color=color, label=name)
        shown &= run.sharpness > 0
        below.plot(steps[shown], run.sharpness[shown], color=color, label=f"sharpness, {name}")
    threshold = run.threshold
    below.plot(steps[1:], threshold[1:], "k--", lw=1, label=r"threshold $2 / \eta_t$ of the warmup")
    above.set(yscale="log", ylabel="loss")
    below.set(yscale="log", ylabel="sharpness", xlabel="update")
    above.legend()
    below.legend()
    figure
    return


@app.cell
def _(mo):
    mo.md("""
    ## All of them at once

    The network of seed 0 over a grid of targets and lengths of warmup. Where it is hatched,
    training diverged; where it is dotted, it is stuck. The line is the boundary of what trains.
    """)
    return


@app.cell
def _(data, model, phase_diagram, sim):
    grid = sim.sweep(
        model, data, eta_trgt=[2.0**k for k in range(8)], t_wrm=[1, 4, 16, 64, 128],
        seeds=1, steps=256, eta_unit="critical", sharpness_every=0,
    )  # fmt: skip
    diagram = phase_diagram(grid)
    diagram.figure
    return (grid,)


@app.cell
def _(cold, grid, mo, warm):
    flatter = warm.sharpness_init / warm.sharpness_final
    largest = grid.eta_trgt.where(grid.trainable).max("eta_trgt").squeeze(drop=True)
    mo.md(f"""
    The largest learning rate that trains is {float(largest[0]):g} times the critical one without
    warmup, and {float(largest.max()):g} times with the best of these. The run without warmup
    {"trained" if cold.trainable else "did not train"}; the one with it
    {"trained" if warm.trainable else "did not"}, and ended {flatter:.3g} times flatter than it
    began.
    """)
    return


if __name__ == "__main__":
    app.run()
