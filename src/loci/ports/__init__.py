"""The sockets: what the kernel asks of clocks, models, caches, stores and vaults. Comments here are promises a driver makes.

``loci.testing.conformance`` holds the same promises as tests, for any driver to run.
"""

from loci.ports.models import Chat, Clock, Embedder, Ids
from loci.ports.payloads import Lent, PayloadRow
from loci.ports.retaining import Strength
from loci.ports.scoring import Book, BudgetPlan, Episodes, Grouping, Need, Probing, ScoreContext, Scorer, Watching
from loci.ports.store import ClaimRow, Draft, Earlier, Probe, Reach, Removed, RowFilter, Store, Survey, Transaction
from loci.ports.vault import Act, Entry, Envelope, Files, Keyring, Notary, Registry, Secret, Signature, Stretched

__all__ = [
    "Act", "Book", "BudgetPlan", "Chat", "ClaimRow", "Clock", "Draft", "Earlier", "Embedder", "Entry", "Envelope", "Episodes", "Files", "Grouping", "Ids", "Keyring", "Lent", "Need",
    "Notary", "PayloadRow", "Probe", "Probing", "Reach", "Registry", "Removed", "RowFilter", "ScoreContext", "Scorer", "Secret", "Signature",
    "Store", "Strength", "Stretched", "Survey", "Transaction", "Watching",
]  # fmt: skip
