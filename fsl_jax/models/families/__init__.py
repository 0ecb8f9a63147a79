"""The families of models, one folder each, and the registry that lists them."""
