"""Model families, one a file, behind the `SpeechLM` contract of `base.py`."""
