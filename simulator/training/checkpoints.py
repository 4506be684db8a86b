"""A run between two updates, as a value to save, load and continue.

Class attributes name the state of an object in a run: ``CURVES`` are arrays with a row for each
step, or mappings to such; ``MEMORY`` is the rest. `kept` copies the state into plain arrays by
name, and `restore` puts it into a new object of the same class.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from simulator.arrays import Array
from simulator.checks import InputError
from simulator.npz import read_arrays, write_arrays
from simulator.value import Value

__all__ = ["Checkpoint", "kept", "restore"]

Memory = dict[str, Array]

# In a file: the values of a checkpoint, and the prefix of the names of its memory.
_FORMAT, _PREFIX = 1, "memory."


@dataclass(frozen=True, eq=False)
class Checkpoint(Value):
    """A run before an update: all that its next updates and measurements depend on.

    `checkpoint` makes one, `fork` and `train` start from it. It does not contain the batches, which
    are a function of seed and step.

    Attributes
    ----------
    step : int
        Updates done.
    t : int
        Updates done by the optimizer since its state began; the next one is number ``t + 1``.
    theta : array, shape (P,)
        Parameters.
    state : array, shape (vectors, P), or None
        The optimizer's vectors; None where they begin with the next update.
    seed : int
        Of the run.
    data : str
        Digest of what the run trains on; empty without data.
    memory : mapping of str to array
        The curves so far, of shape (step,) or (step, k), and what the eigenvalue solver, the choice
        of steps to measure and the schedule remember.
    """

    step: int
    t: int
    theta: Array
    state: Array | None
    seed: int
    data: str
    memory: Mapping[str, Array] = field(repr=False)

    def __repr__(self) -> str:
        return f"<Checkpoint: step {self.step}, seed {self.seed}, {self.theta.size} parameters>"

    def save(self, path: str | Path) -> None:
        """Write a .npz file, which replaces one that is there.

        Raises `InputError` for a path at which no file can be written.
        """
        write_arrays(Path(path), self.arrays())

    def arrays(self) -> Memory:
        """What `save` writes, by name."""
        arrays: Memory = {
            "checkpoint": np.array([_FORMAT, self.step, self.t, self.seed]),
            "theta": self.theta,
            "data": np.frombuffer(bytes.fromhex(self.data), np.uint8),
        }
        if self.state is not None:
            arrays["state"] = self.state
        return arrays | {f"{_PREFIX}{name}": value for name, value in self.memory.items()}

    @classmethod
    def load(cls, path: str | Path) -> Checkpoint:
        """Read what `save` wrote; nothing is unpickled.

        Raises `InputError` for a file that is no checkpoint, or not a whole one.
        """
        try:
            return cls.of_arrays(read_arrays("path", Path(path)))
        except InputError as error:
            raise (
                error if error.option == "path" else InputError("path", path, error.remedy)
            ) from None

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array]) -> Checkpoint:
        """Inverse of `arrays`; raises `InputError` for those of something else."""
        numbers = arrays.get("checkpoint", np.zeros(0))
        theta, data = arrays.get("theta"), arrays.get("data")
        whole = (numbers.shape, numbers.dtype.kind) == ((4,), "i") and numbers.min() >= 0
        if not whole or numbers[0] != _FORMAT:
            raise InputError(
                "checkpoint",
                "unknown",
                "is not a checkpoint; give a file that Checkpoint.save made",
            )
        state = arrays.get("state")
        vectors = [array for array in (theta, state) if array is not None]
        if theta is None or data is None or any(v.dtype.kind != "f" for v in vectors):
            raise InputError(
                "checkpoint", "cut short", "is a checkpoint without its parameters; save it again"
            )
        memory = {
            name.removeprefix(_PREFIX): array
            for name, array in arrays.items()
            if name.startswith(_PREFIX)
        }
        _, step, t, seed = map(int, numbers)
        return cls(step, t, theta, state, seed, data.astype(np.uint8).tobytes().hex(), memory)

    def part(self, name: str) -> Memory:
        """What of its memory belongs to one object: arrays of any shape, such as (step,)."""
        return _under(name, self.memory)


def kept(thing: Any, step: int) -> Memory:
    """What an object remembers before this step, in arrays of its own; of a curve (step,) rows."""
    found: Memory = {}
    for name in getattr(thing, "CURVES", ()):
        for key, curve in _curves(name, getattr(thing, name)):
            found[key] = curve[:step].copy()
    for name in getattr(thing, "MEMORY", ()):
        # What is made when it is first needed is left unmade.
        value = vars(thing).get(name)
        if hasattr(value, "MEMORY"):
            found |= {f"{name}.{inner}": part for inner, part in kept(value, step).items()}
        elif isinstance(value, list):
            for at, one in enumerate(value):
                found |= {f"{name}.{at}.{inner}": part for inner, part in kept(one, step).items()}
        elif isinstance(value, np.random.Generator):
            found[name] = _words(value)
        elif value is not None:
            found[name] = np.array(value)
    return found


def restore(thing: Any, memory: Mapping[str, Array], step: int) -> None:
    """Put into an object what `kept` has found; what one of the two lacks is left alone."""
    for name in getattr(thing, "CURVES", ()):
        for key, curve in _curves(name, getattr(thing, name)):
            if key in memory:
                _fill(key, curve[:step], memory[key])
    for name in getattr(thing, "MEMORY", ()):
        inner, value = _under(name, memory), memory.get(name)
        if not inner and value is None:
            continue
        there = getattr(thing, name)
        if isinstance(there, list):
            for at, one in enumerate(there):
                restore(one, _under(str(at), inner), step)
        elif inner and there is not None:
            restore(there, inner, step)
        elif value is None or there is None:
            continue
        elif isinstance(there, np.random.Generator):
            _set_words(there, name, value)
        elif isinstance(there, deque):
            there.clear()
            there.extend(value.ravel().tolist())
        elif isinstance(there, np.ndarray):
            _fill(name, there, value)
        else:
            number = np.zeros(())
            _fill(name, number, value)
            setattr(thing, name, type(there)(value.item()))


def _curves(name: str, held: Any) -> Iterator[tuple[str, Array]]:
    """The curves that an attribute holds, with their names: none, one, or a mapping of them."""
    if isinstance(held, Mapping):
        yield from ((f"{name}.{key}", curve) for key, curve in held.items())
    elif held is not None:
        yield name, held


def _under(name: str, memory: Mapping[str, Array]) -> Memory:
    start = f"{name}."
    return {key.removeprefix(start): v for key, v in memory.items() if key.startswith(start)}


def _fill(name: str, there: Array, value: Array) -> None:
    if there.shape != value.shape:
        raise InputError(
            "checkpoint", f"with {name} of shape {value.shape}",
            f"here it has shape {there.shape}; give one of the same experiment",
        )  # fmt: skip
    there[...] = value


def _words(rng: np.random.Generator) -> Array:
    """The state of a generator of `simulator.seeding`, as whole numbers (13,)."""
    held: Any = rng.bit_generator.state
    inner, names = held["state"], ("buffer_pos", "has_uint32", "uinteger")
    last = np.array([held[name] for name in names], dtype=np.uint64)
    return np.concatenate([inner["counter"], inner["key"], held["buffer"], last])


def _set_words(rng: np.random.Generator, name: str, words: Array) -> None:
    now = _words(rng)
    _fill(name, now, words)
    counter, key, buffer, last = np.split(now, (4, 6, 10))
    # NumPy does not check them, and reads at the first.
    at, has_half, half = (
        min(int(n), most) for n, most in zip(last, (4, 1, 2**32 - 1), strict=True)
    )
    rng.bit_generator.state = {
        "bit_generator": "Philox", "state": {"counter": counter, "key": key}, "buffer": buffer,
        "buffer_pos": at, "has_uint32": has_half, "uinteger": half,
    }  # fmt: skip
