"""Evaluation of a saved adapter on a data set."""
