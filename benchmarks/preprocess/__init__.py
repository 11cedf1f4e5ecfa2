"""The Preprocess job beside bare decoding, resizing and encoding."""
