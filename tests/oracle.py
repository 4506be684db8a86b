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


@cache
def network(activation, bias, widths):
    """f(theta, x, m): the outputs as a function of flat parameters, inputs and multipliers."""

    def function(theta, x, m):
        h, at = x, 0
        for layer, (fan_in, fan_out) in enumerate(pairwise(widths)):
            z = h @ theta[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
            at += fan_in * fan_out
            if bias:
                z = z + theta[at : at + fan_out]
                at += fan_out
            z = m[layer] * z
            h = _ACTIVATIONS[activation](z)
        return z

    return function


def loss_of_outputs(loss, z, y):
    """L(z), z and y (samples, outputs)."""
    if loss == "mse":
        return 0.5 * jnp.mean((z - y) ** 2)
    return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(z), axis=1))


@cache
def network_loss(activation, loss, bias, widths):
    """L(theta, x, y, m): the loss as a function of flat parameters, data and multipliers."""
    outputs = network(activation, bias, widths)
    return lambda theta, x, y, m: loss_of_outputs(loss, outputs(theta, x, m), y)


@cache
def derivatives(activation, loss, bias, widths):
    """(loss, gradient, hvp), jitted."""
    function = network_loss(activation, loss, bias, widths)
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
        options = ("linear", "mse", False)
        m = np.array([1.0, model.width ** (-0.5 * (1 - model.s))])
    else:
        widths = (data.inputs, *(model.width,) * (model.depth - 1), data.outputs)
        options = (model.activation, model.loss, model.bias)
        m = multipliers(model.parameterization, widths, model.var_w)
    activation, loss, bias = options
    outputs, m = network(activation, bias, widths), jnp.asarray(m)
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
