"""The wordings in which people tell keyed facts: tables of verbs and nouns, and the readers of one sentence that use them."""
