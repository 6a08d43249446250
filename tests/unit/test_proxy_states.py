"""The states of the proxy's conversations, met by two threads at once."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("mcp", reason="the door's framework is not installed: pip install 'loci-memos[mcp]'")

from loci.server.proxy import states
from loci.server.proxy.states import Record, States


@pytest.mark.parametrize("filed", [None, {"state": "old"}])
def test_what_is_put_while_another_thread_looks_stays(tmp_path: Path, filed: Record | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if filed is not None:
        before = States(tmp_path)
        before.put("a", filed)
        before.save("a")
    made = States(tmp_path)
    read = states._read

    def meanwhile(file: Path) -> Record | None:
        found = read(file)
        made.put("a", {"state": "new"})
        return found

    monkeypatch.setattr(states, "_read", meanwhile)
    assert made.get("a") == {"state": "new"}
    made.save("a")
    assert made.get("a") == {"state": "new"} == States(tmp_path).get("a")
