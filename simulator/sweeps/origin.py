"""The origin of a store: what decides whether another machine would reproduce its bits."""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import simulator

__all__ = ["machine", "numerics", "versions"]

_DEPENDENCIES = ("numpy", "scipy", "numba", "llvmlite", "zarr", "xarray")
# The packages that compute; Zarr and xarray only store.
_COMPUTE = ("warmup-simulator", *_DEPENDENCIES[:4])
# The modules on which the bits of a run depend; not commands, figures, or the store.
_ROOMS = (
    "numerics", "models", "optimizers", "schedules", "training", "curvature", "events", "theory",
)  # fmt: skip


@cache
def versions() -> dict[str, str]:
    """The packages that make a store."""
    # That of the source, which an editable install's metadata may be behind.
    found = {"warmup-simulator": simulator.__version__}
    for package in _DEPENDENCIES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


@cache
def numerics() -> dict[str, str]:
    """The versions and source that two processes must share to compute the same bits.

    ``source`` is a digest of the modules that compute: a checkout may change without its version.
    """
    package = Path(__file__).parents[1]
    files = [*package.glob("*.py"), *(f for room in _ROOMS for f in (package / room).rglob("*.py"))]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    found = versions()
    return {name: found[name] for name in _COMPUTE} | {"source": digest.hexdigest()[:16]}


def machine() -> dict[str, Any]:
    """The processor and its features that change rounding, and the BLAS chosen for it."""
    from llvmlite import binding
    from threadpoolctl import threadpool_info

    features = binding.get_host_cpu_features()
    blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": binding.get_host_cpu_name(),
        "features": sorted(
            name for name, there in features.items() if there and name.startswith(("avx", "fma"))
        ),
        "blas": sorted(
            {f"{b['internal_api']} {b['version']} {b.get('architecture')}" for b in blas}
        ),
        "cores": os.cpu_count(),
    }
