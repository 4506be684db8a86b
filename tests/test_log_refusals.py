"""What cannot be read of a log is refused with its line; NumPy reads what the careful way does."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from log_formats import PLAIN, steps

import simulator as sim
from simulator import logs
from simulator.logs import read_log
from simulator.logs import table as tables


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("1,2\n3,4\n", "has no header; name its columns with --columns"),
        ("# nothing\n1 2\n", "has no header"),
        ("step,loss\n", "has no row with a loss"),
        ("step,loss\n0,\n", "has no row with a loss"),
        ("step,loss\n0,nan\n1,inf\n", "has no finite loss"),
        ("step,acc\n0,1\n", "has no training loss (columns: 'step', 'acc'); name it with"),
        ("step,loss\n0,1\n1,hello\n", "line 3 has 'hello' in column 'loss'; give numbers"),
        ("step,loss\n\n# a\n0,1\n1,1_000\n", "line 5 has '1_000' in column 'loss'"),
        ("step,loss\n0,1\n1,٣\n", "line 3 has '٣'"),
        ("step,loss\n0,1\n1\n", "line 3 has 1 field, not 2"),
        ("step,loss\n0,1\n1,2,3\n", "line 3 has 3 fields, not 2; separate fields by semicolons"),
        ("loss\n2,30\n1,9\n", "line 2 has 2 fields, not 1; separate fields by semicolons"),
        ("step;loss\n0;1,5\n1;1.5\n", "line 3 has '1.5' after numbers with decimal commas"),
        ("step;loss\n0;1.234,5\n", "line 2 has '1.234,5', with a comma and a point"),
        ('step,loss\n"1,000","2.5"\n', "line 2 has '2.5' after numbers with decimal commas"),
        (PLAIN + "step,loss\n8,1\n", "line 10 has 2 fields, not 3; put a table with other"),
        ('step,loss\n0,1\n1,"2\n', "line 3 cannot be split into fields"),
        ('step,loss\n0,1\n1,"2"3\n', "line 3 cannot be split into fields"),
        ("step,loss\n0,1\n,2\n", "line 3 has no step"),
        ("step,loss\n0,1\n1.5,2\n", "line 3 has step 1.5; steps are whole numbers"),
        ("step,loss\n0,1\n1e16,2\n", "line 3 has step 10000000000000000; steps are whole numbers"),
        ("step,loss\n1,1\n1,2\n", "line 3 has step 1 again, with another value"),
        (steps(3, 2, 1), "line 3 has step 2 after step 3; steps must increase"),
        (steps(0, 0, 1, 1, 2, 2, 3, 3), "line 3 has step 0 again, with another value"),
        (steps(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3), "line 10 has step 0 for the third time"),
        ("loss,loss\n1,2\n", "has 'loss' twice"),
        (b"step,loss\n0,1\n1,\xe9\n", "line 3 is not text in UTF-8; save it as UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "line 1 is not text in UTF-8"),
        ('{"step": 0, "loss": 1}\n{"step": 1, "loss": "x"}\n', "line 2 has x under 'loss'"),
        ('{"step": 0, "loss": 1}\n{"step": 1, "loss": true}\n', "line 2 has True under 'loss'"),
        ('{"step": 0, "loss": 1}\n{"step": 1, "loss": {"a": 1}}\n', "line 2 has {'a': 1} under"),
        ('{"step": 0, "loss": 1}\n[1]\n', "line 2 is not a JSON object"),
        ('{"step": 0, "loss": 1}\n{"step": 1,\n{}\n', "line 2 is not JSON"),
        ('{"step": 0, "loss": 1}\n' + '{"a":' * 5000 + "\n", "line 2 is"),
        ("[" * 100_000, "is nested too deeply"),
        ('[{"step": 0},\n 1,]', "line 2 is not JSON"),
        ('[{"step": 0, "loss": 1}, 1]', "entry 2 is not a JSON object"),
        ("{\n}", "has no list log_history"),
        ('{\n"log_history": [{"step": 1, "loss": []}]}', "log_history entry 1 has [] under 'loss'"),
        ("[]", "has no training loss (columns: none)"),
        ('[{"step": ' + "1" * 5000 + "}]", "has a number with too many digits"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_line(content, said, log):
    with pytest.raises(sim.InputError) as refused:
        log(content)
    assert (refused.value.option, said in str(refused.value)) == ("source", True), refused.value
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (["los"], "did you mean loss?"),
        (["loss", "loss"], "is given twice"),
        (["loss=a", "loss=b"], "is given twice"),
        (["step"], "name one of them loss"),
        (["step", "loss", "eta"], "has 2 columns"),
        (["loss=x"], "has no such column; it has 'step', 'loss'"),
        (["lose=x"], "did you mean loss?"),
    ],
)
def test_columns_that_make_no_sense_are_refused(columns, said, log):
    with pytest.raises(sim.InputError) as refused:
        log("step,loss\n0,1\n", columns=columns)
    assert refused.value.option == "columns"
    assert said in str(refused.value)


def test_columns_of_json_have_no_order(log):
    with pytest.raises(sim.InputError, match="give QUANTITY=COLUMN"):
        log('{"loss": 1}', columns=["loss"])


def test_decimal_marks_are_one_in_the_whole_file(log, monkeypatch):
    for module in (logs, logs.text):
        monkeypatch.setattr(module, "BLOCK", 8)
    assert log("step;loss\n" + "0;1,5\n" * 9).loss.tolist() == [1.5]
    with pytest.raises(
        sim.InputError, match=r"line 12 has '1\.5' after numbers with decimal commas"
    ):
        log("step;loss\n" + "0;1,5\n" * 10 + "0;1.5\n" * 9)


def test_a_last_line_that_was_cut_is_left_out_and_said(log):
    for content in (PLAIN + "8,0.", PLAIN + '8,"0.'):
        found = log(content)
        assert found.step.tolist() == list(range(8))
        assert "The last line (10) is incomplete and left out." in str(found.account)
    found = log('{"step": 0, "loss": 1}\n{"step": 1, "lo')
    assert found.step.tolist() == [0]
    assert "The last line (2) is incomplete and left out." in str(found.account)


def test_sizes_are_bounded(log, monkeypatch):
    with pytest.raises(sim.InputError, match="line 2 is longer than 1000000 characters"):
        log("loss\n" + "9" * 3_000_000)
    with pytest.raises(sim.InputError, match="too many columns of known names"):
        log(",".join(["loss"] * 20) + "\n" + ",".join("1" * 20) + "\n")
    with pytest.raises(sim.InputError, match="too many keys of known names"):
        log(json.dumps({f"lr-{number}": 1 for number in range(20)}) + "\n")
    monkeypatch.setattr(logs.rows, "MOST_ROWS", 5)
    for content in (PLAIN, json.dumps([{"loss": 1}] * 7)):
        with pytest.raises(sim.InputError, match="more than 5 rows"):
            log(content)
    monkeypatch.setattr(logs.json_document, "_MOST_CHARACTERS", 10)
    with pytest.raises(sim.InputError, match="give JSON lines"):
        log(json.dumps([{"loss": 1}] * 7))


# --- the fast way and the careful one ------------------------------------------------------

CELLS = st.one_of(
    st.floats().map(repr), st.integers(-5, 5).map(str), st.floats(0, 1).map(repr),
    st.sampled_from(["", " ", "nan", "NaN", "NA", "inf", "-Infinity", "1e400", "+1.", ".5", "1_0"]),
    st.sampled_from(['"1"', '""', '"1"2', '"1,5"', "x", "0x1", "1,5", "2.5", "#", "'1'", "--1"]),
)  # fmt: skip


@given(
    cells=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=6),
    plain=st.lists(st.lists(st.floats(0, 1).map(repr), min_size=3, max_size=3), max_size=4),
    separator=st.sampled_from([",", ";", "\t", " "]), end=st.sampled_from(["", "\n", "\n\n"]),
    columns=st.sampled_from([["loss", "eta", "sharpness"], ["-", "loss"], ["eta", "-", "loss"]]),
)  # fmt: skip
@example([["nan", "1", ""], ["1", "", "2"]], [], ",", "\n", ["loss", "eta", "sharpness"])
@example([["1", "", ""], ["", "", "2"]], [], ",", "", ["eta", "-", "loss"])
def test_numpy_reads_what_the_careful_way_reads(cells, plain, separator, end, columns):
    names = dict(zip("abc", columns, strict=False))
    content = "\n".join(separator.join(row) for row in (*plain, *cells)) + end
    content = separator.join("abc") + "\n" + content
    chosen = [f"{name}={column}" for column, name in names.items() if name != "-"]
    fast = outcome(content, chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "numbers", lambda *_: None)
        careful = outcome(content, chosen)
        patch.setattr(logs, "BLOCK", 7)
        patch.setattr(logs.text, "BLOCK", 7)
        pieces = outcome(content, chosen)
    assert fast == careful == pieces


def outcome(content, columns):
    from fuzzing import written

    try:
        found = read_log(written(content.encode(), "log.csv"), columns)
    except sim.InputError as refusal:
        return str(refusal)
    curves = (found.step, found.loss, found.eta, found.sharpness)
    return [curve.tobytes() for curve in curves], str(found.account)


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line,
        lambda line: line + ",2024-01-01T00:00:00",
        lambda line: line + ",",
        lambda line: "," + line,
        lambda line: line.replace(",", ",,,"),
        lambda line: ",".join(f'"{cell}"' for cell in line.split(",")),
        lambda line: line.replace(",", ";").replace(".", ","),
        lambda line: line.replace(",", "   "),
    ],
)
def test_long_tables_of_the_usual_kinds_are_left_to_numpy(change, log, monkeypatch):
    """Ten million rows take seconds so, and minutes field by field."""
    header = change("step,loss,lr").replace("2024-01-01T00:00:00", "time")
    rows = [change(f"{step},{0.5 + step},0.25") for step in range(50)]
    monkeypatch.setattr(tables._Reader, "_read_cells", lambda *_: pytest.fail("field by field"))
    found = log("\n".join([header, *rows]) + "\n")
    assert found.loss.tolist() == [0.5 + step for step in range(50)]
    assert (found.eta == 0.25).all()
