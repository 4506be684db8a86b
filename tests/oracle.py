"""An independent account of the same networks: JAX, written from the definitions alone."""

from functools import cache
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

_ACTIVATIONS = {
    "linear": lambda z: z,
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "erf": jax.scipy.special.erf,
    "gelu": lambda z: jax.nn.gelu(z, approximate=False),
}


def multipliers(parameterization, widths, var_w=2.0):
    """m_l of each layer, in the order of the layers."""
    found = []
    for layer, (fan_in, fan_out) in enumerate(pairwise(widths)):
        readout = layer == len(widths) - 2
        gain = 1.0 if readout else var_w
        if parameterization == "sp":
            found.append(1.0)
        elif parameterization == "ntp":
            found.append(np.sqrt(gain / fan_in))
        else:
            found.append(np.sqrt(1 / fan_in) if readout else np.sqrt(fan_out / fan_in))
    return np.array(found)


def _normalised(h, eps):
    centred = h - h.mean(axis=1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(axis=1, keepdims=True) + eps)


@cache
def network(activation, bias, widths, norm="none", residual=False, affine=False, norm_eps=0.0):
    """f(theta, x, m): the outputs as a function of flat parameters, inputs and multipliers."""
    last = len(widths) - 2

    def function(theta, x, m):
        pairs, at = [], 0
        for fan_in, fan_out in pairwise(widths):
            w = theta[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
            at += fan_in * fan_out
            pairs.append((w, theta[at : at + fan_out] if bias else 0.0))
            at += fan_out * bias

        def layer_norm(h):
            nonlocal at
            z, n = _normalised(h, norm_eps), h.shape[1]
            if not affine:
                return z
            gain, shift = theta[at : at + n], theta[at + n : at + 2 * n]
            at += 2 * n
            return gain * z + shift

        h = x
        for layer, (w, b) in enumerate(pairs):
            read_by = {"activation": layer > 0, "inner": 0 < layer < last, "readout": layer == last}
            first = layer == 0 and residual
            z = m[layer] * ((layer_norm(h) if read_by.get(norm) else h) @ w + b)
            if layer == last:
                break
            if norm == "preactivation" and not first:
                z = layer_norm(z)
            a = z if first else _ACTIVATIONS[activation](z)
            h = h + a if residual and not first else a
            if norm == "after" and not first:
                h = layer_norm(h)
        return z

    return function


def loss_of_outputs(loss, z, y):
    """L(z), z and y (samples, outputs)."""
    if loss == "mse":
        return 0.5 * jnp.mean((z - y) ** 2)
    return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(z), axis=1))


@cache
def network_loss(activation, loss, bias, widths, *norms):
    """L(theta, x, y, m): the loss as a function of flat parameters, data and multipliers."""
    outputs = network(activation, bias, widths, *norms)
    return lambda theta, x, y, m: loss_of_outputs(loss, outputs(theta, x, m), y)


@cache
def derivatives(*options):
    """(loss, gradient, hvp), jitted."""
    function = network_loss(*options)
    gradient = jax.grad(function)

    def everything(theta, v, x, y, m):
        g, hv = jax.jvp(lambda t: gradient(t, x, y, m), (theta,), (v,))
        return function(theta, x, y, m), g, hv

    return jax.jit(everything)


def of_model(model, data):
    """The loss of an MLP or a parameter-space UV on its data, as a function of theta only."""
    outputs, loss = parts_of_model(model, data)
    return lambda theta: loss(outputs(theta))


def parts_of_model(model, data):
    """The outputs as a function of theta, and the loss as a function of the outputs."""
    if model.name == "uv":
        widths = (data.inputs, model.width, data.outputs)
        options, norms = ("linear", "mse", False), ()
        m = np.array([1.0, model.width ** (-0.5 * (1 - model.s))])
    else:
        widths = (data.inputs, *(model.width,) * (model.depth - 1), data.outputs)
        norms = (model.norm, model.residual, model.affine, model.norm_eps)
        options = (model.activation, model.loss, model.bias)
        m = multipliers(model.parameterization, widths, model.var_w)
    activation, loss, bias = options
    outputs, m = network(activation, bias, widths, *norms), jnp.asarray(m)
    x, y = jnp.asarray(data.x), jnp.asarray(data.targets)
    return lambda theta: outputs(theta, x, m), lambda z: loss_of_outputs(loss, z, y)


def gauss_newton(model, data, theta):
    """J^T L'' J (P, P), J the derivative of the outputs and L'' that of the loss in them, twice."""
    outputs, loss = parts_of_model(model, data)

    @jax.jit
    def factors(theta):
        f = outputs(theta)
        return jax.jacrev(outputs)(theta), jax.hessian(loss)(f)

    j, bend = map(np.asarray, factors(theta))
    j = j.reshape(-1, theta.size)
    return j.T @ bend.reshape(len(j), len(j)) @ j
