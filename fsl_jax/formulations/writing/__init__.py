"""The formulation of written answers, whose text a model is to write."""
