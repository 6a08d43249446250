"""What secrets and personal data look like: folding of disguises, formats of services, words around passwords, check digits."""
