"""What every side script shares: the data out of the folder in argv[1], rankings.json into it. Knows nothing of Loci."""

import json
import sys
from pathlib import Path

import numpy as np

HOME = Path(sys.argv[1])


class Conversation:
    """Texts by id with their vectors, for a collection or a user of its own; ``place`` tells it from the others."""

    def __init__(self, place, depth, turns, questions, vectors):
        self.place, self.depth = place, depth
        self.ids, self.texts = [i for i, _ in turns], [text for _, text in turns]
        self.asked = [text for _, text in questions]
        self.vectors, self.asked_vectors = vectors[: len(turns)], vectors[len(turns) :]
        self._known = dict(zip((text.strip() for text in (*self.texts, *self.asked)), vectors, strict=True))

    def embed(self, texts):
        """The vectors that were computed beforehand, whether or not a system strips the text; one without is a mistake of the script."""
        return [self._known[text.strip()] for text in texts]


def main(rank):
    """Calls ``rank`` with each conversation; it yields the turn ids of each question, best first."""
    data = json.loads((HOME / "data.json").read_text("utf-8"))
    vectors = np.load(HOME / "vectors.npy").astype(float)
    rankings, done = {}, 0
    for place, told in enumerate(data["conversations"]):
        turns, questions = told["turns"], told["questions"]
        size = len(turns) + len(questions)
        conversation = Conversation(place, data["depth"], turns, questions, vectors[done : done + size].tolist())
        found = rank(conversation) if turns else [[] for _ in questions]
        rankings.update({question: ranked for (question, _), ranked in zip(questions, found, strict=True)})
        done += size
        print(f"done {done}", flush=True)
    (HOME / "rankings.json").write_text(json.dumps(rankings), "utf-8")
