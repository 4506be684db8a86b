"""Many runs side by side say the same as each run alone, told from its curves."""

import numpy as np
import pytest

import simulator as sim

OPTIMIZERS = [sim.GD(), sim.Momentum(0.8), sim.Momentum(0.9, ema=True), sim.Nesterov(0.6)]


def _problem(inputs, outputs, samples, seed, **options):
    draw = np.random.default_rng(seed)
    data = sim.Data(
        draw.standard_normal((samples, inputs)), draw.standard_normal((samples, outputs))
    )
    return sim.UV(**options), data


PROBLEMS = {
    "one example": _problem(1, 1, 1, 0, width=7),
    "one example, many inputs": _problem(5, 1, 1, 1, width=10**6, s=1.0),
    "target 0": (sim.UV(width=100), sim.Data([[1.0]], [[0.0]])),
    "one example, weight by weight": _problem(3, 1, 1, 2, width=9, representation="parameters"),
    "many samples": _problem(2, 1, 5, 3, width=20),
    "two outputs": _problem(2, 2, 3, 4, width=2),
    "weight by weight": _problem(2, 1, 4, 5, width=6, s=0.5, representation="parameters"),
}


def _sweep(model, data, **options):
    defaults = {
        "eta_init": [0.0, 0.3], "eta_trgt": [0.5, 1.0, 1.5, 1.9, 2.4, 5.0], "t_wrm": [1, 20],
        "steps": 97, "seeds": 2, "eta_unit": "critical", "sharpness_every": 1,
    }  # fmt: skip
    return sim.sweep(model, data, **defaults | options)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: f"{o.name} {o.options()}")
@pytest.mark.parametrize("every", [0, 1, 7])
def test_a_cell_is_what_its_run_says(name, optimizer, every):
    """Every number and word, bit for bit, though one comes from curves and one from none."""
    model, data = PROBLEMS[name]
    cells = _sweep(model, data, optimizer=optimizer, sharpness_every=every)
    words = (
        "loss_init", "loss_max", "loss_final", "sharpness_init", "sharpness_max",
        "sharpness_final", "diverged", "diverged_step", "n_catapults", "natural_phase", "outcome",
        "trainable",
    )  # fmt: skip
    for at in np.ndindex(cells["outcome"].shape):
        cell = cells.isel(dict(zip(("seed", "eta_init", "eta_trgt", "t_wrm"), at, strict=True)))
        unit = float(cell["eta_critical"])
        run = sim.simulate(
            model,
            data,
            optimizer=optimizer,
            schedule=sim.Warmup(
                float(cell["eta_init"]) * unit, float(cell["eta_trgt"]) * unit, int(cell["t_wrm"])
            ),
            steps=97,
            seed=int(cell["seed"]),
            sharpness_every=every,
        )
        for word in words:
            found, told = cell[word].item(), getattr(run, word)
            assert found == told or (found != found and told != told), (at, word, found, told)
