"""The doors that serve: they parse, call one verb, and answer. Web frameworks are known here and nowhere else."""
