"""Doors in the shape of other systems: a program that was written for one of them changes an import. They translate, and call the verbs."""
