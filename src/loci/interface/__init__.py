"""The interface layer: words in, words out. MemReader turns messages into candidates and questions into MemoryCalls."""
