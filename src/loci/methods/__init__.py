"""Mechanisms of other papers, one file each: frozen dataclasses of their hyper-parameters, plugged into a port. Tensors in, scores out."""
