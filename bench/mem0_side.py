"""The other side of `bench.against_mem0`: runs inside mem0's own environment, knows nothing of Loci, prints JSON.

Reads texts.json, vectors.npy, questions.json and question_vectors.npy from the folder in argv[1]: embeddings are looked up on
both sides, so that what is compared is the memory system.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

home = Path(sys.argv[1])
os.environ.update(MEM0_DIR=str(home / "mem0"), MEM0_TELEMETRY="False", OPENAI_API_KEY="unused", ANONYMIZED_TELEMETRY="False")

import numpy as np  # noqa: E402
from mem0 import Memory  # noqa: E402


class LookUp:
    def __init__(self):
        self.known = {}
        for name in ("texts", "questions"):
            vectors = np.load(home / ("vectors.npy" if name == "texts" else "question_vectors.npy")).astype(float).tolist()
            self.known.update(zip(json.loads((home / f"{name}.json").read_text()), vectors, strict=True))

    def embed(self, text, memory_action=None):
        return self.known[text]

    def embed_batch(self, texts, memory_action=None):
        return [self.known[t] for t in texts]


memory = Memory.from_config(
    {
        "vector_store": {
            "provider": "qdrant",
            "config": {"collection_name": "bench", "path": str(home / "qdrant"), "embedding_model_dims": 384, "on_disk": True},
        },
        "history_db_path": str(home / "history.db"),
    }
)
memory.embedding_model = LookUp()
texts = json.loads((home / "texts.json").read_text())
questions = json.loads((home / "questions.json").read_text())

adds = []
begin = time.perf_counter()
for text in texts:
    start = time.perf_counter()
    memory.add(text, user_id="u", infer=False)
    adds.append(time.perf_counter() - start)
bulk = time.perf_counter() - begin

searches, found = [], []
for question in questions:
    start = time.perf_counter()
    answer = memory.search(question, filters={"user_id": "u"}, top_k=10, threshold=0.0)
    searches.append(time.perf_counter() - start)
    found.append([hit["memory"] for hit in answer["results"]])
print(
    json.dumps(
        {
            "memories": len(texts),
            "adds_per_second": len(texts) / bulk,
            "add_ms": 1000 * statistics.median(adds),
            "search_ms": 1000 * statistics.median(searches),
            "found": found,
        }
    )
)
