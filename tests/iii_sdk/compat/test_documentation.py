"""The examples in the documentation do what they say."""

from __future__ import annotations

import asyncio
import doctest

import iii_sdk
from iii_sdk import III, InitOptions, register_worker


def test_the_examples_of_the_class(url, monkeypatch):
    monkeypatch.setenv("III_URL", url)
    names = {
        "asyncio": asyncio,
        "III": III,
        "InitOptions": InitOptions,
        "register_worker": register_worker,
    }
    (example,) = doctest.DocTestFinder(recurse=False).find(III, "III", globs=names)
    said: list[str] = []
    results = doctest.DocTestRunner().run(example, out=said.append)
    assert not results.failed, "".join(said)
    assert results.attempted > 8


def test_every_exported_name_is_there():
    for module in (iii_sdk, iii_sdk.compat):
        assert all(getattr(module, name) is not None for name in module.__all__)


def test_a_name_that_nobody_exports():
    assert not hasattr(iii_sdk, "Logging")
