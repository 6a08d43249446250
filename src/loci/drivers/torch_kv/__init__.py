"""KV memories of a model that runs here, on torch and transformers (extra `activation`)."""
