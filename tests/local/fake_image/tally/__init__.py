"""Stands for the training and serving images: the same commands and files, no torch, done in no time."""
