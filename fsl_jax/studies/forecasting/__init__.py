"""How much time and memory a study needs."""
