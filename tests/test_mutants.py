"""What `python tests/mutants` breaks is there to be broken."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]
MUTANTS = runpy.run_path(str(ROOT / "tests" / "mutants"))["MUTANTS"]


def test_every_mutant_changes_one_place_of_a_file_and_names_tests():
    assert len(MUTANTS) > 200
    for mutant in MUTANTS:
        text = (ROOT / mutant.path).read_text()
        assert text.count(mutant.old) == 1, mutant
        assert text != text.replace(mutant.old, mutant.new), mutant
        assert all((ROOT / path).is_file() for path in mutant.tests.split()), mutant
    assert len({mutant[:3] for mutant in MUTANTS}) == len(MUTANTS)
