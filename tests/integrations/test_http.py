"""A service over HTTP, against a real server."""

from __future__ import annotations

from typing import Any

import pytest

import nbtasks as nb
from nbtasks.integrations import Http
from nbtasks.testing import FakeClock
from tests.servers import Answer, Asked, serving


def test_http_speaks_to_a_service():
    def answer(asked: Asked) -> Answer:
        said = asked.json() if asked.body else None
        return Answer(200, {"method": asked.method, "path": asked.path, "body": said})

    with serving(answer) as server:
        http = Http(f"{server.url}/api/", headers={"Authorization": "Bearer secret"})

        @nb.job("speaks", integrations={"service": http})
        async def speaks(io: Any) -> Any:
            answers = [
                await io.service.get("get", "users?n=1"),
                await io.service.post("post", "/users", {"name": "Ada"}),
                await io.service.put("put", "users/1", {"name": "Ada"}),
                await io.service.patch("patch", "users/1", {"name": "Ada"}),
                await io.service.delete("delete", "users/1", headers={"X-Mine": "1"}),
            ]
            assert isinstance(answers[0], nb.Response)
            return [[one.body["method"], one.body["path"]] for one in answers]

        assert speaks.run().output == [
            ["GET", "/api/users?n=1"],
            ["POST", "/api/users"],
            ["PUT", "/api/users/1"],
            ["PATCH", "/api/users/1"],
            ["DELETE", "/api/users/1"],
        ]
        keys = [asked.headers.get("idempotency-key") for asked in server.asked]
        assert keys[0] is None
        assert len(set(keys)) == 5
        assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer secret"}
    assert "secret" not in nb.tasks().to_csv()


def test_http_takes_a_status_that_is_not_right_for_a_failure():
    with FakeClock(), serving(lambda asked: Answer(404, "no such user")) as server:

        @nb.job("speaks", integrations={"service": Http(server.url, retry=2)})
        def speaks(io: Any) -> None:
            io.service.get("get", "users/7")

        with pytest.raises(nb.FetchError, match="status 404: no such user"):
            speaks.run()
        assert len(server.asked) == 2
