"""The families of models: one folder each, and the registry of all."""
