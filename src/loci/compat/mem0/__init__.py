"""mem0's library: ``from loci.compat.mem0 import Memory`` in the place of ``from mem0 import Memory``. No key, no network, no model needed.

The names, keywords (those of v2 and of v3) and dictionaries are those of mem0ai 2.2; what is answered otherwise, and why, stands in
``docs/how-to/from-mem0.md`` and ``design/022-mem0s-door.md``.
"""

from loci.compat.mem0.memory import AsyncMemory, Memory
from loci.compat.mem0.platform import Platform

__all__ = ["AsyncMemory", "Memory", "Platform"]
