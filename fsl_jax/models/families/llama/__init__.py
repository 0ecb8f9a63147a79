"""Llama, Mistral, Qwen and Gemma."""
