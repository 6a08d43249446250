"""What is no HTTP at all is answered with a problem document too, as everything that a server refuses is."""

from __future__ import annotations

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from loci.errors import Invalid
from loci.server.problems import MEDIA, document, encoded


class Unread(Invalid):
    """What came is no request."""

    http_status = 400


UNREAD = Unread(
    "What came is no request of HTTP/1.1 with a Host, and lengths and headers as RFC 9112 has them; nothing was done. Ask with an HTTP client, "
    "such as curl: /openapi.json describes what there is."
)


class Reading(H11Protocol):
    """The protocol as uvicorn reads it, but for how it refuses."""

    def send_400_response(self, msg: str) -> None:
        body = encoded(document(UNREAD))
        headers = [("content-type", MEDIA), ("content-length", str(len(body))), ("connection", "close")]
        for event in (
            h11.Response(status_code=UNREAD.http_status, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
