"""Forecast the time and memory that a study needs."""
