"""Whether an adapter may answer: what its examination has to have found. Pure.

The measures are those of arXiv 2303.17557, each against the model as it was before; the marks are ours.
"""

from __future__ import annotations

import math

from loci.ports.adapting import Examined

LEAST_SHARE = 0.95  # of what is recalled with the text in context
LEAST_RECALL = 0.9  # in any case: its memories' text is left out of prompts
MOST_COLLATERAL = 0.01  # of what it expected untouched text to be


def faults(found: Examined) -> tuple[str, ...]:
    """Why it may not, a sentence each; none: it may."""
    told = []
    if not found.questions:
        return ("Nothing could be asked about its memories, so nobody knows what it learned.",)
    if not all(math.isfinite(value) for value in (found.recognition, found.recall, found.recall_in_text, found.collateral)):
        return ("The examination gave what is no number.",)
    wanted = max(LEAST_SHARE * found.recall_in_text, LEAST_RECALL)
    if not found.recall >= wanted:
        in_text = f"{found.recall_in_text:.1%} with the text in context"
        told.append(
            f"It recalls {found.recall:.1%} from the cue alone; {wanted:.1%} is asked for ({in_text}, {found.recall_before:.1%} before)."
        )
    if not found.recognition >= found.recognition_before:
        told.append(f"It recognises {found.recognition:.1%} of what it learned, and did {found.recognition_before:.1%} before.")
    if not found.collateral <= MOST_COLLATERAL:
        told.append(f"It expects other texts {found.collateral:.2%} less than before; {MOST_COLLATERAL:.0%} is allowed.")
    return tuple(told)
