"""Why warm up? A run, its description and its central flow, at settings chosen by sliders."""

import marimo

app = marimo.App(app_title="Why warm up?", width="columns")


@app.cell(column=0)
def _():
    from functools import cache

    import marimo as mo
    import matplotlib.pyplot as plt

    import simulator as sim
    from simulator.figures import phase_diagram

    # A setting that was chosen before is not computed again.
    simulate, central_flow, sweep, picture = map(
        cache, (sim.simulate, sim.central_flow, sim.sweep, mo.as_html)
    )
    return central_flow, mo, phase_diagram, picture, plt, sim, simulate, sweep


@app.cell
def _(mo):
    mo.md("""
    # Why warm up?

    Gradient descent is unstable where the sharpness exceeds 2 / eta_t. A network that is trained at
    a large eta_trgt from its first update on may diverge or die. With warmup, eta_t rises to the
    same eta_trgt over t_wrm updates. Each instability on the way lowers the sharpness, and the
    network trains.

    Here a ReLU network with two hidden layers of 16 units learns 64 digits in 128 updates.
    eta_critical is the largest stable learning rate at initialization; t_wrm = 1 is no warmup.
    RMSProp has beta2 = 0.99.
    """)
    return


@app.cell
def _(sim):
    data, steps = sim.load_data("digits", samples=64), 128
    etas, ramps = tuple(2.0**k for k in range(-1, 7)), tuple(2**k for k in range(8))
    return data, etas, ramps, steps


@app.cell
def _(etas, mo, ramps, sim):
    eta_trgt = mo.ui.slider(
        steps=etas, value=16.0, label="eta_trgt / eta_critical", show_value=True
    )
    t_wrm = mo.ui.slider(steps=ramps, value=64, label="t_wrm (updates)", show_value=True)
    param = mo.ui.dropdown(
        {"SP": "sp", "NTP": "ntp", "muP": "mup"}, value="SP", label="parameterization"
    )
    optimizer = mo.ui.dropdown(
        {
            "GD": sim.GD(), "momentum": sim.Momentum(), "RMSProp": sim.RMSProp(beta2=0.99),
            "Adam": sim.Adam(), "GI-Adam": sim.GIAdam(),
        },
        value="GD", label="optimizer",
    )  # fmt: skip
    mo.hstack([mo.vstack([eta_trgt, t_wrm]), mo.vstack([param, optimizer])], justify="start")
    return eta_trgt, optimizer, param, t_wrm


@app.cell
def _(data, optimizer, param, sim):
    model = sim.MLP(width=16, depth=3, parameterization=param.value)
    unit = sim.eta_critical(model, data, optimizer.value)
    return model, unit


@app.cell
def _(data, eta_trgt, model, optimizer, sim, simulate, steps, t_wrm, unit):
    schedule = sim.Warmup(eta_trgt=eta_trgt.value * unit, t_wrm=t_wrm.value)
    run = simulate(model, data, optimizer=optimizer.value, schedule=schedule, steps=steps)
    return run, schedule


@app.cell
def _(mo, run, sim):
    mo.md(sim.explain(run).paragraph)
    return


@app.cell
def _(picture, run):
    picture(run)
    return


@app.cell(column=1)
def _(mo):
    mo.md("""
    ## The central flow of this run

    The central flow is the path of the run averaged over its oscillation at the edge of stability.
    It is known for gradient descent and RMSProp. The flow of RMSProp, and the run in its figure,
    start from the first squared gradient.
    """)
    return


@app.cell
def _(central_flow, data, mo, model, optimizer, picture, run, schedule, steps):
    mo.stop(
        run.diverged or run.gradient_final == 0.0,
        mo.md("The run diverges, or its network dies: a flow can show neither."),
    )
    try:
        flow = central_flow(model, data, optimizer=optimizer.value, schedule=schedule, steps=steps)
    except ValueError as error:
        mo.stop(True, mo.md(f"{error}."))
    _doubts = "".join(f"\n- {doubt}." for doubt in flow.doubts)
    mo.vstack([picture(flow), mo.md(f"Doubts about this flow:\n{_doubts}")])
    return (flow,)


@app.cell
def _(mo):
    mo.md("""
    ## All learning rates and warmups

    The final loss for this parameterization and optimizer.
    """)
    return


@app.cell
def _(data, etas, model, optimizer, ramps, steps, sweep):
    grid = sweep(
        model, data, optimizer=optimizer.value, eta_trgt=etas, t_wrm=ramps, seeds=1, steps=steps,
        eta_unit="critical", sharpness_every=0,
    )  # fmt: skip
    return (grid,)


@app.cell
def _(grid, mo, phase_diagram, plt):
    _figure = phase_diagram(grid).figure
    plt.close(_figure)
    largest = grid.eta_trgt.where(grid.trainable).max("eta_trgt").squeeze(drop=True)
    _text = f"""
    The largest learning rate that trains is {float(largest[0]):g} eta_critical without warmup, and
    {float(largest.max()):g} eta_critical with the best of these warmups.
    """
    mo.vstack([_figure, mo.md(_text)])
    return (largest,)


if __name__ == "__main__":
    app.run()
