"""The names of a log's columns: one table for all formats."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from simulator.checks import InputError, one_of, printable
from simulator.nearest import did_you_mean

__all__ = ["QUANTITIES", "SKIPPED", "Wanted", "candidates", "mentioned", "quantity", "wanted"]

# The quantities that --columns takes.
QUANTITIES = (
    "step", "loss", "sharpness", "preconditioned_sharpness", "directional_sharpness",
    "critical_sharpness", "eta", "epoch",
)  # fmt: skip
SKIPPED = "-"

# Groups of names per quantity; a group is used only if the file has no name of an earlier group.
# Names are compared in lower case, with "_" for "/", "-", "." and spaces. A "*" ends a prefix.
_NAMES = {
    "step": (
        "step steps global_step iteration iterations iter iters it update updates num_updates "
        "train_step training_step optimizer_step train_global_step trainer_global_step",
        # W&B counts calls of log, not updates.
        "_step",
    ),
    "epoch": ("epoch epochs train_epoch",),
    "loss": (
        "loss train_loss training_loss loss_train loss_training batch_loss loss_step "
        "train_loss_step train_batch_loss train_loss_batch",
        "loss_epoch train_loss_epoch",
        # TensorBoard's export of one scalar.
        "value",
    ),
    "eta": (
        "eta lr learning_rate learningrate train_eta train_lr train_learning_rate",
        # Lightning's LearningRateMonitor: lr-Adam, lr-SGD/pg1.
        "lr_* learning_rate_* train_lr_*",
    ),
    "sharpness": (
        "sharpness train_sharpness lambda_max max_eigenvalue top_eigenvalue "
        "hessian_max_eigenvalue hessian_top_eigenvalue",
    ),
    "preconditioned_sharpness": ("preconditioned_sharpness pre_conditioned_sharpness",),
    "directional_sharpness": ("directional_sharpness",),
    "critical_sharpness": ("critical_sharpness",),
}
_GROUPS = {
    name: (quantity, group)
    for quantity, groups in _NAMES.items()
    for group, names in enumerate(groups)
    for name in names.split()
}
_PREFIXES = {name[:-1]: known for name, known in _GROUPS.items() if name.endswith("*")}


def quantity(column: str) -> tuple[str, int] | None:
    """The quantity of a column with this name, and the group of the name; None if unknown."""
    # W&B exports the column of a chart as "RUN - CURVE".
    name = re.sub(r"[-/. ]", "_", column.strip().lower().rpartition(" - ")[2])
    if name in _GROUPS:
        return _GROUPS[name]
    return next((known for start, known in _PREFIXES.items() if name.startswith(start)), None)


class Wanted(NamedTuple):
    """The value of ``--columns``: columns by quantity, or quantities in order, ``-`` for none."""

    by_name: dict[str, str]
    in_order: list[str]

    @property
    def chosen(self) -> dict[str, str]:
        """The column of each named quantity; columns given in order are named after it."""
        return self.by_name or {name: name for name in self.in_order if name != SKIPPED}


def wanted(columns: Sequence[str]) -> Wanted:
    """Read ``--columns``.

    Raises
    ------
    InputError
        If a name is not a quantity or is given twice, or if quantities in order lack the loss.
    """
    if any("=" in entry for entry in columns):
        pairs = [entry.partition("=")[::2] for entry in columns]
        names = [one_of("columns", name.strip(), QUANTITIES) for name, _ in pairs]
        _check_once(names)
        named = {name: column.strip() for name, (_, column) in zip(names, pairs, strict=True)}
        return Wanted(named, [])
    names = [name if name == SKIPPED else one_of("columns", name, QUANTITIES) for name in columns]
    _check_once(names)
    if names and "loss" not in names:
        given = ",".join(name for name in names if name != SKIPPED)
        raise InputError("columns", given or "none", "name one of them loss")
    return Wanted({}, names)


def _check_once(names: list[str]) -> None:
    twice = {name for name in names if name != SKIPPED and names.count(name) > 1}
    if twice:
        raise InputError("columns", min(twice), "is given twice; name it once")


def candidates(
    path: Path, columns: Iterable[str], chosen: dict[str, str]
) -> dict[str, list[list[str]]]:
    """The columns that may hold each quantity, in groups, the preferred group first."""
    columns = list(columns)
    found: dict[str, list[list[str]]] = {}
    for name, column in chosen.items():
        same = [known for known in columns if known.strip().lower() == column.lower()]
        if not same:
            near = did_you_mean(column, [printable(known, 40) for known in columns])
            remedy = f"{path} has no such column; {near}it has {mentioned(columns)}"
            raise InputError("columns", column, remedy)
        exact = [known for known in same if known.strip() == column]
        found[name] = [exact or same]
    taken = {column for groups in found.values() for group in groups for column in group}
    for column in columns:
        known = quantity(column)
        if known is not None and known[0] not in chosen and column not in taken:
            groups = found.setdefault(known[0], [[] for _ in _NAMES[known[0]]])
            groups[known[1]].append(column)
    return found


def mentioned(names: Sequence[str], most: int = 12) -> str:
    """Names in quotes, at most ``most`` of them."""
    shown = ", ".join(f"'{printable(name, 40)}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
