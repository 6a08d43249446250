"""Models of transformers that run here: what they keep of a text they have read, exactly or under a budget."""
