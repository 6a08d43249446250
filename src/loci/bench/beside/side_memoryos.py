"""MemOS, general textual memory over Qdrant on disk, without its extraction: a memory for each conversation."""

import os
import uuid

from side_data import HOME, main

os.environ["MEMOS_BASE_PATH"] = str(HOME)

from memos.configs.memory import GeneralTextMemoryConfig
from memos.memories.textual.general import GeneralTextMemory
from memos.memories.textual.item import TextualMemoryItem

NOWHERE = "http://127.0.0.1:9"  # the constructor wants a model to extract with and one to embed with; neither is called


def rank(conversation):
    named = {"model_name_or_path": "unused", "api_key": "unused"}
    name = f"conversation-{conversation.place}"
    store = {
        "collection_name": name,
        "vector_dimension": len(conversation.vectors[0]),
        "distance_metric": "cosine",
        "path": str(HOME / name),
    }
    memory = GeneralTextMemory(
        GeneralTextMemoryConfig(
            extractor_llm={"backend": "openai", "config": {**named, "api_base": NOWHERE}},
            embedder={"backend": "universal_api", "config": {**named, "provider": "openai", "base_url": NOWHERE}},
            vector_db={"backend": "qdrant", "config": store},
        )
    )
    memory.embedder = conversation
    turn_of = {str(uuid.uuid5(uuid.NAMESPACE_OID, turn)): turn for turn in conversation.ids}
    memory.add([TextualMemoryItem(id=i, memory=text) for i, text in zip(turn_of, conversation.texts, strict=True)])
    for question in conversation.asked:
        yield [turn_of[hit.id] for hit in memory.search(question, conversation.depth)]
    memory.vector_db.client.close()


main(rank)
