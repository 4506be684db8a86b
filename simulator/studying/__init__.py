"""Studies: findings as claims with their numbers, seeds and pictures."""

from __future__ import annotations

from simulator.studying.claim import Claim, claim, in_median
from simulator.studying.lab import Lab
from simulator.studying.study import Study, find_studies, load_study

__all__ = ["Claim", "Lab", "Study", "claim", "find_studies", "in_median", "load_study"]
