"""A causal model of transformers that learns: adapters are trained, examined, mounted and exported beside weights that nobody touches (extra ``parametric``)."""
