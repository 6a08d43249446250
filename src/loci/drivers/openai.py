"""A language model behind any endpoint that speaks OpenAI's chat completions, local or not."""

from __future__ import annotations

from dataclasses import dataclass, field

from loci.drivers.endpoint import Endpoint
from loci.errors import Invalid, Unavailable


@dataclass(frozen=True, slots=True)
class OpenAIChat:
    """``url`` is the base, with its version ("http://127.0.0.1:8080/v1"). Without a key none is sent."""

    url: str
    name: str
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        self._endpoint()
        if not self.name:
            raise Invalid("The endpoint needs the name of a model, as its own documentation spells it.")

    def complete(self, system: str, user: str, *, max_tokens: int = 512) -> str:
        """The answer, at temperature 0. A busy or absent endpoint is tried a few times, a little later each time.

        Raises `Denied` for a refused key, `Invalid` for a refused request, `Unavailable` for all else.
        """
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        asked = {"model": self.name, "messages": messages, "temperature": 0, "max_tokens": max_tokens}
        return _content(self._endpoint().post("/chat/completions", asked))

    def _endpoint(self) -> Endpoint:
        advice = "Check the address, which ends with the version as in .../v1, and the model's name."
        return Endpoint(self.url, self.key, advice, absent=Invalid)


def _content(told: object) -> str:
    try:
        content = told["choices"][0]["message"]["content"]  # type: ignore[index]
    except (LookupError, TypeError) as error:
        raise Unavailable(f"The endpoint's answer is no chat completion: {str(told)[:200]!r}") from error
    if not isinstance(content, str):
        raise Unavailable("The endpoint's answer has no text: the model refused, or wanted to call a tool.")
    return content
