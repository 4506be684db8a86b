"""A PyTorch module as a function of its parameters, with exact derivatives."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from simulator.arrays import Array
from simulator.models.custom import library

__all__ = ["exact_kernels", "flat", "one_torch_thread", "prepared", "trained_parameters"]

_lock = threading.Lock()
_held = ExitStack()
_inside = 0


def trained_parameters(module: Any) -> dict[str, Any]:
    """Its parameters that require a gradient, by name; one that is used twice is there once."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def flat(parameters: Mapping[str, Any]) -> Array:
    """Them as one vector (P,), one after the other."""
    arrays = [p.detach().cpu().double().numpy().ravel() for p in parameters.values()]
    return np.concatenate(arrays or [np.empty(0)])


def prepared(module: Any, *, shared: bool = False) -> Any:
    """A copy of a module to compute the training loss with, as a function of the parameters.

    Dropout is off. Batch normalisation uses the statistics of the samples that it sees, as in
    training, and keeps none. With ``shared`` the copy has the tensors of the module itself.
    """
    tensors = (*module.parameters(), *module.buffers()) if shared else ()
    made = copy.deepcopy(module, {id(tensor): tensor for tensor in tensors}).eval()
    return library("torch").func.replace_all_batch_norm_modules_(made)


@contextmanager
def exact_kernels() -> Iterator[None]:
    """PyTorch computes attention by kernels that have second derivatives.

    They are chosen for the whole process: the first to enter chooses, the last to leave restores.
    """
    global _inside
    torch = library("torch")
    with _lock:
        if _inside == 0:
            mha, attention = torch.backends.mha, torch.nn.attention
            _held.callback(mha.set_fastpath_enabled, mha.get_fastpath_enabled())
            mha.set_fastpath_enabled(False)
            _held.enter_context(attention.sdpa_kernel(attention.SDPBackend.MATH))
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _held.close()


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """PyTorch computes on one thread where it is called from this one.

    Runs go side by side, and their numbers must not depend on how many threads there are.
    """
    torch = library("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
