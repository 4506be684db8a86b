"""One BLAS thread while any run goes on, and the process's own number again after the last."""

import os
import signal
import threading
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

import simulator as sim
from simulator import blas
from simulator.blas import one_blas_thread
from simulator.sweeps.job import Job
from simulator.sweeps.spec import Spec
from simulator.sweeps.threads import Threads

SPEC = Spec(sim.Quadratic(), sim.GD(), eta_trgt=(0.1,))


@pytest.fixture(scope="module", autouse=True)
def _two_threads():
    """Whatever the environment asks for: one thread would hide a limit that is left behind.

    It is this thread that sets it: threadpoolctl then ignores the others.
    """
    with threadpool_limits(2, user_api="blas"):
        yield


def threads():
    """The threads of every BLAS of this process: one number, or the test fails."""
    (number,) = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    return number


class Visitor:
    """A thread that enters and leaves the limit on request, on leaving also by an exception."""

    def __init__(self):
        self._enter, self._leave, self._entered = (threading.Event() for _ in range(3))
        self._raises = False
        self._thread = threading.Thread(target=self._visit)
        self._thread.start()

    def _visit(self):
        self._enter.wait()
        with suppress(RuntimeError), one_blas_thread():
            self._entered.set()
            self._leave.wait()
            if self._raises:
                raise RuntimeError

    def enter(self):
        self._enter.set()
        self._entered.wait()

    def leave(self, *, raises):
        self._raises = raises
        self._leave.set()
        self._thread.join()


@pytest.mark.parametrize("first_raises", [False, True])
@pytest.mark.parametrize("last_raises", [False, True])
def test_the_first_to_enter_may_be_the_first_to_leave(first_raises, last_raises):
    first, last = Visitor(), Visitor()
    first.enter()
    last.enter()
    assert threads() == 1
    first.leave(raises=first_raises)
    assert threads() == 1
    last.leave(raises=last_raises)
    assert threads() == 2


@given(order=st.permutations([0, 0, 1, 1, 2, 2, 3, 3]), raising=st.sets(st.integers(0, 3)))
def test_in_any_order_the_limit_holds_while_anyone_is_inside(order, raising):
    """Without threads, which the limit does not tell apart: so every order comes about."""
    visits, inside = [one_blas_thread() for _ in range(4)], set()
    for visitor in order:
        if visitor in inside:
            error = RuntimeError() if visitor in raising else None
            assert not visits[visitor].__exit__(error and RuntimeError, error, None)
        else:
            visits[visitor].__enter__()
        inside ^= {visitor}
        assert threads() == (1 if inside else 2)


def test_a_sweep_that_is_interrupted_as_it_ends_leaves_no_limit():
    def interrupted(**options):
        raise KeyboardInterrupt

    crew = Threads(Job(SPEC, None), 1, lambda runs: None)
    crew._pool.shutdown = interrupted
    with pytest.raises(KeyboardInterrupt), crew:
        assert threads() == 1
    assert threads() == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
# Raised where other tests have loaded JAX, or by Python 3.12 where there are threads.
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_process_forked_as_a_thread_enters_can_enter():
    """The lock is then held by a thread that the child does not have."""
    with blas._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(600)
            with one_blas_thread():
                os._exit(0 if threads() == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
