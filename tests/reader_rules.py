"""What `reader.Reader` understands: each sentence of `sim.explain` with its check."""

import re
from itertools import pairwise

import numpy as np
import reader_rules_of_steps  # noqa: F401 - its rules register themselves
from reader import CAUSE, NUMBER, PHASES, Reader, close, rule

__all__ = ["Reader"]

TIMES = r"(?: \(# times the critical learning rate( of the first batch)?\))?"


def _times(r, times, of_batch, top):
    if times is None:
        return True
    full = r.curvature["full"] if r.noisy else None
    sharpness = r.sharpness if full is None else full
    whose = bool(of_batch) == (r.noisy and full is None)
    return whose and close(times, top * (sharpness[0] + r.decay) / r.over_eta)


def _level(eta, until):
    """Whether it keeps its first value up to this step, and not to the next."""
    same = np.abs(eta / eta[0] - 1) <= 1e-6
    return same[: until + 1].all() and not same[until + 1 :].any()


@rule("The learning rate is constant at #" + TIMES + r"(?: until step # and then decays to #)?\.")
def _constant(r, eta, times, of_batch, until, last):
    good = close(eta, r.eta[0]) and _times(r, times, of_batch, r.eta[0])
    if until is None:
        return good and np.ptp(r.eta) <= 1e-6 * r.eta[0]
    return good and close(last, r.eta[-1]) and _level(r.eta, int(until))


@rule("The learning rate warms up from # to #" + TIMES + " in # updates(?:( and then stays "
      r"constant)| and then decays to #|, stays constant until step # and then decays to #)?"
      r"\.")  # fmt: skip
def _warmup(r, first, top, times, of_batch, updates, stays, falls, until, then_falls):
    n, peak = int(updates), r.eta.max()
    rises = (np.diff(r.eta[:n]) >= 0).all() and n - 1 == np.argmax(r.eta >= peak * (1 - 1e-8))
    last = falls or then_falls
    then = np.ptp(r.eta[n - 1 :]) < 1e-6 * peak if stays else last is None or (
        close(last, r.eta[-1]) and r.eta[-1] < peak
        and _level(r.eta[n - 1 :], int(until) - n + 1 if until else 0)
    )  # fmt: skip
    ends = close(first, r.eta[0]) and close(top, peak) and r.eta[0] < peak
    return ends and rises and then and _times(r, times, of_batch, peak)


@rule(r"The learning rate is unknown\.")
def _unknown_rate(r):
    return not np.isfinite(r.eta).any()


@rule(r"The learning rate decays from # to #\.")
def _falling(r, first, last):
    return (
        close(first, r.eta[0])
        and close(last, r.eta[-1])
        and (np.diff(r.eta) <= 1e-9 * r.eta[0]).all()
    )


@rule("The learning rate rises and falls: it starts at #, ends at # and peaks at #" + TIMES + r"\.")
def _wandering(r, first, last, top, times, of_batch):
    steps, peak = np.diff(r.eta), r.eta.max()
    ends = close(first, r.eta[0]) and close(last, r.eta[-1]) and close(top, peak)
    return ends and (steps > 0).any() and (steps < 0).any() and _times(r, times, of_batch, peak)


@rule(r"The sharpness was not measured(; only the loss is described)?\.")
def _unmeasured(r, only):
    known = any(r.curvature[name] is not None for name in ("directional", "critical", "batch"))
    return not np.isfinite(r.sharpness).any() and (only is None) == known


@rule(r"The sharpness of the batches was not measured\.")
def _only_the_full_sharpness(r):
    return not np.isfinite(r.sharpness).any() and r.curvature["full"] is not None


@rule(r"It reaches the threshold LIMIT, but not more\.")
def _reaches(r, over):
    return over == r.threshold and r.ratio[r.rows].max() == 1


