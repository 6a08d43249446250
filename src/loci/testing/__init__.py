"""What tests need and ship with: a hand-turned clock, ids that count, small embedders, and the promises of a Store."""

from __future__ import annotations

from loci.testing.clock import CountingIds, ManualClock
from loci.testing.embedder import FailingEmbedder, HashEmbedder

__all__ = ["CountingIds", "FailingEmbedder", "HashEmbedder", "ManualClock"]
