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
    """The parameters that require a gradient, by name; shared ones appear once."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def flat(parameters: Mapping[str, Any]) -> Array:
    """The parameters as one vector (P,)."""
    arrays = [p.detach().cpu().double().numpy().ravel() for p in parameters.values()]
    return np.concatenate(arrays or [np.empty(0)])


def prepared(module: Any, *, shared: bool = False) -> Any:
    """A copy of a module that computes the training loss as a function of the parameters.

    Dropout is off. Batch normalisation uses the statistics of the batch, as in training, and does
    not update running ones. With ``shared`` the copy shares the tensors of the module.
    """
    tensors = (*module.parameters(), *module.buffers()) if shared else ()
    made = copy.deepcopy(module, {id(tensor): tensor for tensor in tensors}).eval()
    return library("torch").func.replace_all_batch_norm_modules_(made)


@contextmanager
def exact_kernels() -> Iterator[None]:
    """Use PyTorch's attention kernels that have second derivatives.

    The choice holds for the whole process: the first thread to enter makes it, the last to leave
    undoes it.
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
    """Let PyTorch compute on one thread when this thread calls it.

    Runs use threads, and their results must not depend on the number of threads.
    """
    torch = library("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
