"""Every delivered case of the contract is a test that carries its number."""

from __future__ import annotations

from tools.conformance_cases import breaches, numbers, proven


def test_every_delivered_case_has_a_test() -> None:
    assert list(breaches()) == []


def test_numbers_of_a_name() -> None:
    assert list(numbers("7")) == [7]
    assert list(numbers("5_to_7_and_11")) == [5, 6, 7, 11]
    assert list(numbers("73_and_75_to_76")) == [73, 75, 76]


def test_a_test_may_prove_cases_of_two_documents() -> None:
    (both,) = [t for t in proven()["wire"][65] if "modules_case_24" in t]
    assert both in proven()["modules"][24]
