"""A run's curves as other programs log them: eleven formats, and what each of them keeps."""

import io
import json
from typing import NamedTuple

import numpy as np

__all__ = ["FORMATS", "LINES", "PLAIN", "Kept", "kept", "steps", "write"]

# A small log: step, loss, learning rate.
LINES = [(step, 2.5 - 0.25 * step, 0.125 * step) for step in range(8)]
PLAIN = "step,loss,lr\n" + "".join(f"{s},{a},{b}\n" for s, a, b in LINES)


def steps(*numbers):
    """A table with these steps, in this order."""
    return "step,loss\n" + "".join(f"{step},{1 + at}\n" for at, step in enumerate(numbers))


class Kept(NamedTuple):
    """What can be read back of a log; ``eta`` is None where it has none."""

    step: np.ndarray
    loss: np.ndarray
    eta: np.ndarray | None
    unit: str = "step"


def write(run, form, folder, *, start=0, every=1):
    """Log every n-th step of a run, of which ``loss`` and ``eta`` are read; the file's path."""
    name, writer = FORMATS[form]
    path = folder / name
    step, loss, eta = _logged(run, start, every)
    text = writer([int(s) for s in step], loss.tolist(), eta.tolist())
    path.write_text(text, encoding="utf-8")
    return path


def kept(run, form, *, start=0, every=1):
    """What is to be read back of a log that ``write`` wrote, in the digits of its format."""
    step, loss, eta = _logged(run, start, every)
    if form == "keras":
        return Kept(np.arange(len(step)), loss, eta, "epoch")
    if form == "tensorboard":
        return Kept(step, loss.astype(np.float32).astype(float), None)
    if form == "trainer_state":
        return Kept(step, np.array([round(value, 4) for value in loss.tolist()]), eta)
    return Kept(step, loss, eta)


def _logged(run, start, every):
    at = np.arange(0, len(run.loss), every)
    return start + at, np.asarray(run.loss, dtype=float)[at], np.asarray(run.eta, dtype=float)[at]


def _table(header, rows, between=","):
    lines = [between.join(header), *(between.join(map(str, row)) for row in rows)]
    return "\n".join(lines) + "\n"


def _csv(step, loss, eta):
    return _table(["step", "loss", "lr"], zip(step, loss, eta, strict=True))


def _semicolons(step, loss, eta):
    rows = zip(step, loss, eta, strict=True)
    return _table(["Step", "Loss", "LR"], rows, ";").replace(".", ",")


def _tsv(step, loss, eta):
    rows = zip(step, loss, eta, strict=True)
    return _table(["iteration", "train_loss", "learning_rate"], rows, "\t")


def _savetxt(step, loss, eta):
    text = io.StringIO()
    np.savetxt(text, np.column_stack([step, loss, eta]), header="step loss eta")
    return text.getvalue()


def _wandb(step, loss, eta):
    """``run.history().to_csv()``, every field in quotes as a chart's export has them."""
    rows = [
        [f'"{value}"' for value in (at, s, 0.5 * at, 1.7e9 + at, a, b, "" if at % 8 else a)]
        for at, (s, a, b) in enumerate(zip(step, loss, eta, strict=True))
    ]
    names = ["", "_step", "_runtime", "_timestamp", "train/loss", "lr", "val/loss"]
    return _table([f'"{name}"' for name in names], rows)


def _tensorboard(step, loss, eta):
    rows = [(1.7e9 + s, s, float(np.float32(a))) for s, a in zip(step, loss, strict=True)]
    return _table(["Wall time", "Step", "Value"], rows)


def _keras(step, loss, eta):
    rows = [(at, 0.5, a, b, "NA") for at, (a, b) in enumerate(zip(loss, eta, strict=True))]
    return _table(["epoch", "accuracy", "loss", "learning_rate", "val_loss"], rows)


def _lightning(step, loss, eta):
    """``metrics.csv``: the monitor's learning rate, the loss and the validation in rows apart."""
    rows = []
    for at, (s, a, b) in enumerate(zip(step, loss, eta, strict=True)):
        rows += [("", b, s, "", ""), (at // 16, "", s, a, "")]
        rows += [(at // 16, "", s, "", 2 * a)] if at % 16 == 15 else []
    return _table(["epoch", "lr-SGD", "step", "train_loss", "val_loss"], rows)


def _json_lines(step, loss, eta):
    return "".join(
        json.dumps({"step": s, "train": {"tokens": 512 * s}, "loss": a, "lr": [b]}) + "\n"
        for s, a, b in zip(step, loss, eta, strict=True)
    )


def _trainer_state(step, loss, eta):
    """Of Hugging Face: losses in four digits, evaluations between, a summary at the end."""
    history = []
    for at, (s, a, b) in enumerate(zip(step, loss, eta, strict=True)):
        entry = {"epoch": at / 16, "grad_norm": 1.5, "learning_rate": b, "loss": round(a, 4)}
        history.append({**entry, "step": s})
        if at % 16 == 15:
            history.append({"epoch": at / 16, "eval_loss": a, "eval_runtime": 0.3, "step": s})
    summary = {"epoch": 4.0, "step": step[-1], "train_loss": 0.7, "train_runtime": 3.5}
    state = {"best_metric": None, "global_step": step[-1], "log_history": [*history, summary]}
    return json.dumps(state, indent=2)


def _resumed(step, loss, eta):
    """Stopped after two thirds, resumed at the half: the header again, and steps again."""
    stop, resume = max(1, 2 * len(step) // 3), len(step) // 2
    lost = [value + 1 if at >= resume else value for at, value in enumerate(loss)]
    earlier = _csv(step[:stop], lost[:stop], eta[:stop])
    return earlier + _csv(step[resume:], loss[resume:], eta[resume:])


FORMATS = {
    "csv": ("log.csv", _csv),
    "semicolons": ("log_de.csv", _semicolons),
    "tsv": ("log.tsv", _tsv),
    "savetxt": ("log.txt", _savetxt),
    "wandb": ("wandb_export.csv", _wandb),
    "tensorboard": ("scalar.csv", _tensorboard),
    "keras": ("training.log", _keras),
    "lightning": ("metrics.csv", _lightning),
    "json_lines": ("log.jsonl", _json_lines),
    "trainer_state": ("trainer_state.json", _trainer_state),
    "resumed": ("resumed.csv", _resumed),
}