@rule(r"NAME (.*) before it crosses the threshold LIMIT (?:at step|between steps # and) #\.")
def _until(r, name, change, over, before, step):
    seen = int(r.before[-1])
    when = int(before) == seen < int(step) - 1 if before else seen == int(step) - 1
    return (
        name == r.name and over == r.threshold and r.crossings[0] == int(step) and when
        and _evolves(r, change)
    )  # fmt: skip


@rule(r"NAME ((?:stays|rises|falls|fluctuates|is [-\d.e+]+ \(too).*)\.")
def _evolution(r, name, change):
    return name == r.name and not r.crossings.size and _evolves(r, change)


@rule(r"It stays below the threshold LIMIT \(at most # times the threshold\)\.")
def _never(r, over, share):
    top, at_most = r.ratio[r.rows].max(), float(share)
    return over == r.threshold and top <= 1 and at_most <= 1.05 * top <= 1.05 * at_most + 0.003


def _evolves(r, change):
    values, rows = r.sharpness[r.before], r.before
    if found := re.fullmatch(f"stays within 5 % of {NUMBER}", change):
        return close(found[1], values[0]) and (np.abs(values / values[0] - 1) < 0.0501).all()
    if found := re.fullmatch(rf"is {NUMBER} \(too few measurements to show a trend\)", change):
        return close(found[1], values[0]) and (len(values) < 2 or values[0] <= 0)
    if found := re.fullmatch(
        rf"fluctuates between {NUMBER} and {NUMBER}, and goes from {NUMBER} to {NUMBER} "
        r"\(the longest stretch between its extremes is (.*)\)",
        change,
    ):
        seen = values.min(), values.max(), values[0], values[-1]
        numbers = all(close(t, v) for t, v in zip(found.groups()[:4], seen, strict=True))
        return numbers and PHASES[found[5]] in _longest(values, rows)
    if found := re.fullmatch(
        rf"falls from {NUMBER} to {NUMBER} by step {NUMBER} \(a transient of the preconditioner\) "
        rf"and then goes to {NUMBER}", change,
    ):  # fmt: skip
        at = list(rows).index(int(found[3]))
        seen = values[0], values[at], values[-1]
        numbers = [close(found[i], v) for i, v in zip((1, 2, 4), seen, strict=True)]
        half = 0.5 * (rows[-1] - rows[0])
        return all(numbers) and values.min() >= 0.94 * values[at] and rows[at] - rows[0] < half
    return _legs(change, values, rows)


def _legs(change, values, rows):
    """Rises or falls from A to B at step s, then ... to Z: each leg one way, within its ends."""
    text, _, phase = change.rstrip(")").partition(" (")
    first = re.match(f"(rises|falls) from {NUMBER} ", text)
    if first is None or not close(first[2], values[0]):
        return False
    parts, at, verb, good = text[first.end() :].split(", then "), 0, first[1], True
    for number, part in enumerate(parts):
        words = part.split(" ")
        if number:
            verb, words = words[0], words[1:]
        last = number == len(parts) - 1
        to = len(values) - 1 if last else list(rows).index(int(words[-1]))
        leg = values[at : to + 1]
        low, high = sorted((leg[0], leg[-1]))
        good &= close(words[1], leg[-1]) and (leg[-1] > leg[0]) == (verb == "rises")
        good &= leg.min() > low - 0.06 * abs(low) and leg.max() < high + 0.06 * abs(high)
        at = to
    named, _, after = phase.partition(" after a ")
    if len(parts) == 1 or after:
        good &= PHASES.get(named, 0) == (1 if verb == "rises" else -1)
    return bool(good and (phase == "" or named in PHASES))


def _longest(values, rows):
    """Directions of the longest stretches between start, extremes and end, by two readings."""
    found = set()
    for slack in (1.0, 1.06):
        low = int(np.argmax(values <= slack * values.min()))
        high = int(np.argmax(values >= values.max() / slack))
        corners = sorted({0, low, high, len(values) - 1})
        legs = [(rows[b] - rows[a], np.sign(values[b] - values[a])) for a, b in pairwise(corners)
                if abs(values[b] / values[a] - 1) > 0.0499]  # fmt: skip
        found |= {sign for length, sign in legs if length >= 0.8 * max(legs)[0]}
    return found


