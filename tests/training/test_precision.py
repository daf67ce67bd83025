"""Runs take bfloat16 where the hardware has it, and say so."""

import pytest
import torch

from ganforge.training import precision
from ganforge.training.precision import choose_precision, has_bf16

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16 sha_ni\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_vnni\nbugs\t\t: bf16\n", False),
        ("processor\t: 0\nFeatures\t: fp asimd sve bf16 i8mm\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd\n", False),
        ("", False),
    ],
)
def test_has_bf16_reads_the_instruction_sets_of_the_processor(
    tmp_path, monkeypatch, cpuinfo, expected
):
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo)
    monkeypatch.setattr(precision, "_CPUINFO", file)
    assert has_bf16(CPU) is expected


def test_has_bf16_without_cpuinfo_is_false(tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "_CPUINFO", tmp_path / "none")
    assert not has_bf16(CPU)


@pytest.mark.parametrize(
    ("wanted", "bf16", "is_cpu", "expected", "said"),
    [
        ("auto", True, True, "bf16", "bf16 (auto"),
        ("auto", False, True, "fp32", "only emulates bf16)."),
        ("auto", False, False, "fp32", "fp16 may be faster"),
        ("bf16", False, True, "bf16", "slower than fp32"),
        ("bf16", True, True, "bf16", ""),
        ("fp32", True, True, "fp32", ""),
    ],
)
def test_choose_precision_explains_its_choice(wanted, bf16, is_cpu, expected, said):
    chosen, message = choose_precision(wanted, bf16, is_cpu)
    assert chosen == expected
    assert said in message and bool(said) == bool(message)
