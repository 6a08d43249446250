"""mem0 in raw mode (no model judges what is kept), Qdrant on disk: a memory for each conversation.

Its keyword and entity scores stay off, as after a plain `pip install mem0ai`: they want fastembed's and spaCy's models from hubs.
"""

import os

from side_data import HOME, main

os.environ.update(MEM0_DIR=str(HOME / "mem0"), MEM0_TELEMETRY="False", OPENAI_API_KEY="unused", ANONYMIZED_TELEMETRY="False")

from mem0 import Memory


class LookUp:
    """mem0's embedder, by vectors computed beforehand."""

    def __init__(self, conversation):
        self._conversation = conversation

    def embed(self, text, memory_action=None):
        return self._conversation.embed([text])[0]

    def embed_batch(self, texts, memory_action=None):
        return self._conversation.embed(texts)


def rank(conversation):
    path, size = HOME / f"conversation-{conversation.place}", len(conversation.vectors[0])
    store = {"collection_name": "turns", "path": str(path), "embedding_model_dims": size, "on_disk": True}
    memory = Memory.from_config({"vector_store": {"provider": "qdrant", "config": store}, "history_db_path": str(HOME / "history.db")})
    memory.embedding_model = LookUp(conversation)
    for turn, text in zip(conversation.ids, conversation.texts, strict=True):
        memory.add(text, user_id="u", metadata={"turn": turn}, infer=False)
    for question in conversation.asked:
        found = memory.search(question, filters={"user_id": "u"}, top_k=conversation.depth, threshold=0.0)
        yield [hit["metadata"]["turn"] for hit in found["results"]]
    memory.vector_store.client.close()


main(rank)
