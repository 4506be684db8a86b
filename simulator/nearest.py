"""The nearest known names to one that is not known.

Options, commands, choices, dimensions of a store and public names are all looked up here, first by
what other programs call the same thing, then by their spelling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher

__all__ = ["did_you_mean", "nearest"]

# Ours, and what else it is called. Case, dashes and underscores make no difference.
_SYNONYMS = {
    # options
    "eta_trgt": "lr learning_rate max_lr peak_lr base_lr target_lr eta eta_max step_size alpha",
    "eta_init": "init_lr lr_init initial_lr start_lr warmup_init_lr warmup_start_lr warmup_lr",
    "eta_end": "min_lr lr_min eta_min final_lr end_lr lr_end",
    "t_wrm": "warmup warmup_steps n_warmup num_warmup_steps warmup_epochs warmup_iters "
    "warmup_updates warmup_length t_warmup",
    "steps": "iterations iters n_iter max_iter num_iterations epochs n_epochs num_epochs updates",
    "t_decay": "decay_steps cooldown cooldown_steps",
    "decay": "lr_decay annealing",
    "schedule": "lr_schedule scheduler lr_scheduler",
    "exponent": "power",
    "optimizer": "opt optim optimiser algorithm sam muon lion lamb shampoo sophia adagrad adamax",
    "beta1": "b1 betas",
    "beta2": "b2 betas rho",
    "weight_decay": "wd l2",
    "width": "hidden n_hidden hidden_size hidden_dim hidden_units units neurons d_model",
    "depth": "layers n_layers num_layers hidden_layers",
    "activation": "act act_fn nonlinearity",
    "parameterization": "parametrization parameterisation parametrisation",
    "var_w": "gain sigma_w init_scale weight_variance",
    "norm": "layer_norm layernorm normalization normalisation ln",
    "residual": "skip skip_connections resnet",
    "loss": "criterion objective",
    "batch_size": "batch bs minibatch mini_batch",
    "samples": "train_size n_train",
    "seed": "random_state rng",
    "seeds": "random_state repeats trials",
    "workers": "jobs n_jobs threads cores cpus processes",
    "dtype": "precision",
    "top_k": "n_eigenvalues num_eigs k",
    "output": "out save store",
    "figure": "fig plot png",
    "quiet": "silent",
    "overwrite": "force",
    "resume": "continue restart",
    # values
    "gd": "sgd",
    "momentum": "sgdm heavy_ball polyak",
    "nesterov": "nag",
    "mse": "l2 squared mean_squared_error quadratic_loss",
    "xent": "ce cross_entropy nll softmax categorical_crossentropy",
    "mup": "maximal_update",
    "ntp": "ntk",
    "sp": "standard pytorch",
    "mlp": "dense fc fcn feedforward",
    "none": "constant off",
    "float32": "single fp32 float f32",
    "float64": "double fp64 f64",
    # commands
    "run": "train fit",
    "sweep": "grid grid_search",
    "critical": "lr_find find_lr lr_finder",
    "explain": "describe",
    "plot": "diagram draw",
    "theory": "laws",
    "info": "show inspect",
    # public names of Python
    "simulate": "fit",
    "figures": "plot plotting",
    "warmup": "linear linear_warmup cosine cosine_warmup wsd",
    "sharpness": "lambda_max top_eigenvalue hessian_norm",
    "critical_learning_rate": "lr_find find_lr lr_finder",
}  # fmt: skip
# What makes ours the same as theirs.
_NOTES = {"sgd": " with batch_size=…"}

_MOST = 3
# Characters of what is given that are compared.
_LONGEST = 100
# A ratio of difflib from which two names are near, and that of one word of several.
_NEAR, _NEAR_WORD = 0.6, 0.8
# Names as near as the nearest, about, are offered too.
_AS_NEAR = 0.1


def _words(name: str) -> list[str]:
    """The words of ``--eta-trgt``, ``eta_trgt`` or ``EtaTrgt``, in lower case."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return re.findall(r"[^\W_]+", split.casefold())


def _plain(name: str) -> str:
    return "".join(_words(name))


_MEANT: dict[str, list[str]] = {}
for _ours, _theirs in _SYNONYMS.items():
    for _name in _theirs.split():
        _MEANT.setdefault(_plain(_name), []).append(_plain(_ours))


def nearest(
    given: object, names: Iterable[str], shown_as: Mapping[str, str] | None = None
) -> list[str]:
    """The nearest of the names, at most three; none where none is near.

    Parameters
    ----------
    given : object
        What stands in place of a name.
    names : iterable of str
    shown_as : mapping, optional
        What to offer in place of some of the names.
    """
    shown = {name: (shown_as or {}).get(name, name) for name in names}
    text = str(given)[:_LONGEST]
    for spellings in ([_plain(text)], _MEANT.get(_plain(text), [])):
        if same := dict.fromkeys(shown[name] for name in shown if _plain(name) in spellings):
            return [*same]
    scores: dict[str, float] = {}
    for name in shown:
        scores[shown[name]] = max(scores.get(shown[name], 0.0), _likeness(text, name))
    least = max(_NEAR, max(scores.values(), default=0.0) - _AS_NEAR)
    near = [name for name, score in scores.items() if score >= least]
    return sorted(near, key=lambda name: -scores[name])[:_MOST]


def did_you_mean(
    given: object, names: Iterable[str], shown_as: Mapping[str, str] | None = None
) -> str:
    """The question that offers what is `nearest`, and a space; empty where none is near."""
    near = nearest(given, names, shown_as)
    if not near:
        return ""
    offered = " or ".join([", ".join(near[:-1]), near[-1]]) if len(near) > 1 else near[0]
    return f"did you mean {offered}{_NOTES.get(_plain(str(given)), '')}? "


def _likeness(given: str, name: str) -> float:
    """From 0 to 1: of the whole, of its words in any order, or of one's words among the other's."""
    few, many = sorted((_words(given), _words(name)), key=len)
    parts = [_ratio(sorted(few), sorted(many))]
    if len("".join(few)) > 2:
        runs = (many[start : start + len(few)] for start in range(len(many) - len(few) + 1))
        parts += [part for part in (_ratio(few, run) for run in runs) if part >= _NEAR_WORD]
    begins = len(_plain(given)) > 1 and _plain(name).startswith(_plain(given))
    # What has the same words, or more of them, is less near than what is all but the same.
    return max(_ratio([given], [name]), 0.9 * max(*parts, float(begins)))


def _ratio(one: list[str], other: list[str]) -> float:
    return SequenceMatcher(None, _plain("".join(one)), _plain("".join(other))).ratio()
