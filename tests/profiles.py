"""How many examples a property gets: the profile's, or a fraction of them where each is a run."""

import hypothesis

__all__ = ["fewer"]


def fewer(fraction):
    """Settings for a property whose examples are expensive: 15, 40 and 10,000 become a fraction."""
    examples = hypothesis.settings.default.max_examples
    return hypothesis.settings(max_examples=max(4, round(fraction * examples)))
