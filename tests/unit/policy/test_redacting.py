"""What a cube does with what it finds: keep, mask, refuse, and reasons that give nothing away."""

import pytest

from loci.errors import Invalid
from loci.policy.redacting import KEEP, Rules, treat

SECRET = "gh" + "p_" + "a1B2c3D4e5F6" * 3
TEXT = f"my token is {SECRET}, write to ada@example.com"


def test_the_default_masks_secrets_and_keeps_who_somebody_is() -> None:
    treatment = treat(TEXT, Rules())
    assert treatment.action == "mask" and [f.kind for f in treatment.findings] == ["github_token"]
    assert treat("write to ada@example.com", Rules()) == KEEP


@pytest.mark.parametrize(
    ("rules", "action", "kinds"),
    [
        (Rules("keep", "keep"), "keep", []),
        (Rules("mask", "mask"), "mask", ["github_token", "email"]),
        (Rules("keep", "mask"), "mask", ["email"]),
        (Rules("refuse", "mask"), "refuse", ["github_token"]),
        (Rules("mask", "refuse"), "refuse", ["email"]),
    ],
)
def test_each_group_is_treated_by_its_own_rule(rules: Rules, action: str, kinds: list[str]) -> None:
    treatment = treat(TEXT, rules)
    assert (treatment.action, [f.kind for f in treatment.findings]) == (action, kinds)


def test_a_reason_counts_kinds_and_holds_nothing_of_the_secret() -> None:
    assert treat(TEXT, Rules("mask", "mask")).reason == "masked 1 email, 1 github_token"
    refused = treat(f"{TEXT} and password: hunter2!", Rules("refuse"))
    assert refused.reason == "refused: it holds 1 github_token, 1 password"
    assert SECRET not in repr(refused) and "hunter2" not in repr(refused)


def test_an_unknown_action_says_which_there_are() -> None:
    with pytest.raises(Invalid, match="keep, mask, refuse"):
        Rules.of("hide", "keep")
