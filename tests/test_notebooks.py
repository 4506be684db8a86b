"""The notebooks run from top to bottom, and say what is true whatever their knobs are at."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
EXACT = "8 / (lam + sqrt(lam**2 - 16 * kappa**2 * y * delta))"

pytestmark = [
    pytest.mark.slow,
    # Raised inside marimo, about its own dependencies.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def run(notebook, **knobs):
    """The names that its cells define, with its knobs at these values."""
    spec = importlib.util.spec_from_file_location(notebook, FOLDER / f"{notebook}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _, names = module.app.run(defs={k: SimpleNamespace(value=v) for k, v in knobs.items()})
    return names


def test_without_warmup_it_dies_and_with_warmup_it_trains_flatter():
    names = run("why_warm_up")
    assert not names["cold"].trainable
    assert names["warm"].trainable
    assert names["flatter"] > 10


def test_at_the_critical_learning_rate_warmup_changes_little():
    names = run("why_warm_up", eta=1, t_wrm=16, parameterization="mup", seed=1)
    assert names["cold"].trainable
    assert names["warm"].trainable
    assert names["warm"].loss_final == pytest.approx(names["cold"].loss_final, rel=0.2)


@pytest.mark.parametrize("y", [0.0, 1.0, 4.0])
def test_the_exact_threshold_is_right_for_every_network(y):
    assert run("check_your_own_threshold", formula=EXACT, target=y, count=60)["right"].all()


def test_a_threshold_that_is_known_to_hold_at_target_zero_only_is_refuted_beside_it():
    assert run("check_your_own_threshold", formula="4 / lam", target=0.0, count=60)["right"].all()
    names = run("check_your_own_threshold", formula="4 / lam", target=4.0, count=60)
    assert names["right"].mean() < 0.5


def test_the_textbook_threshold_is_too_small():
    names = run("check_your_own_threshold", formula="2 / lam", target=0.0, count=20)
    assert names["below"].all()
    assert names["above"].all()


@pytest.mark.parametrize("formula", ["4 / nonsense", "__import__('os')", "", "lam +", "-1", "1/0"])
def test_what_is_no_formula_stops_there(formula):
    names = run("check_your_own_threshold", formula=formula, target=1.0, count=20)
    assert not names["right"].any() if "right" in names else names["claimed"] is None
