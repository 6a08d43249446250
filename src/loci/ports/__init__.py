"""The sockets: what the kernel asks of clocks, models, stores and vaults. Comments here are promises a driver makes.

``loci.testing.conformance`` holds the same promises as tests, for any driver to run.
"""

from loci.ports.models import Chat, Clock, Embedder, Ids
from loci.ports.store import ClaimRow, Draft, Lent, PayloadRow, Probe, Reach, Removed, RowFilter, Store, Survey, Transaction
from loci.ports.vault import Act, Entry, Envelope, Files, Keyring, Notary, Registry, Secret, Signature, Stretched

__all__ = [
    "Act", "Chat", "ClaimRow", "Clock", "Draft", "Embedder", "Entry", "Envelope", "Files", "Ids", "Keyring", "Lent", "Notary", "PayloadRow", "Probe", "Reach", "Registry",
    "Removed", "RowFilter", "Secret", "Signature", "Store", "Stretched", "Survey", "Transaction",
]  # fmt: skip
