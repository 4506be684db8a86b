"""What is broken in the theory of curvature against loss, and of scale-invariant weights."""

from mutant import of

# fmt: off
MUTANTS = [
    *of(
        "simulator/theory/chains.py", "tests/theory/test_chains.py",
        ("a + (depth - 1.0) * b, a - b", "a + depth * b, a - b"),
        ("np.maximum((depth - 1.0) * b, -b)", "(depth - 1.0) * b"),
        ("1.0 - 2.0 / depth", "1.0 - 1.0 / depth"),
        ("(2.0 * f - y)\n\n", "(f - y)\n\n"),
        ("np.where(np.less(f, 0.0), -1.0, 1.0)", "1.0"),
        ("np.hypot(2.0 * (2.0 * f - y), imbalance)", "np.abs(2.0 * (2.0 * f - y))"),
        ("return 1.0 - 1.0 / depth", "return 1.0 - 1.0 / (depth + 1.0)"),
        ("- (eta * residual) ** 2", "+ (eta * residual) ** 2"),
    ),
    *of(
        "simulator/theory/scale_invariance.py", "tests/theory/test_scale_invariance.py",
        ("hypot((1.0 - eta * decay) * norm", "hypot((1.0 - 2.0 * eta * decay) * norm"),
        ("np.arctan2(eta * unit_gradient / norm,", "np.arctan2(eta * unit_gradient,"),
        ("/ np.cos(rotations))", "* np.cos(rotations))"),
        ("/ np.sqrt(2.0 - eta * decay)", "/ np.sqrt(2.0)"),
        ("/ np.sqrt(1.0 - beta)", "/ (1.0 - beta)"),
        ("0.5 * eta * decay, 1.0", "eta * decay, 1.0"),
        ("(1.0 - beta) / (1.0 + beta)", "1.0 / (1.0 + beta)"),
        ("return 2.0 * (1.0 - eta * decay) ** 2 - 1.0", "return (1.0 - eta * decay) ** 2"),
        ("slope / np.sqrt(3.0)", "slope / 3.0"),
        ("np.cbrt(3.0) / np.cbrt(slope) ** 2", "np.cbrt(3.0) / np.cbrt(slope)"),
    ),
]
