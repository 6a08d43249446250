"""LangGraph's long-term store: ``from loci.compat.langgraph import LociStore``, a `BaseStore` over a cube of a vault or of a server.

What is answered otherwise than by LangGraph's own stores, and why, stands in ``docs/how-to/from-langgraph.md``.
"""

from loci.errors import Unsupported

try:
    from loci.compat.langgraph.store import LociStore
except ModuleNotFoundError as error:
    if not str(error.name).startswith("langgraph"):
        raise
    raise Unsupported("LangGraph's stores are not installed: pip install 'loci-memos[langgraph]'.") from error

__all__ = ["LociStore"]
