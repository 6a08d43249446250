"""The system-call table: which verbs there are, which of them only look, and which stay on the machine that has the files.

Doors that reach over a network, and the client of theirs, are made from it. `tests/arch/test_table.py` holds it against the classes.
"""

from __future__ import annotations

READING = frozenset({
    "search", "get", "list", "count", "history", "diff", "why", "why_not", "log", "head", "stats", "verify", "fingerprint", "scan", "review",
    "activations", "activation", "adapters", "adapter", "probe_adapter", "foresee", "job", "jobs", "profile", "server",
})  # fmt: skip
"""Verbs of a cube that change nothing but, later, that it was read; of an adapter, what a probe of it found."""
WRITING = frozenset({
    "add", "update", "forget", "restore", "move", "erase", "accept", "reject", "revert", "cite", "branch", "sweep", "protect",
    "activate", "activate_episodes", "deactivate", "generate", "plan", "write_off", "distil", "mount", "unmount", "drop_adapter",
    "retry", "cancel", "pause", "resume", "run",
})  # fmt: skip
CARRYING = frozenset({"import_file", "export"})
"""Verbs whose file travels with the call."""
VAULT_READING = frozenset({"cubes", "grants", "keys", "log", "heads", "verify"})
VAULT_WRITING = frozenset({"cube", "grant", "revoke", "issue_key"})

FOLDERS = "Its files are on the machine that the vault is on: call it there."
OPEN = "It hands on an open vault, which does not travel."
STAYING = {
    "export_activation": FOLDERS, "import_activation": FOLDERS, "export_adapter": FOLDERS, "mirror": FOLDERS,
    "conversation": "A conversation keeps its state with its program; the proxy has one for programs elsewhere.",
    "prepare": "It brings pages to the hand of a model in this process.",
    "rank": "It is for learning a ranker.", "quoted": "It goes with what was found already; `why` says it.", "call": "It shows how a question is read.",
    "drain": "The queue is worked where the vault is open.", "pending": "`jobs` says it.", "paused": "`jobs` says it.",
    "as_read": "`update` has if_version there.", "acting": OPEN, "once": OPEN, "close": OPEN,
    "page": "`list` has a cursor there.", "walk": "`list` has a cursor there.",
    "kept": "Who asks again with the key of a write is given its answer.",
}  # fmt: skip
"""Verbs and plumbing of a cube that are not for a network, and why."""
VAULT_STAYING = {
    "acting": OPEN, "authenticate": OPEN, "within": OPEN, "close": OPEN, "look": "`/health/ready` says it.",
    "encrypt": "Keys of files stay on their machine.", "decrypt": "Keys of files stay on their machine.",
    "rekey": "Keys of files stay on their machine.", "shred": "Keys of files stay on their machine.",
}  # fmt: skip
