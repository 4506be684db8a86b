"""A reader of `sim.explain`: checks every sentence against the curves, by rules of its own.

It shares no code with `simulator.events` and `simulator.regimes`. A sentence is a pattern and a
check; one that fits no pattern is a fault too.
"""

import re

import numpy as np

NUMBER = r"([-+]?\d[\d.]*(?:e[-+]?\d+)?)"
NAME = r"(?:the |The )(sharpness|preconditioned sharpness)"
LIMIT = r"(\S+ / eta(?: - \d[\d.e+-]*\d|))"
PHASES = {"progressive sharpening": 1, "sharpness reduction": -1}
CAUSES = (
    "driven by the rising learning rate",
    "driven by the rising sharpness",
    "driven by the rising learning rate and the rising sharpness (a head-on collision)",
    "driven by the rising learning rate while the sharpness falls (a rear-end collision)",
    "because training starts above the threshold",
    "of unknown cause",
    "because the sharpness stays above the threshold",
)
CAUSE = f"({'|'.join(map(re.escape, CAUSES))})"
SENTENCE_END = re.compile(r"(?<=\.) (?=[A-Z]|\d+ catapults|\d+ of|\d+ is|\d+ are)")
RULES = []


def rule(pattern):
    """Register a check of the sentences of this pattern; # stands for a number.

    LIMIT stands for a threshold, such as 38 / eta - 0.19.
    """

    def register(check):
        written = pattern.replace("#", NUMBER).replace("NAME", NAME).replace("LIMIT", LIMIT)
        compiled = re.compile(written)
        RULES.append((compiled, check))
        return check

    return register


def close(text, value, digits=3):
    """Whether a printed number is this value."""
    return bool(np.isclose(float(text), value, rtol=0.6 * 10.0 ** (1 - digits), atol=0))


class Reader:
    """A run as plain arrays, with what a careful person sees in them."""

    def __init__(self, run, samples=None, batch=None, gradient=None):
        self.loss, self.eta = np.asarray(run.loss, float), np.asarray(run.eta, float)
        self.last_loss, self.constant = run.loss_final, run.constant_loss
        self.first_loss = getattr(run, "loss_init", np.nan)
        self.gradient, self.converged, self.plain = gradient, run.converged, run.sharpness
        adapted = run.preconditioned_sharpness
        self.name = "sharpness" if adapted is None else "preconditioned sharpness"
        self.sharpness = np.asarray(run.sharpness if adapted is None else adapted, float)
        if not np.isfinite(self.sharpness).any():
            self.name = "sharpness"
        self.over_eta, self.decay = run.limit.over_eta, run.limit.decay
        less = f" - {self.decay:.3g}" if self.decay else ""
        self.threshold = f"{self.over_eta:.3g} / eta{less}"
        with np.errstate(all="ignore"):
            self.ratio = (self.sharpness + self.decay) * self.eta / self.over_eta
        self.rows = np.flatnonzero(np.isfinite(self.ratio))
        self.lost = np.flatnonzero(~np.isfinite(self.loss))
        self.end = self.lost[0] if self.lost.size else len(self.loss)
        names = ("directional", "critical", "batch", "full")
        self.curvature = {name: getattr(run, f"{name}_sharpness", None) for name in names}
        self.noisy = batch is not None and samples is not None and batch < samples

    def averaged(self, updates):
        """The loss as the sentence has it: averaged over so many updates, or as it is."""
        if updates is None:
            return self.loss[: self.end]
        n, loss = int(updates), self.loss[: self.end]
        return np.array([
            loss[max(0, min(t + 1, self.end) - n) if t + 1 >= n else 0 : max(t + 1, n)].mean()
            for t in range(self.end)
        ])  # fmt: skip

    def excursions(self, loss, factor=1.1):
        """(start, peak, end) wherever the loss leaves its running minimum and comes back."""
        found, start = [], 0
        for t in range(1, len(loss)):
            if loss[t] <= loss[start]:
                peak = start + int(np.argmax(loss[start : t + 1]))
                if loss[peak] > factor * loss[start]:
                    found.append((start, peak, t))
                start = t
        return found

    @staticmethod
    def height(loss, start, peak, zero):
        """The loss at the peak over that at the start, or as it is where that is said to be 0."""
        if zero:
            return loss[peak] if loss[start] == 0 else np.nan
        return loss[peak] / loss[start]

    def unstable(self, start, end):
        """Whether a ratio above 1 was measured around these rows, or nothing was."""
        near = self.rows[(self.rows >= start) & (self.rows <= end)]
        if not near.size:
            before, after = self.rows[self.rows <= start], self.rows[self.rows >= end]
            near = np.concatenate([before[-1:], after[:1]])
        return not near.size or self.ratio[near].max() > 1

    @property
    def crossings(self):
        high = self.ratio[self.rows] > 1
        return self.rows[high & ~np.r_[False, high[:-1]]]

    def crossings_by(self, end):
        """Those seen by the first measurement after this row."""
        after = self.rows[self.rows >= end]
        return self.crossings[self.crossings <= (after[0] if after.size else end)]

    @property
    def before(self):
        """The measured rows before the first ratio above 1."""
        high = np.flatnonzero(self.ratio[self.rows] > 1)
        return self.rows[: high[0]] if high.size else self.rows

    def caused(self, cause, rows):
        """Whether the cause fits one of these crossings."""
        return any(self._caused(cause, row) for row in rows) or (
            cause == CAUSES[5] and not self.rows.size
        )

    def _caused(self, cause, row):
        before = self.rows[self.rows < row]
        if cause == CAUSES[4]:
            return not before.size
        if cause == CAUSES[6]:  # the crossing came before an earlier rise of the loss
            earlier = self.excursions(self.averaged(None))[:-1]
            return self.noisy or any(row <= end for _, _, end in earlier)
        if not before.size:
            return False
        eta_rises = self.eta[row] > self.eta[before[-1]]
        low, high = self.ratio[before] > 1, self.ratio[before] < 0.5
        begin = max([0, *(np.flatnonzero(low) + 1), *np.flatnonzero(high)])
        past = self.sharpness[before[begin:]]
        now = self.sharpness[row]
        rose, fell = (past < now).any(), (past > now / 0.95).any()
        flat = (np.abs(past / now - 1) < 0.3).any()
        return {
            CAUSES[0]: eta_rises and (flat or rose),
            CAUSES[1]: rose,
            CAUSES[2]: eta_rises and rose,
            CAUSES[3]: eta_rises and fell,
            CAUSES[5]: bool(self.eta[row] == 0),
        }[cause]

    def faults(self, paragraph):
        """What is false, or not understood, in a paragraph."""
        found = []
        self.spoken = SENTENCE_END.split(paragraph)
        for sentence in self.spoken:
            for pattern, check in RULES:
                match = pattern.fullmatch(sentence)
                if match:
                    found += [] if self._holds(check, match.groups()) else [f"false: {sentence}"]
                    break
            else:
                found.append(f"not understood: {sentence}")
        if self.lost.size and "diverges" not in paragraph:
            found.append("a divergence is not mentioned")
        return found

    def _holds(self, check, numbers):
        """A step that does not exist makes a sentence false as well."""
        try:
            with np.errstate(all="ignore"):
                return bool(check(self, *numbers))
        except (ValueError, IndexError):
            return False
