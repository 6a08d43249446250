"""Decisions: pure functions of the facts they are handed. No I/O, no clock, no chance; the same facts, the same decision."""
