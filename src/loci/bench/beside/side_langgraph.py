"""LangGraph's store in memory with its vector index: a namespace for each conversation."""

from langgraph.store.memory import InMemoryStore
from side_data import main


def rank(conversation):
    index = {"dims": len(conversation.vectors[0]), "embed": conversation.embed, "fields": ["text"]}
    store, namespace = InMemoryStore(index=index), (f"conversation-{conversation.place}",)
    for turn, text in zip(conversation.ids, conversation.texts, strict=True):
        store.put(namespace, turn, {"text": text})
    for question in conversation.asked:
        yield [hit.key for hit in store.search(namespace, query=question, limit=conversation.depth)]


main(rank)
