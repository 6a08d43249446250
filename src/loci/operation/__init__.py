"""The operation layer: taking in, finding, changing, and the work that goes on in the background."""
