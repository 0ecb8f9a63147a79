"""Text generation: settings, prompts, sampling, beam search, stopping."""
