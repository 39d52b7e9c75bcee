"""Verdicts on changes: each edit and each pair of arguments of the battery has its verdict."""

from __future__ import annotations

import json

import pytest

from nbtasks.engine.fingerprint import arguments
from nbtasks.engine.fingerprint.digest_cache import DigestCache
from tests.engine import changes
from tests.engine.changes import ARGUMENTS, DOCS, EDITS, KINDS, PAIRS, PLACES, Argument, Place


def test_the_battery_is_large():
    assert len(EDITS) >= 150
    assert len(PAIRS) >= 120


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.what)
def test_an_edit_is_seen_in_every_kind_of_function(place: Place):
    wrong = [kind for kind in KINDS if changes.is_edit_seen(place, kind) is not place.is_seen]

    assert wrong == []


@pytest.mark.parametrize("kind", ARGUMENTS, ids=lambda kind: kind.what)
def test_a_pair_of_arguments_has_its_verdict(kind: Argument):
    assert changes.is_pair_seen(kind, differs=True) is kind.is_seen
    assert not changes.is_pair_seen(kind, differs=False)
    if not kind.is_seen:
        assert changes.is_pair_told(kind) is kind.is_told


@pytest.mark.slow
def test_digests_are_the_same_on_each_python(monkeypatch: pytest.MonkeyPatch):
    # Python shares patterns and zones: one that a task of another test returned counts as recorded.
    monkeypatch.setattr(arguments, "_recorded", DigestCache())
    recorded = json.loads(changes.DIGESTS.read_text())
    current = changes.digests()

    differing = sorted(name for name in {*recorded, *current}
                       if recorded.get(name) != current.get(name))  # fmt: skip
    assert differing == [], "python -m tests.engine.changes, if fingerprints are to be others"
    assert len(current) >= 90


def test_the_docs_say_what_is_seen():
    text = DOCS.read_text()

    assert changes.in_docs(text) == text, "python -m tests.engine.changes"
    assert changes.BEGIN in text
