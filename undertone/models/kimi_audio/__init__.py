"""Kimi-Audio (Kimi Team 2025, arXiv 2504.18425), our own implementation on the layers of Transformers."""
