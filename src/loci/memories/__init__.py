"""The kinds of memory. Plaintext is here; activation and parametric memory join it as payloads of the same unit."""
