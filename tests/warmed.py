"""What a `warm.Warm` has from the start: imports, kernels from the cache, a font."""

from contextlib import suppress

import matplotlib.pyplot
import scipy.stats
import sklearn.datasets
import warm
import xarray
import zarr

import simulator as sim
import simulator.commands
import simulator.laws
import simulator.reporting

# What xarray imports at the first comparison, and a sweep on a cluster.
with suppress(ImportError):
    import dask.array  # noqa: F401
    import distributed  # noqa: F401

__all__ = [
    "matplotlib", "scipy", "simulator", "sklearn", "warm", "xarray", "zarr",
]  # fmt: skip

for model, samples in ((sim.UV(4), 1), (sim.MLP(4, 2), 4), (sim.Quadratic((1.0, 2.0)), None)):
    data = samples and sim.load_data("teacher", samples)
    sim.simulate(model, data, steps=2)

axes = sim.figures.new_axes()
axes.set_title(r"$\eta_\mathrm{trgt}$")
axes.figure.canvas.draw()
matplotlib.pyplot.close("all")
