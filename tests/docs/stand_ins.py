"""Stand-ins for the services that the recipes ask."""

from __future__ import annotations

from collections import Counter

from tests.servers import Answer, Asked

__all__ = ["Books", "Llm"]


class Llm:
    """Paid API, as OpenAI's: it answers, is busy once, and counts what it has been asked."""

    def __init__(self) -> None:
        self.prompts: Counter[str] = Counter()
        self.busy = 1

    def __call__(self, asked: Asked) -> Answer:
        if self.busy:
            self.busy -= 1
            return Answer(429, {"error": {"message": "slow down"}}, {"retry-after": "20"})
        prompt = asked.json()["messages"][0]["content"]
        self.prompts[prompt] += 1
        label = "positive" if int(prompt.split()[-1]) % 2 else "negative"
        message = {"role": "assistant", "content": label}
        return Answer(
            200,
            {
                "id": "1",
                "object": "chat.completion",
                "created": 0,
                "model": "gpt-4o-mini",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 300, "completion_tokens": 30, "total_tokens": 330},
            },
        )


class Books:
    """Site of three pages, with one that robots must not read.

    Args:
        rules: Status of its robots.txt.
    """

    def __init__(self, rules: int = 200) -> None:
        self.paths: Counter[str] = Counter()
        self._rules = rules

    def __call__(self, asked: Asked) -> Answer:
        self.paths[asked.path] += 1
        if asked.path == "/robots.txt":
            return Answer(self._rules, b"User-agent: *\nDisallow: /private/\n")
        number = int(asked.path.removeprefix("/page-").removesuffix(".html"))
        following = f'<a rel="next" href="/page-{number + 1}.html">' if number < 3 else ""
        return Answer(200, f"<li>Book {number}: {number}.50</li>{following}".encode())
