"""Scoring a test split: a thread a CPU for everything, beside decoding and network in turns."""
