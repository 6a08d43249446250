"""One word at every door: each verb of a cube and of the vault is in the table of system calls, with what the doors make of it."""

from __future__ import annotations

import inspect

import pytest

pytest.importorskip("starlette", reason="what serves is not installed: pip install 'loci-memos[serve]'")

from loci.policy import access
from loci.server.calls import CUBE_CALLS, IMPORT, LEFT_OUT, RENAMED, VAULT_CALLS
from loci.server.openapi import described
from loci.system import Cube, System, table


def verbs(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def test_every_verb_is_offered_or_says_why_not() -> None:
    assert verbs(Cube) == table.READING | table.WRITING | table.CARRYING | set(table.STAYING)
    assert verbs(System) == table.VAULT_READING | table.VAULT_WRITING | set(table.VAULT_STAYING)
    assert not table.READING & table.WRITING and not (table.READING | table.WRITING) & set(table.STAYING)


def test_what_only_looks_is_what_the_gate_takes_for_looking() -> None:
    gated = (table.READING | table.WRITING) & access.VERBS
    assert {verb for verb in gated if verb in access.READS} - table.READING == {"generate", "cite", "plan"}, (
        "these may write if they are told to"
    )
    assert {"scan"} == table.READING & access.WRITES


@pytest.mark.parametrize("verb", sorted(CUBE_CALLS))
def test_a_verb_has_the_same_fields_over_a_network(verb: str) -> None:
    spelled = RENAMED.get(verb, {})
    fields = {spelled.get(name, name) for name in inspect.signature(getattr(Cube, verb)).parameters} - {"self"} - LEFT_OUT
    assert set(CUBE_CALLS[verb].hints) - {"if_version"} == fields
    (body,) = described()["paths"][f"/api/cubes/{{cube}}/{verb}"]["post"]["requestBody"]["content"].values()
    assert set(body["schema"]["properties"]) - {"if_version", "cursor"} == fields


def test_the_document_has_every_verb_and_every_problem() -> None:
    paths = described()["paths"]
    assert {path.rsplit("/", 1)[1] for path in paths if path.startswith("/api/cubes/{cube}/")} == {*CUBE_CALLS, *table.CARRYING}
    assert {path.removeprefix("/api/") for path in paths if path.startswith("/api/") and "{" not in path} == set(VAULT_CALLS)
    for path, operations in paths.items():
        for operation in operations.values():
            assert operation["summary"], path
            if path.startswith("/api/"):
                assert {"401", "403", "404", "422", "503"} <= set(operation["responses"]), path


def test_a_file_comes_and_goes_with_the_fields_of_its_verb() -> None:
    """Its name stands for its path, and what is signed stays where the keys are."""
    paths = described()["paths"]
    fields = {verb: set(inspect.signature(getattr(Cube, verb)).parameters) - {"self", "progress", "path"} for verb in table.CARRYING}
    asked = {
        verb: {one["name"] for one in paths[f"/api/cubes/{{cube}}/{verb}"]["post"]["parameters"]} - {"cube"} for verb in table.CARRYING
    }
    assert asked["import_file"] - {"name"} == fields["import_file"] - {"signed_by"} == set(IMPORT.hints) - {"path"}
    assert fields["export"] == {"overwrite", "sign"} and not asked["export"]
