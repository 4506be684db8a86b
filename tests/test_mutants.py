"""What `python tests/mutants` breaks is there to be broken."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[1]
# In a process of their own: modules of theirs have names that other tests' modules have too.
LIST = """
import json, runpy
print(json.dumps([mutant._asdict() for mutant in runpy.run_path("tests/mutants")["MUTANTS"]]))
"""


def test_every_mutant_changes_one_place_of_a_file_and_names_tests():
    listed = subprocess.run(
        [sys.executable, "-c", LIST], cwd=ROOT, check=True, capture_output=True, text=True
    )
    mutants = [SimpleNamespace(**fields) for fields in json.loads(listed.stdout)]
    assert len(mutants) > 200
    for mutant in mutants:
        text = (ROOT / mutant.path).read_text()
        assert text.count(mutant.old) == 1, mutant
        assert text != text.replace(mutant.old, mutant.new), mutant
        assert all((ROOT / path).is_file() for path in mutant.tests.split()), mutant
    assert len({(mutant.path, mutant.old, mutant.new) for mutant in mutants}) == len(mutants)
