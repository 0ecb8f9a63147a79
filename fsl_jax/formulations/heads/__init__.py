"""Formulations with a linear layer on hidden states of the model."""
