"""Who may do what, decided from grants alone."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.policy.access import EVERYBODY, HIDDEN, OWNS, READS, ROLES, VERBS, WHOLE, Decision, covers, decide, narrowed
from loci.ports import Reach
from loci.types import Grant, Key, Role, Scope, Trust

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SCOPED = {
    "search",
    "list",
    "count",
    "why_not",
    "add",
    "import",
    "review",
    "activate",
    "activations",
    "generate",
    "prepare",
    "foresee",
    "import_activation",
    "distil",
    "adapters",
}  # fmt: skip  (verbs that say whose memory they are about; the others name a memory)
ANNS = Grant("g1", "ann", Role.CURATOR, "main", user="ann")


def ask(verb: str, scope: Scope, *grants: Grant, principal: str = "ann", memory: str | None = None) -> Decision:
    return decide(principal, verb, scope, grants, NOW, True, memory)


def test_nobody_may_do_anything_without_a_grant() -> None:
    for verb in VERBS:
        assert not ask(verb, Scope("main", user="ann")).is_allowed
        assert not ask(verb, Scope("main", user="ann"), replace(ANNS, principal="bob", role=Role.OWNER, user=None)).is_allowed


@pytest.mark.parametrize(
    ("scope", "memory"),
    [
        (Scope("main"), None),
        (Scope("*"), None),
        (Scope("team.*", user="it's ann"), None),
        (Scope("main", user="ann", session="s 1"), None),
        (Scope("main", agent="a"), None),
        (Scope("main", user="ann"), "ID"),
    ],
)
def test_a_refusal_names_the_narrowest_grant_that_would_do(scope: Scope, memory: str | None) -> None:
    for verb in VERBS - (WHOLE if memory else set()):
        command = re.search(r"`loci grant (.*)` would be one", ask(verb, scope, memory=memory).reason)
        assert command is not None
        principal, role, *options = shlex.split(command[1])
        limits = {word.removeprefix("--"): value for word, value in zip(options[::2], options[1::2], strict=True)}
        given = Grant("g", principal, Role(role), limits.pop("on"), **limits)  # type: ignore[arg-type]
        assert ask(verb, scope, given, memory=memory).is_allowed
        named = {"memory": memory} if memory else {"user": scope.user, "agent": scope.agent, "session": scope.session}
        assert limits == ({} if verb in WHOLE else {word: name for word, name in named.items() if name}), "as narrow as the call"
    assert "--on '*'" in ask("log", Scope("*")).reason
    assert "01M" not in ask("get", Scope("main", user="ann"), memory="01M").reason, "it may be an id that the caller never had"


def test_the_owner_may_do_everything_and_sees_every_row() -> None:
    for verb in VERBS:
        decision = ask(verb, Scope("main"), OWNS, principal="owner")
        assert decision.is_allowed and decision.within is None and decision.trust is Trust.TRUSTED


def test_nothing_is_written_to_a_vault_that_was_opened_for_reading() -> None:
    for verb in VERBS:
        assert decide("owner", verb, Scope("main"), [OWNS], NOW, False).is_allowed is (verb in READS)


def test_a_scope_must_be_named_and_lie_inside_a_grant() -> None:
    for verb in SCOPED & ROLES[Role.CURATOR]:
        assert ask(verb, Scope("main", user="ann"), ANNS).within == (Reach(user="ann"),)
        assert ask(verb, Scope("main", user="ann", session="s"), ANNS).is_allowed
        for scope in (Scope("main"), Scope("main", user="bob"), Scope("main", session="s"), Scope("other", user="ann")):
            assert not ask(verb, scope, ANNS).is_allowed, (verb, scope)


def test_a_memory_is_reached_by_its_own_scope() -> None:
    reached = ask("get", Scope("main", user="ann", session="s"), ANNS, memory="m")
    assert reached.is_allowed and reached.within == (Reach(user="ann"),)
    assert ask("get", Scope("main", user="bob"), ANNS, memory="m").reason == HIDDEN
    assert ask("get", Scope("main", user="bob"), replace(ANNS, memory="m", user=None), memory="m").is_allowed
    assert ask("get", Scope("main", user="bob"), replace(ANNS, memory="n", user=None), memory="m").reason == HIDDEN


def test_what_is_about_the_whole_cube_needs_a_grant_on_it() -> None:
    for verb in WHOLE:
        assert not ask(verb, Scope("main", user="ann"), replace(ANNS, role=Role.OWNER)).is_allowed, verb
        assert ask(verb, Scope("main"), replace(ANNS, role=Role.OWNER, user=None)).is_allowed, verb


@pytest.mark.parametrize("role", Role)
def test_a_role_may_do_its_verbs_and_no_other(role: Role) -> None:
    for verb in VERBS:
        assert ask(verb, Scope("main"), replace(ANNS, role=role, user=None)).is_allowed is (verb in ROLES[role])


def test_a_grant_ends_by_time_and_by_use() -> None:
    assert not ask("get", Scope("main", user="ann"), replace(ANNS, expires=NOW), memory="m").is_allowed
    assert ask("get", Scope("main", user="ann"), replace(ANNS, expires=NOW + timedelta(seconds=1)), memory="m").is_allowed
    assert not ask("get", Scope("main", user="ann"), replace(ANNS, uses=0), memory="m").is_allowed
    assert ask("get", Scope("main", user="ann"), replace(ANNS, uses=1), memory="m").spends == "g1"
    assert ask("get", Scope("main", user="ann"), replace(ANNS, uses=1), replace(ANNS, id="g2"), memory="m").spends is None


def test_a_counted_grant_on_one_memory_is_spent_though_another_is_not_counted() -> None:
    """The grant that opens the memory is the one that pays."""
    one, other = replace(ANNS, id="g2", user=None, memory="m", uses=1), ANNS
    assert ask("get", Scope("main", user="bob"), one, other, memory="m").spends == "g2"
    assert ask("search", Scope("main", user="ann"), one, other).within == (Reach(user="ann"),)


def test_everybody_and_paths() -> None:
    assert ask("get", Scope("team.a"), replace(ANNS, principal=EVERYBODY, cube="team.*", user=None)).is_allowed
    assert not ask("get", Scope("teams"), replace(ANNS, cube="team.*", user=None)).is_allowed
    assert covers("*", "x") and covers("x", "x") and covers("team.*", "team.a.b") and covers("team.*", "team.a.*")
    assert not covers("team.*", "team") and not covers("x", "xy") and not covers("team.a", "team.*") and not covers("team.*", "*")


def test_what_a_writer_writes_is_reported_and_what_a_curator_writes_is_trusted() -> None:
    trusts = {
        role: ask("add", Scope("main"), replace(ANNS, role=role, user=None)).trust for role in (Role.WRITER, Role.CURATOR, Role.OWNER)
    }
    assert trusts == {Role.WRITER: Trust.REPORTED, Role.CURATOR: Trust.TRUSTED, Role.OWNER: Trust.TRUSTED}


roles, names = st.sampled_from(Role), st.sampled_from([None, "ann", "bob"])
cubes = st.sampled_from(["*", "main", "other", "team.*", "team.a"])
given_grants = st.lists(
    st.builds(Grant, st.just("g"), st.just("ann"), roles, cubes, names, names, names, st.sampled_from([None, "m"])), max_size=4
)
scopes = st.builds(Scope, st.sampled_from(["main", "other", "team.a"]), names, names, names)


@given(given_grants, st.builds(Key, st.just("k"), st.just("ann"), st.just(NOW), role=st.none() | roles, cube=st.none() | cubes, user=names), scopes,
       st.sampled_from(sorted(VERBS)), st.sampled_from([None, "m", "n"]))  # fmt: skip
def test_a_key_never_opens_what_its_principal_may_not(grants: list[Grant], key: Key, scope: Scope, verb: str, memory: str | None) -> None:
    by_key = decide("ann", verb, scope, narrowed(grants, key), NOW, True, memory)
    if by_key.is_allowed:
        assert decide("ann", verb, scope, grants, NOW, True, memory).is_allowed
        assert key.role is None or verb in ROLES[key.role]
        assert key.cube is None or covers(key.cube, scope.cube)
        if key.user is not None:
            assert by_key.within is not None and all(reach.user == key.user for reach in by_key.within)


@given(given_grants, given_grants, scopes, st.sampled_from(sorted(VERBS)), st.sampled_from([None, "m"]))
def test_a_further_grant_takes_nothing_away(grants: list[Grant], more: list[Grant], scope: Scope, verb: str, memory: str | None) -> None:
    if decide("ann", verb, scope, grants, NOW, True, memory).is_allowed:
        assert decide("ann", verb, scope, [*grants, *more], NOW, True, memory).is_allowed
