"""Payloads: what fits the annotation of a job, and what is said of what does not."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

import nbtasks as nb


def test_a_payload_is_validated_by_its_annotation() -> None:
    @nb.job("typed")
    def body(payload: dict[str, int], io: nb.SyncIO) -> Any:
        return payload

    assert body.run({"a": "1"}).output == {"a": 1}
    with pytest.raises(nb.InvalidPayloadError, match=r"a: .*integer"):
        body.run({"a": "one"})
    assert len(nb.runs()) == 1


class Airline(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    code: str
    fleet: int = pydantic.Field(gt=0)

    @pydantic.field_validator("code")
    @classmethod
    def _is_in_capitals(cls, code: str) -> str:
        if not code.isupper():
            raise ValueError("a code is in capitals")
        return code


class Season(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    year: int
    airlines: list[Airline] = []


def test_whatever_does_not_fit_in_a_payload_is_named_with_its_place() -> None:
    @nb.job("season")
    def body(payload: Season, io: nb.SyncIO) -> int:
        return payload.year

    given = {
        "season": 2013,
        "airlines": [{"code": "AA", "fleet": -1}, {"code": "ua", "colour": "x" * 100}],
    }
    with pytest.raises(nb.InvalidPayloadError) as refused:
        body.run(given)

    assert str(refused.value).splitlines() == [
        "The payload does not fit job 'season':",
        "  year: Field required (there is only 'season', 'airlines')",
        "  airlines.0.fleet: Input should be greater than 0 (got -1)",
        "  airlines.1.code: a code is in capitals (got 'ua')",
        "  airlines.1.fleet: Field required (there is only 'code', 'colour')",
        f"  airlines.1.colour: Extra inputs are not permitted (got '{'x' * 76}...)",
        "  season: Extra inputs are not permitted (got 2013)",
    ]
    assert body.run({"year": 2013}).output == body.run(Season(year=2013)).output == 2013
    with pytest.raises(nb.InvalidPayloadError, match=r"year: Field required \(nothing is there\)"):
        body.run({})
    with pytest.raises(nb.InvalidPayloadError, match=r"payload: .*dictionary.*\(got None\)"):
        body.run()


def test_of_many_problems_in_a_payload_the_first_are_told() -> None:
    @nb.job("numbers")
    def body(payload: list[int], io: nb.SyncIO) -> None: ...

    with pytest.raises(nb.InvalidPayloadError) as refused:
        body.run(["x"] * 1000)

    lines = str(refused.value).splitlines()
    assert len(lines) == 22
    assert lines[-1] == "  and 980 more"


class Checked(pydantic.BaseModel):
    year: int

    @pydantic.model_validator(mode="after")
    def _is_known(self) -> Checked:
        if self.year < 1903:
            raise ValueError("nobody flew then")
        return self


def test_each_type_that_a_payload_may_have_is_named() -> None:
    @nb.job("either")
    def body(payload: list[int] | Checked, io: nb.SyncIO) -> None: ...

    with pytest.raises(nb.InvalidPayloadError) as refused:
        body.run({"year": 1900})

    assert str(refused.value).splitlines()[1:] == [
        "  list[int]: Input should be a valid list (got {'year': 1900})",
        "  Checked: nobody flew then (got {'year': 1900})",
    ]


def test_a_payload_for_a_job_without_one_is_refused() -> None:
    @nb.job("bare")
    def body(io: nb.SyncIO) -> None: ...

    with pytest.raises(nb.InvalidPayloadError, match="takes no payload"):
        body.run(1)