@rule(r"NAME starts above the threshold LIMIT: it is #, # times the threshold\.")
def _above(r, name, over, value, share):
    return (
        name == r.name and close(value, r.sharpness[0]) and close(share, r.ratio[0])
        and r.ratio[0] > 1 and over == r.threshold
    )  # fmt: skip


@rule(r"With weight decay, multiples of the threshold are \((sharpness|preconditioned sharpness) "
      r"\+ #\) / \(# / eta\)\.")  # fmt: skip
def _decayed(r, name, decay, over):
    return name == r.name and close(over, r.over_eta) and close(decay, r.decay)


@rule(r"It falls below the threshold by step #\.")
def _below(r, step):
    return int(step) == r.rows[r.ratio[r.rows] <= 1][0]


LOSS = r"(?:loss|loss, averaged over # updates,)"


@rule(f"One catapult follows, {CAUSE}" + r"\.")
def _one(r, cause):
    spoken = " ".join(r.spoken)
    end = int(re.search(r"returns to that minimum at step (\d+)", spoken)[1])
    return r.caused(cause, r.crossings_by(end))


PEAK = "peaks at #( times its previous minimum|, from a minimum of 0,)"


@rule(f"The {LOSS} starts to rise at step #, {PEAK} at step # and returns to that minimum at step "
      r"#\.")  # fmt: skip
def _excursion(r, updates, start, times, zero, peak, end):
    loss, a, b, c = r.averaged(updates), int(start), int(peak), int(end)
    return (
        r.noisy == (updates is not None) and a < b < c and (a, b, c) in r.excursions(loss)
        and close(times, r.height(loss, a, b, "0" in zero)) and r.unstable(a, c)
    )  # fmt: skip


@rule(r"# catapults follow from step # to step #, (.*)\.")
def _several(r, count, start, end, causes):
    counts = [int(n) for n in re.findall(r"(\d+) ", causes)] or [int(count)]
    named = [re.sub(r"\d+ ", "", cause) for cause in re.split(r", (?:and )?(?=\d)", causes)]
    known = all(r.caused(c, r.crossings_by(int(end))) for c in named)
    if r.noisy:
        return known and sum(counts) == int(count)
    found = [e for e in r.excursions(r.averaged(None)) if e[0] >= int(start) and e[2] <= int(end)]
    unstable = [e for e in found if r.unstable(e[0], e[2])]
    return (
        known and sum(counts) == int(count) and len(unstable) >= int(count) > 1
        and found[0][0] == int(start) and found[-1][2] == int(end)
    )  # fmt: skip


@rule(f"In the largest, the loss {PEAK}\\.")
def _largest(r, times, zero):
    start, end = re.search(r"follow from step (\d+) to step (\d+)", " ".join(r.spoken)).groups()
    loss = r.averaged(None)
    heights = [
        r.height(loss, a, b, "0" in zero) for a, b, c in r.excursions(loss)
        if a >= int(start) and c <= int(end) and r.unstable(a, c)
    ]  # fmt: skip
    return r.noisy or any(close(times, height) for height in heights)


@rule(r"From step # to step # NAME (falls|goes) from # to #\.")
def _flattened(r, start, end, name, verb, first, last):
    seen = close(first, r.sharpness[int(start)]) and close(last, r.sharpness[int(end)])
    seen &= int(start) in r.crossings and int(start) < int(end)
    return name == r.name and seen and (verb == "falls") <= (float(last) <= float(first))


@rule(r"There is no catapult\.")
def _no_catapult(r):
    loss = r.averaged(None)
    found = [(a, c) for a, _, c in r.excursions(loss) if r.unstable(a, c)]
    return r.noisy or all((loss[c:] == loss[c]).all() for _, c in found)


