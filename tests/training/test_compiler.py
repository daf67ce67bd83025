"""Compiling is tried where it can work, and pays."""

import stat

import pytest
import torch

from ganforge.config.models import TrainConfig
from ganforge.training import compiler
from ganforge.training.compiler import compiler_fault, too_short


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Nothing is known yet, and a toy compiles."""
    monkeypatch.setattr(compiler, "_toy_fault", lambda device: None)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    compiler_fault.cache_clear()
    yield
    compiler_fault.cache_clear()


@pytest.fixture
def path(tmp_path, monkeypatch):
    """An empty PATH, and a function that puts a program there."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def install(name):
        (tmp_path / name).write_text("#!/bin/sh")
        (tmp_path / name).chmod(stat.S_IRWXU)

    return install


@pytest.fixture
def headers(tmp_path, monkeypatch):
    """A folder of Python's headers, which has none yet."""
    folder = tmp_path / "include"
    folder.mkdir()
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(folder))
    return folder


@pytest.mark.parametrize(
    ("device", "tool", "said"),
    [("cpu", "g++", "no C++ compiler (g++)"), ("cuda", "clang", "no C compiler (gcc or clang)")],
)
def test_fault_names_the_tool_that_is_missing(path, headers, monkeypatch, device, tool, said):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert said in compiler_fault(device)
    path(tool)
    compiler_fault.cache_clear()
    assert "Python.h is missing; install the Python headers" in compiler_fault(device)
    (headers / "Python.h").touch()
    compiler_fault.cache_clear()
    assert compiler_fault(device) is None


def test_fault_names_the_compiler_of_the_environment(path, headers, monkeypatch):
    path("g++")
    monkeypatch.setenv("CXX", "no-such-compiler")

    assert "(no-such-compiler)" in compiler_fault("cpu")


def test_gpu_needs_triton(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    assert compiler_fault("cuda") == "Triton is not installed"


def test_toy_that_does_not_compile_is_a_fault(monkeypatch):
    monkeypatch.undo()  # the real toy

    def fail(function):
        raise OSError("Python.h: no such file\nsecond line")

    monkeypatch.setattr("torch.compile", fail)
    assert compiler._toy_fault("cpu") == (
        "a test compilation failed (OSError: Python.h: no such file)"
    )
    monkeypatch.setattr("torch.compile", lambda function: torch.zeros_like)
    assert "wrong numbers" in compiler._toy_fault("cpu")
    monkeypatch.setattr("torch.compile", lambda function: function)
    assert compiler._toy_fault("cpu") is None


def test_fault_is_found_out_once(monkeypatch):
    asked = []
    monkeypatch.setattr(compiler, "_toy_fault", asked.append)

    assert compiler_fault("cpu") == compiler_fault("cpu")
    assert len(asked) <= 1


@pytest.mark.parametrize(
    ("kimg", "precision", "said"),
    [
        (4, "bf16", "400 steps are too few"),
        (6, "bf16", None),
        (6, "fp32", "600 steps in fp32 on a CPU are too few"),
        (300, "fp32", None),
    ],
)
def test_cpu_counts_steps(kimg, precision, said):
    found = too_short(TrainConfig(total_kimg=kimg, batch_size=10), None, True, precision, 1)

    assert found is None if said is None else said in found


@pytest.mark.parametrize(
    ("train", "size", "ranks", "said"),
    [
        # StyleGAN2 at 64x64: steps wait for launches, 40 ms each.
        ({"total_kimg": 100, "batch_size": 32}, (64, 64), 1, "save 0.5 of about 2.1 min"),
        ({"total_kimg": 1000, "batch_size": 32}, (64, 64), 1, None),
        # At 1024x1024 the same number of images takes longer.
        ({"total_kimg": 100, "batch_size": 32}, (1024, 1024), 8, None),
        ({"total_kimg": 100, "batch_size": 32}, None, 64, "save 0.5 of about 2.1 min"),
        ({"total_kimg": 25000, "batch_size": 32, "max_minutes": 5}, None, 1, "of about 5.0 min"),
    ],
)
def test_gpu_weighs_minutes(train, size, ranks, said):
    found = too_short(TrainConfig(**train), size, False, "bf16", ranks)

    assert found is None if said is None else said in found
