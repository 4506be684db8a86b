"""What is broken in the search for the critical learning rate."""

from mutant import of

# fmt: off
MUTANTS = [
    *of(
        "simulator/catapult_search.py", "tests/test_catapult_search.py",
        ('loss * (1.0 + positive("delta", delta))', 'loss + positive("delta", delta)'),
        ("math.sqrt(lower) * math.sqrt(upper)", "lower + 0.1 * (upper - lower)"),
        ("eta = max(0.5 * eta, eta_least)", "eta = 0.5 * eta"),
        ("eta = min(2.0 * lower, eta_most)", "eta = 2.0 * lower"),
    ),
    *of(
        "simulator/training/probe.py", "tests/test_probe.py",
        ("2.0 * slope / curved", "slope / curved"),
        ("self.step + 1, self._update", "1, self._update"),
        (
            "return bend(self._objective, self._rule.at_rates(self._direction()))",
            "return bend(self._objective, self._direction())",
        ),
        ("np.copyto(self._moved, self._theta)", "self._moved = self._theta"),
        ("self._next = update", "pass"),
    ),
    *of(
        "simulator/schedules/cdat.py", "tests/test_rates_from_curvature.py",
        ("memory * self.bend +", "self.bend +"),
        ("max(probe.slope(), 0.0)", "probe.slope()"),
    ),
    *of(
        "simulator/schedules/loss_gap.py", "tests/test_rates_from_curvature.py",
        ("schedule.memory * self.weight + 1.0", "1.0"),
    ),
    *of(
        "simulator/advice.py", "tests/test_advice.py",
        ("2.0 / max(sharpness)", "2.0 / sharpness[0]"),
        ("lower // 2, lower", "lower // 4, lower"),
    ),
    *of(
        "simulator/training/rule.py", "tests/test_probe.py",
        ("self._state.copy(), t, out", "self._state, t, out"),
    ),
    *of(
        "simulator/critical.py", "tests/test_critical.py",
        (".select(objective, 0)", ".select(objective, 1)"),
        ("1 + probe.forward_passes", "probe.forward_passes"),
        ("and not self.eta_c >= self.eta_max", ""),
        ("self.forward_passes)),", "10)),"),
        ("updates=1 + int(", "updates=int("),
        ("if bracket.lower == 0.0:", "if False:"),
    ),
]
