"""Types as another project's checker sees them."""

import re

import pytest

PROJECT = """
import simulator as sim

data = sim.load_data("digits", samples=64)
model = sim.MLP(width=8)
run = sim.simulate(model, data, optimizer=sim.Adam(), schedule=sim.Warmup(eta_trgt=0.1, t_wrm=8))
reveal_type(run)
reveal_type(run.loss)
reveal_type(run.diverged)
reveal_type(model.init(data))
reveal_type(sim.sharpness(model, model.init(data), data))
reveal_type(sim.sweep(model, data, eta_trgt=[1.0]))
reveal_type(sim.critical_learning_rate(model, data).eta_c)
reveal_type(sim.theory.quadratics.eta_critical(1.0))
"""


MISTAKES = """
import simulator as sim

sim.Warmup(eta_target=1.0)
sim.simulat(sim.MLP())
"""


# No type below depends on these, and reading them takes half a minute.
UNREAD = (
    "bokeh.*,click.*,dask.*,distributed.*,hypothesis.*,jinja2.*,llvmlite.*,marimo.*,matplotlib.*,"
    "mnist1d.*,numba.*,pandas.*,platformdirs.*,rich.*,scipy.*,sklearn.*,threadpoolctl.*,tqdm.*,zarr.*"
)


@pytest.mark.slow
def test_a_strict_project_sees_what_each_public_name_is_and_what_is_none(tmp_path):
    from mypy import api

    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(PROJECT)
    bad.write_text(MISTAKES)
    config = tmp_path / "mypy.ini"
    config.write_text(f"[mypy]\nstrict = true\n[mypy-{UNREAD}]\nfollow_imports = skip\n")
    settings = ["--config-file", str(config), "--cache-dir", str(tmp_path / "cache")]
    out, err, _ = api.run([*settings, str(good), str(bad)])
    errors = [line for line in out.splitlines() if "error:" in line]
    assert len(errors) == 2, out + err
    assert '"eta_target"' in errors[0]
    assert '"simulat"' in errors[1]

    revealed = re.findall(r'Revealed type is "([^"]*)"', out)
    shown = [kind.replace("builtins.", "").split("[")[0] for kind in revealed]
    assert shown[:5] == ["simulator.runs.Run", "numpy.ndarray", "bool", "numpy.ndarray", "float"]
    assert shown[5].endswith("Dataset")
    assert shown[6] == "float"
    assert len(shown) == 8
