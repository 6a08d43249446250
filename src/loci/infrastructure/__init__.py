"""The infrastructure layer: governance, the vault of cubes, loading and dumping."""
