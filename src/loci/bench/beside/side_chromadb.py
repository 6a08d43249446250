"""Chroma on disk: a collection for each conversation, in cosine space."""

import chromadb
from chromadb.config import Settings
from side_data import HOME, main

client = chromadb.PersistentClient(str(HOME / "chroma"), Settings(anonymized_telemetry=False))


def rank(conversation):
    turns = client.create_collection(
        f"conversation-{conversation.place}", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
    )
    for start in range(0, len(conversation.ids), 1000):
        part = slice(start, start + 1000)
        turns.add(conversation.ids[part], conversation.vectors[part], documents=conversation.texts[part])
    depth = min(conversation.depth, len(conversation.ids))
    for vector in conversation.asked_vectors:
        yield turns.query([vector], n_results=depth)["ids"][0]


main(rank)
