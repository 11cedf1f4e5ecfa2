"""Training's input and its ranks, beside what they are measured against."""
