"""Drivers: each knows one engine or model, and nothing of the kernel but its types, errors and ports."""
