"""A proxy before an OpenAI-compatible or Anthropic API, whose chats have memory: `Proxy` has the routes, `Upstream` is the one address that
they lead to. What is recalled stands before the user's message; the exchange is kept after the answer; trouble with memory never
breaks a chat, and is told in a header."""

from loci.server.proxy.relay import Proxy
from loci.server.proxy.states import States
from loci.server.proxy.upstream import Upstream

__all__ = ["Proxy", "States", "Upstream"]
