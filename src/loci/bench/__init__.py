"""Measures of Loci, for anybody to repeat: retrieval, conflict, latency, answers; beside other systems."""
