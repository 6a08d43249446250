"""LlamaIndex's long-term memory: ``from loci.compat.llamaindex import LociBlock``, a block of its `Memory` over a cube of a vault or of a server.

When LlamaIndex hands a block what, and what to do about the rest, stands in ``docs/how-to/from-llamaindex.md``.
"""

from loci.errors import Unsupported

try:
    from loci.compat.llamaindex.block import LociBlock
except ModuleNotFoundError as error:
    if not str(error.name).startswith("llama_index"):
        raise
    raise Unsupported("LlamaIndex is not installed: pip install 'loci-memos[llamaindex]'.") from error

__all__ = ["LociBlock"]
