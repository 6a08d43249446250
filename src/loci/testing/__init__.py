"""What tests need and ship with: a hand-turned clock, ids that count, small embedders, a file that is damaged, an engine without a model, and the promises of a Store."""

from __future__ import annotations

from loci.testing.clock import CountingIds, ManualClock
from loci.testing.damage import damage
from loci.testing.embedder import FailingEmbedder, HashEmbedder
from loci.testing.engine import HashEngine
from loci.testing.student import TeachableEngine

__all__ = ["CountingIds", "FailingEmbedder", "HashEmbedder", "HashEngine", "ManualClock", "TeachableEngine", "damage"]
