"""A compressor of documents on a model of transformers: made, trained, kept; for `methods/cmt.py`."""
