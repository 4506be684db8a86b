"""What `reader.Reader` understands of the curvature of the step: each sentence with its check."""

import re

import numpy as np
from reader import close, rule

KIND = "(directional|critical|batch)"
TOP = "(sharpness|preconditioned sharpness|full sharpness)"


@rule(r"NAME is measured on the batch of each update, not on all samples\.")
def _of_the_batch(r, name):
    return r.noisy and name == r.name and np.isfinite(r.sharpness).any()


def _step_ratio(r, kind):
    """The curve over 2 / eta: of minibatches the mean over batches comes first."""
    order = (
        ["batch", "directional", "critical"] if r.noisy else ["directional", "critical", "batch"]
    )
    with np.errstate(invalid="ignore"):
        known = {k: r.curvature[k] * r.eta / 2 for k in order if r.curvature[k] is not None}
    first = next((k for k in order if k in known and not np.isnan(known[k]).all()), None)
    return known[kind] if kind == first else None


def _top_ratio(r, name):
    """The top eigenvalue that stands beside it, over the optimizer's limit."""
    full = r.curvature["full"]
    of_all = r.noisy and full is not None and r.name == "sharpness"
    if (name == "full sharpness") != of_all or (not of_all and name != r.name):
        return None
    return (full + r.decay) * r.eta / r.over_eta if of_all else r.ratio


@rule("The " + KIND + r" sharpness first reaches 2 / eta at step #(?:, when the " + TOP + " is # "
      r"times LIMIT)?\.")  # fmt: skip
def _reaches(r, kind, step, top, times, over):
    ratio, at = _step_ratio(r, kind), int(step)
    if ratio is None or (r.noisy and kind != "batch"):
        return False
    if not ratio[at] >= 1 or (ratio[:at] >= 1).any():
        return False
    if top is None:
        return True
    beside = _top_ratio(r, top)[: at + 1]
    return close(times, beside[np.isfinite(beside)][-1]) and over == r.threshold


@rule("The " + KIND + r" sharpness stays below 2 / eta \(at most # times 2 / eta\)\.")
def _stays_below(r, kind, most):
    ratio = _step_ratio(r, kind)
    return close(most, np.nanmax(ratio)) and np.nanmax(ratio) < 1


STEADY = r" \(median of 5 measurements\)"


def _steadied(values):
    """Medians of five measurements, each at its last."""
    known = np.flatnonzero(~np.isnan(values))
    if len(known) < 5:
        return values
    found = np.full(len(values), np.nan)
    for last in range(4, len(known)):
        found[known[last]] = np.median(values[known[last - 4 : last + 1]])
    return found


@rule("The " + KIND + " sharpness" + STEADY + r" first reaches 2 / eta at step #\.")
def _steadily_reaches(r, kind, step):
    ratio, at = _steadied(_step_ratio(r, kind)), int(step)
    return r.noisy and kind != "batch" and ratio[at] >= 1 and not (ratio[:at] >= 1).any()


@rule("The " + KIND + " sharpness" + STEADY + r" stays below 2 / eta \(at most # times 2 / eta\)\.")
def _steadily_below(r, kind, most):
    ratio = _steadied(_step_ratio(r, kind))
    return r.noisy and kind != "batch" and close(most, np.nanmax(ratio)) and np.nanmax(ratio) < 1


def _ahead(r, kind, times=1):
    """At the full learning rate, over the warmup, or so many times as long."""
    end = int(np.argmax(r.eta >= r.eta.max() * (1 - 1e-8)))
    with np.errstate(all="ignore"):
        ratio = _step_ratio(r, kind) / r.eta * r.eta[end]
    return (_steadied(ratio) if r.noisy and kind != "batch" else ratio)[: times * (end + 1)]


TARGET = "# times 2 / #, the threshold at the largest learning rate"


@rule(r"At the end of the warmup \(step #\) the " + KIND + " sharpness is " + TARGET + r"\.")
def _warmup_ends(r, step, kind, times, top):
    r.kind, r.ahead = kind, _ahead(r, kind)
    known = np.flatnonzero(~np.isnan(r.ahead))
    r.high = known[r.ahead[known] > 0.9]
    r.after = known[known > r.high[-1]] if r.high.size else known
    ends = close(top, r.eta.max()) and int(step) == len(r.ahead) - 1
    return ends and r.high.size and close(times, r.ahead[known[-1]])


@rule(r"It exceeds 0\.9 times that threshold again at step #\.")
def _again(r, step):
    return int(step) >= len(r.ahead) and _ahead(r, r.kind, 2)[int(step)] > 0.9


