"""Pure functions on text: words, sentences, dates, entities and kinds of speech. No I/O, no clock, no chance."""
