"""What `reader.Reader` understands of the curvature of the step: each sentence with its check."""

import re

import numpy as np
from reader import close, rule

KIND = r"(directional|critical|batch)"
TOP = r"the (sharpness|pre-conditioned sharpness|full sharpness)"


@rule(r"NAME is that of the batch of each update, not of all samples\.")
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


@rule("The " + KIND + r" sharpness first reaches 2 / eta at step #(?:, where " + TOP + " is # "
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


@rule("The " + KIND + r" sharpness stays below 2 / eta: it is at most # times it\.")
def _stays_below(r, kind, most):
    ratio = _step_ratio(r, kind)
    return close(most, np.nanmax(ratio)) and np.nanmax(ratio) < 1


STEADY = ", in the median over 5 measurements,"


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


@rule("The " + KIND + " sharpness" + STEADY + r" stays below 2 / eta: it is at most # times it\.")
def _steadily_below(r, kind, most):
    ratio = _steadied(_step_ratio(r, kind))
    return r.noisy and kind != "batch" and close(most, np.nanmax(ratio)) and np.nanmax(ratio) < 1


def _ahead(r, kind, times=1):
    """At the full learning rate, over the warmup, or so many times as long."""
    end = int(np.argmax(r.eta >= r.eta.max() * (1 - 1e-8)))
    with np.errstate(all="ignore"):
        ratio = _step_ratio(r, kind) / r.eta * r.eta[end]
    return (_steadied(ratio) if r.noisy and kind != "batch" else ratio)[: times * (end + 1)]


TARGET = "# times 2 / #, its threshold at the full learning rate"


@rule("When the warmup ends, at step #, the " + KIND + " sharpness is " + TARGET
      + r"(: the warmup was needed to its end)?(?:, and above 0\.9 times it again at step #: it "
      r"was needed to its end)?(?:\. It has been below 0\.9 times it since step #: "
      r"by this measure, the warmup could have ended there)?\.")  # fmt: skip
def _warmup_ends(r, step, kind, times, top, needed, back, since):
    ahead = _ahead(r, kind)
    known = np.flatnonzero(~np.isnan(ahead))
    high = known[ahead[known] > 0.9]
    if not (close(top, r.eta.max()) and int(step) == len(ahead) - 1 and high.size):
        return False
    after = known[known > high[-1]]
    if after.size and back:
        said = _ahead(r, kind, 2)[int(back)] > 0.9 and int(back) > int(step)
    else:
        said = bool(needed) if not after.size else int(since) == after[0]
    return said and close(times, ahead[known[-1]])


@rule("During the warmup the " + KIND + " sharpness is at most " + TARGET
      + r": by this measure, no warmup was needed\.")  # fmt: skip
def _no_warmup_needed(r, kind, most, top):
    ahead = _ahead(r, kind)
    return close(most, np.nanmax(ahead)) and np.nanmax(ahead) <= 0.9 and close(top, r.eta.max())


@rule("At first eta_c(, to second order,)? = #(?:, above the full learning rate|: a warmup that "
      r"starts there saves # of the # updates)\.")  # fmt: skip
def _starts_at_eta_c(r, second_order, eta_c, saved, updates):
    curve = r.curvature["directional" if second_order else "critical"]
    first = 2 / curve[np.isfinite(curve)][0]
    if saved is None:
        return close(eta_c, first) and first >= r.eta.max() * (1 - 1e-8)
    end = int(np.argmax(r.eta >= r.eta.max() * (1 - 1e-8)))
    below = np.count_nonzero(r.eta[: end + 1] < first)
    return close(eta_c, first) and int(saved) == below and int(updates) == end + 1


LOSS = "The loss(?:, averaged over # updates,)?"


@rule(LOSS + r" has no spike: it never rises by # % and comes back\.")
def _no_spike(r, updates, rise):
    loss = r.averaged(updates)
    found = r.excursions(loss, 1 + (float(rise) + 0.6) / 100)
    return all((loss[c:] == loss[c]).all() for _, _, c in found)


@rule(LOSS + r" spikes and comes back (.*)\.")
def _spikes(r, updates, parts):
    kinds, listed = r"(once|twice|\d+ times) (by|not by|for)", 0
    loss = r.averaged(updates)
    known = r.excursions(loss)
    peaks = {a + int(np.argmax(r.loss[a : c + 1])) for a, _, c in known}
    for part in parts.split("; "):
        times, kind = re.match(kinds, part).groups()
        count = {"once": 1, "twice": 2}.get(times) or int(times.split()[0])
        steps = [
            int(step) for step in re.search(r"\(steps? ([\d, ]+)", part)[1].strip(", ").split(",")
        ]
        listed += count
        if len(steps) != min(count, 4) or not peaks.issuperset(steps):
            return False
        curve = re.search(KIND + " sharpness", part)
        for step in steps if curve else []:
            before = _step_ratio(r, curve[1])[max(step - 16, 0) : step]
            if (np.nanmax(before) > 0.9) != (kind == "by"):
                return False
    return listed <= len(known)


@rule("In the median over the last quarter, the " + KIND + r" sharpness is # times 2 / eta(?:, and "
      + TOP + r" # times LIMIT)?\.")  # fmt: skip
def _late(r, kind, times, top, top_times, over):
    last = slice(len(r.loss) - max(1, len(r.loss) // 4), None)
    if not close(times, np.nanmedian(_step_ratio(r, kind)[last])):
        return False
    return top is None or (
        close(top_times, np.nanmedian(_top_ratio(r, top)[last])) and over == r.threshold
    )
