"""The shared emission model: what the light of a sample is. Needs numpy and nothing else of the project."""
