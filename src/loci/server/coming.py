"""How long a request may take to come. Nothing of it is begun before its body is here, so to give up on it costs nobody anything."""

from __future__ import annotations

import math

import anyio
from starlette.types import Message, Receive

from loci.server.problems import Slow

SECONDS, BYTES_A_SECOND = 20.0, 500  # as Apache's mod_reqtimeout has it: so long, and a second more for so many bytes that have come
SECONDS_AT_END = 5.0  # for what is still coming when the server is told to end


class Coming:
    """The bodies that are on their way."""

    def __init__(self) -> None:
        self._end, self._waits = math.inf, set[anyio.CancelScope]()

    def end(self) -> None:
        """The server was told to end: whose body is not here soon is given up on."""
        self._end = min(self._end, anyio.current_time() + SECONDS_AT_END)
        for wait in self._waits:
            wait.deadline = min(wait.deadline, self._end)

    def timed(self, receive: Receive) -> Receive:
        """The same request, which raises `Slow` where its body does not come in time. What is received after it is waited for without an end."""
        began, size, is_here = anyio.current_time(), 0, False

        async def timed() -> Message:
            nonlocal size, is_here
            if is_here:
                return await receive()
            with anyio.CancelScope(deadline=min(began + SECONDS + size / BYTES_A_SECOND, self._end)) as wait:
                self._waits.add(wait)
                try:
                    message = await receive()
                finally:
                    self._waits.discard(wait)
            if wait.cancelled_caught:
                raise Slow("The rest of the request did not come in time, and nothing of it was begun. Send it again, all of it.")
            size += len(message.get("body", b""))
            is_here = not message.get("more_body", False)
            return message

        return timed
