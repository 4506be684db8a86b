"""Hypothesis strategies for models, data, optimizers and schedules, for users' own tests.

A property test takes three lines::

    from hypothesis import given
    import simulator as sim

    @given(problem=sim.testing.problems("mlp", "uv"))
    def test_the_sharpness_is_at_least_the_mean_curvature(problem):
        hessian = problem.model.hessian(problem.theta, problem.data)
        assert sim.sharpness(*problem) >= hessian.trace() / len(hessian) - 1e-9

Inputs and weights are Gaussian, from a drawn seed. Hypothesis draws learning rates, widths and
betas, including the ends of their ranges. The first call of a kernel compiles it: register a
profile with ``deadline=None``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from simulator.arrays import Array
from simulator.checks import one_of
from simulator.data import Data
from simulator.models import MLP, MODELS, UV, Model, Quadratic
from simulator.models.mlp import NORMS
from simulator.numerics.activations import CODES
from simulator.numerics.dense import LOSSES
from simulator.optimizers import (
    GD,
    OPTIMIZERS,
    Adam,
    AdamW,
    GIAdam,
    Momentum,
    Nesterov,
    Optimizer,
    RAdam,
    RIAdam,
    RMSProp,
)
from simulator.parameterizations import PARAMETERIZATIONS
from simulator.schedules import DECAYS, Warmup

__all__ = [
    "Problem", "data_sets", "models", "one_example", "optimizers", "problems", "schedules", "seeds",
]  # fmt: skip


class Problem(NamedTuple):
    """A model, its parameters and its data: the arguments of `sharpness`.

    Attributes
    ----------
    model : Model
    theta : array, shape (P,)
    data : Data or None
    """

    model: Model
    theta: Array
    data: Data | None


def seeds() -> SearchStrategy[int]:
    """Seeds for ``model.init``, ``simulate`` or NumPy.

    Returns
    -------
    strategy of int
        From 0 to 2^32 - 1.
    """
    return st.integers(0, 2**32 - 1)


@st.composite
def data_sets(
    draw: st.DrawFn,
    samples: SearchStrategy[int] = st.integers(1, 8),
    inputs: SearchStrategy[int] = st.integers(1, 4),
    outputs: SearchStrategy[int] = st.integers(1, 3),
    *,
    labels: bool = False,
) -> Data:
    """Gaussian inputs x (m, d) with Gaussian targets (m, k), or with labels of 2 to k + 1 classes.

    Parameters
    ----------
    samples, inputs, outputs : strategies of int
        m, d and k.
    labels : bool
        Whether y (m,) are integer labels, for cross-entropy. Every class occurs, so m is at least
        the number of classes.

    Returns
    -------
    strategy of Data
    """
    rng = np.random.default_rng(draw(seeds()))
    m, d, k = draw(samples), draw(inputs), draw(outputs)
    if not labels:
        return Data(rng.standard_normal((m, d)), rng.standard_normal((m, k)))
    m = max(m, k + 1)
    return Data(rng.standard_normal((m, d)), rng.permutation(np.arange(m) % (k + 1)))


def models(*names: str) -> SearchStrategy[Model]:
    """Small models, every option drawn; xent needs labels.

    Parameters
    ----------
    *names : str
        Of ``mlp``, ``uv``, ``quadratic``; default all.

    Returns
    -------
    strategy of Model

    Raises
    ------
    InputError
        For a name that is none.
    """
    return st.one_of(_chosen(names, MODELS, _MODELS))


def optimizers(*names: str) -> SearchStrategy[Optimizer]:
    """Optimizers, every option drawn; betas up to 0.99.

    Parameters
    ----------
    *names : str
        As ``--optimizer`` takes them; default all.

    Returns
    -------
    strategy of Optimizer

    Raises
    ------
    InputError
        For a name that is none.
    """
    return st.one_of(_chosen(names, OPTIMIZERS, _OPTIMIZERS))


def schedules(
    eta: SearchStrategy[float] = st.floats(1e-3, 2.0),
    t_wrm: SearchStrategy[int] = st.integers(1, 64),
) -> SearchStrategy[Warmup]:
    """Warmups to a drawn eta_trgt, from 0 or from a smaller or larger eta_init.

    Parameters
    ----------
    eta : strategy of float
        eta_trgt (absolute).
    t_wrm : strategy of int
        Updates of warmup.

    Returns
    -------
    strategy of Warmup
    """
    return st.builds(
        _warmup,
        eta,
        st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0]),
        t_wrm,
        st.sampled_from([0.5, 1.0, 2.0]),
        st.sampled_from(DECAYS),
        st.sampled_from([None, 1, 16]),
        st.sampled_from([None, 0.0, 0.5]),
    )


def _warmup(
    trgt: float, start: float, t_wrm: int, exponent: float, decay: str, length: int | None,
    end: float | None,
) -> Warmup:  # fmt: skip
    """A warmup whose first and last learning rates are multiples of eta_trgt."""
    of_decay = () if decay == "none" else (length, None if end is None else end * trgt)
    return Warmup(start * trgt, trgt, t_wrm, exponent, decay, *of_decay)


@st.composite
def problems(draw: st.DrawFn, *names: str) -> Problem:
    """A model at initialisation, with suitable data.

    Parameters
    ----------
    *names : str
        As of `models`.

    Returns
    -------
    strategy of Problem

    Raises
    ------
    InputError
        For a name that is none.
    """
    model = draw(models(*names))
    if isinstance(model, Quadratic):
        return Problem(model, model.init(seed=draw(seeds())), None)
    labels = isinstance(model, MLP) and model.loss == "xent"
    data = draw(data_sets(labels=labels))
    return Problem(model, model.init(data, draw(seeds())), data)


@st.composite
def one_example(
    draw: st.DrawFn,
    width: SearchStrategy[int] = st.integers(1, 64),
    target: SearchStrategy[float] = st.floats(-4.0, 4.0),
    representation: str = "gram",
) -> Problem:
    """A UV model on one example with one output, where theory is exact (`theory.uv`).

    Parameters
    ----------
    width : strategy of int
        n.
    target : strategy of float
        y.
    representation : {"gram", "parameters"}
        As of `UV`.

    Returns
    -------
    strategy of Problem
        theta at Gaussian initialisation, one input x (1, d).
    """
    rng = np.random.default_rng(draw(seeds()))
    x = rng.standard_normal((1, draw(st.integers(1, 4))))
    data = Data(x, np.array([[draw(target)]]))
    model = UV(draw(width), draw(st.floats(0, 1)), draw(st.floats(0.1, 4.0)), representation)
    return Problem(model, model.init(data, draw(seeds())), data)


_betas = st.floats(0.0, 0.99)
_eps = st.sampled_from([0.0, 1e-8, 1e-3])
_adam = {"beta1": _betas, "beta2": st.floats(0.5, 0.9999), "eps": _eps}


@st.composite
def _mlps(draw: st.DrawFn, /, **options: SearchStrategy[Any]) -> MLP:
    """MLPs, half of them without a norm."""
    depth = draw(st.integers(2, 4))
    residual = depth > 2 and draw(st.booleans())
    unfit = {"after": not residual, "inner": depth < 3}
    norms = [name for name in NORMS if not unfit.get(name)]
    norm = draw(st.one_of(st.just("none"), st.sampled_from(norms)))
    width = draw(st.integers(1 if norm == "none" else 2, 8))
    drawn = {name: draw(strategy) for name, strategy in options.items()}
    return MLP(width, depth, norm=norm, residual=residual, **drawn)


_MODELS = {
    "mlp": _mlps(
        activation=st.sampled_from(list(CODES)),
        parameterization=st.sampled_from(list(PARAMETERIZATIONS)),
        loss=st.sampled_from(list(LOSSES)),
        bias=st.booleans(),
        var_w=st.floats(0.5, 4.0),
        affine=st.booleans(),
        norm_eps=st.sampled_from([1e-5, 1e-2]),
    ),
    "uv": st.builds(
        UV,
        width=st.integers(1, 64),
        s=st.floats(0, 1),
        var_w=st.floats(0.1, 4.0),
        representation=st.sampled_from(["gram", "parameters"]),
    ),
    "quadratic": st.lists(st.floats(0.01, 10.0), min_size=1, max_size=8).map(Quadratic),
}
_decays = st.sampled_from([0.0, 0.01, 0.5])
_OPTIMIZERS = {
    "gd": st.builds(GD, weight_decay=_decays),
    "momentum": st.one_of(
        st.builds(
            Momentum, beta=_betas, dampening=st.sampled_from([0.0, 0.3, 0.9]), weight_decay=_decays
        ),
        st.builds(Momentum, beta=_betas, ema=st.just(True), weight_decay=_decays),
    ),
    "nesterov": st.builds(Nesterov, beta=_betas, weight_decay=_decays),
    "rmsprop": st.builds(RMSProp, beta2=_adam["beta2"], eps=_eps),
    "adam": st.builds(Adam, **_adam),
    "adamw": st.builds(AdamW, **_adam, weight_decay=_decays),
    "gi-adam": st.builds(GIAdam, **_adam),
    "ri-adam": st.builds(RIAdam, **_adam),
    "radam": st.builds(RAdam, **_adam),
}


def _chosen(
    names: tuple[str, ...], known: Mapping[str, object], table: dict[str, SearchStrategy[Any]]
) -> list[SearchStrategy[Any]]:
    return [table[one_of("name", name, known)] for name in names or known]
