import os

from ganforge.starters.machine import Machine, this_machine


def test_this_machine_names_the_processor_and_its_cores():
    machine = this_machine()
    assert machine.is_gpu or (machine.cores >= 1 and machine.name)
    assert machine.name in str(machine)


def test_load_is_that_of_each_core(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (6.0, 1.0, 1.0))
    assert Machine("x", 2, is_gpu=False).load == 3
    assert Machine("x", 0, is_gpu=True).load == 0
    assert str(Machine("x", 1, is_gpu=False)) == "1 CPU core (x)"