@rule(r"By this measure the warmup could not have ended earlier\.")
def _needed(r):
    return not r.after.size or "again at step" in " ".join(r.spoken)


@rule(r"It is below 0\.9 times that threshold from step # on\.")
def _below_since(r, step):
    return int(step) == r.after[0]


@rule(r"By this measure the warmup could have ended there\.")
def _could_end(r):
    return r.after.size and not (_ahead(r, r.kind, 2)[len(r.ahead) :] > 0.9).any()


@rule(f"During the warmup the {KIND} sharpness is at most {TARGET}\\.")
def _no_warmup_needed(r, kind, most, top):
    ahead = _ahead(r, kind)
    return close(most, np.nanmax(ahead)) and np.nanmax(ahead) <= 0.9 and close(top, r.eta.max())


@rule(r"By this measure no warmup was needed\.")
def _none_needed(r):
    return any(said.startswith("During the warmup") for said in r.spoken)


@rule(r"The initial critical learning rate is eta_c = #( \(to second order\))?(, which is above "
      r"the largest learning rate(: the curvature rises during the warmup)?)?\.")  # fmt: skip
def _eta_c(r, eta_c, second_order, above, rises):
    curve = r.curvature["directional" if second_order else "critical"]
    r.eta_c = 2 / curve[np.isfinite(curve)][0]
    is_above = r.eta_c >= r.eta.max() * (1 - 1e-8)
    needed = is_above and "no warmup was needed" not in " ".join(r.spoken)
    return close(eta_c, r.eta_c) and bool(above) == is_above and bool(rises) == needed


@rule(r"A warmup that starts there saves # of the # updates\.")
def _saves(r, saved, updates):
    end = int(np.argmax(r.eta >= r.eta.max() * (1 - 1e-8)))
    below = np.count_nonzero(r.eta[: end + 1] < r.eta_c)
    return int(saved) == below and int(updates) == end + 1


LOSS = "The loss(?:, averaged over # updates,)?"


@rule(LOSS + r" has no spike: there is no rise by # % followed by a recovery\.")
def _no_spike(r, updates, rise):
    loss = r.averaged(updates)
    found = r.excursions(loss, 1 + (float(rise) + 0.6) / 100)
    return all((loss[c:] == loss[c]).all() for _, _, c in found)


CAUSED = (
    r"(caused|not caused|of unknown cause)(?: by instability)? \(steps? ([\d, ]+…?)\): "
    r"(?:the (\w+) sharpness (?:reaches|is at most) # times 2 / eta|nothing was measured) "
    r"in the 16 steps before a peak\."
)


@rule(LOSS + r" has # spikes?\.")
def _spikes(r, updates, count):
    r.excursed = r.excursions(r.averaged(updates))
    listed = [re.match(r"(\d+) (?:is|are) ", said) for said in r.spoken]
    return int(count) == sum(int(found[1]) for found in listed if found) <= len(r.excursed)


@rule(LOSS + " has # spikes?, " + CAUSED)
def _alike(r, updates, count, kind, steps, curve, most):
    r.excursed = r.excursions(r.averaged(updates))
    return int(count) <= len(r.excursed) and _spike(r, count, kind, steps, curve, most)


@rule("# (?:is|are) " + CAUSED)
def _spike(r, count, kind, steps, curve, most):
    steps = [int(step) for step in steps.strip("…, ").split(",")]
    peaks = {a + int(np.argmax(r.loss[a : c + 1])) for a, _, c in r.excursed}
    if len(steps) != min(int(count), 4) or not peaks.issuperset(steps):
        return False
    before = [_step_ratio(r, curve)[max(step - 16, 0) : step] for step in steps if curve]
    highest = [np.nanmax(ratio) for ratio in before]
    known = int(count) > 4 or not highest or close(most, max(highest))
    return known and all((high > 0.9) == (kind == "caused") for high in highest)


@rule("Over the last quarter of the run, the median " + KIND + r" sharpness is # times 2 / eta"
      "(?:, and the median " + TOP + r" is # times LIMIT)?\.")  # fmt: skip
def _late(r, kind, times, top, top_times, over):
    last = slice(len(r.loss) - max(1, len(r.loss) // 4), None)
    if not close(times, np.nanmedian(_step_ratio(r, kind)[last])):
        return False
    return top is None or (
        close(top_times, np.nanmedian(_top_ratio(r, top)[last])) and over == r.threshold
    )
