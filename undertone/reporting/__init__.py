"""Rows of a run folder → tables, curves, sentences, one self-contained page."""