@rule(r"There is no catapult: NAME reaches # times the threshold, but the loss never rises by 10 % "
      r"above its running minimum\.")  # fmt: skip
def _quiet(r, name, most):
    loss = r.averaged(None)
    calm = (loss <= 1.1 * np.minimum.accumulate(loss)).all()
    return name == r.name and calm and close(most, r.ratio[r.rows].max())


def _at_edge(r, first, last, mean):
    rows = r.rows[(r.rows >= int(first)) & (r.rows <= int(last))]
    ratio, loss = r.ratio[rows], np.diff(r.loss[int(first) : int(last) + 1])
    marked = ((ratio > 0.84) & (ratio < 1.51)) | np.r_[False, (ratio[1:] > 1) != (ratio[:-1] > 1)]
    gaps = np.diff(np.r_[int(first), rows[marked], int(last)])
    # Each step counts the last measurement before it.
    average = np.repeat(ratio, np.diff(np.r_[rows, int(last) + 1])).mean()
    long = int(last) - int(first) >= 31
    again = np.isin(r.crossings, rows).sum() > 1
    shaken = (loss > 0).any() and (loss < 0).any()
    return (
        long and abs(average - float(mean)) < 0.0051 and 0.84 < average < 1.51
        and ratio[0] > 1 and gaps.max() < 20 and (again or shaken)
        and np.ptp(r.sharpness[rows]) > 5e-4 * r.sharpness[rows].max()
    )  # fmt: skip


@rule(f"Training enters the edge of stability at step #(?:, {CAUSE},)? and stays there until step "
      r"#\.")  # fmt: skip
def _edge(r, first, cause, last):
    r.edge = first, last
    return int(first) < int(last) and (cause is None or r.caused(cause, [int(first)]))


@rule(r"NAME is # times the threshold on average(?:, and # catapults? occurs? there)?\.")
def _mean_at_edge(r, name, mean, count):
    first, last = r.edge
    peaks = [b for a, b, c in r.excursions(r.averaged(None)) if int(first) <= b <= int(last)]
    return (
        name == r.name and _at_edge(r, first, last, mean)
        and (count is None or r.noisy or len(peaks) >= int(count) > 0)
    )  # fmt: skip


@rule(r"Training is at the edge of stability again from step # to step # \(# times the threshold "
      r"on average\)\.")  # fmt: skip
def _again(r, first, last, mean):
    return _at_edge(r, first, last, mean)


@rule(r"There are # such stretches; the last ends at step #\.")
def _stretches(r, count, last):
    return int(count) > 2 and int(last) in r.rows


@rule(f"The {LOSS} rises from its minimum \\(# at step #\\) and has not recovered by the end\\.")
def _unrecovered(r, updates, lowest, step):
    loss = r.averaged(updates)
    last = min(loss[-1], r.last_loss) if np.isfinite(r.last_loss) else loss[-1]
    return (
        r.noisy == (updates is not None) and close(lowest, loss.min())
        and np.isclose(loss[int(step)], loss.min()) and last > 1.1 * loss.min()
    )  # fmt: skip


GOES = "The loss( on all samples)? goes from # to #"


def _ends(r, whole, first, last):
    final = r.last_loss if np.isfinite(r.last_loss) else r.loss[-1]
    known = r.noisy and np.isfinite(r.first_loss)
    start = r.first_loss if known else r.loss[0]
    return bool(whole) == known and close(first, start) and close(last, final) and not r.lost.size


@rule(GOES + r"\.")
def _losses(r, whole, first, last):
    return _ends(r, whole, first, last)


@rule(r"The last measured (sharpness|preconditioned sharpness) is # times the threshold\.")
def _end(r, name, share):
    return name == r.name and close(share, r.ratio[r.rows[-1]])


