"""Training and prediction on texts of different lengths, here and in peers."""