@rule(r"The last measured (sharpness|preconditioned sharpness) is #, and no threshold applies at "
      r"eta = 0\.")  # fmt: skip
def _end_at_zero(r, name, value):
    return name == r.name and r.eta[r.rows[-1]] == 0 and close(value, r.sharpness[r.rows[-1]])


@rule(GOES + r", with a peak of # at step #\.")
def _peaks(r, whole, first, last, peak, step):
    high = close(peak, r.loss.max()) and r.loss[int(step)] == r.loss.max()
    return high and _ends(r, whole, first, last) and r.loss.max() > max(float(first), float(last))


@rule(r"Most of the last 32 losses are (no|less than 10 %) better than the first\.")
def _no_better_than_the_first(r, how):
    losses = np.append(r.loss, r.last_loss) if np.isfinite(r.last_loss) else r.loss
    bound = losses[0] * (1.0 if how == "no" else 0.9)
    known = r.constant is None if how == "no" else r.constant == 0
    return known and (losses[-32:] < bound).mean() <= 0.5


@rule(r"The loss still (grows|falls) at the end, by a factor of # in # updates\.")
def _still_moves(r, verb, factor, steps):
    late, up = r.loss[-int(steps) :], verb == "grows"
    ratio = late[-1] / late[0] if up else late[0] / late[-1]
    change = np.diff(late) if up else -np.diff(late)
    return int(steps) == max(2, len(r.loss) // 4) and (change >= 0).all() and close(factor, ratio)


@rule(r"The final loss is (no|less than 10 %) better than the best constant prediction \(#\)\.")
def _untrained(r, how, constant):
    return close(constant, r.constant) and (r.last_loss >= r.constant) == (how == "no")


@rule(r"Most of the last 32 losses are less than 10 % better than the best constant prediction "
      r"\(#\)\.")  # fmt: skip
def _mostly_untrained(r, constant):
    return close(constant, r.constant)


def _fails(r):
    losses = np.append(r.loss, r.last_loss)[-32:]
    bound = 0.9 * r.constant if r.constant else r.loss[0] * (1 if r.constant is None else 0.9)
    return len(r.loss) >= 32 and np.mean(losses >= bound) >= 0.5 and not r.lost.size


@rule(r"The network is dead: its gradient is zero\.")
def _dead(r):
    return _fails(r) and r.gradient is not None and not np.any(r.gradient)


@rule(r"The last # losses are equal\.")
def _still(r, rows):
    return _fails(r) and np.ptp(r.loss[-int(rows) :]) == 0


@rule(r"The run is stuck\.")
def _is_stuck(r):
    return _fails(r)


@rule("Training has failed without diverging: the gradients at the peak increase the "
      r"preconditioner by a factor of #, which makes all later updates small\.")  # fmt: skip
def _inflated(r, times):
    p, peak = r.plain / r.sharpness, int(np.argmax(r.loss))
    rows = r.rows[p[r.rows] > 0]
    before, after = rows[rows < max(peak, 1)], rows[rows > peak]
    grown = close(times, p[after].max() / p[before[-1]], 2) and float(times) > 9
    return grown and _fails(r)


@rule(r"The loss rises from its minimum \(# at step #\) and does not recover\.")
def _leaves(r, lowest, step):
    loss = r.averaged(None)
    return close(lowest, loss.min()) and loss[int(step)] == loss.min() and _gone(r)


def _gone(r):
    return bool(r.lost.size) or not np.isfinite(r.last_loss)


@rule(r"Training diverges: the loss is not finite at step #\.")
def _diverged(r, step):
    return _gone(r) and int(step) == r.end


@rule(r"Training diverges: the loss is not finite from the first step on\.")
def _lost(r):
    return r.end == 0


@rule(r"# of # measurements of NAME did not converge; the true values may differ\.")
def _doubtful(r, count, every, name):
    return int(count) == (~r.converged).sum() and int(every) == np.isfinite(r.sharpness).sum()
