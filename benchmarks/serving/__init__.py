"""Our endpoint beside the servers that people use instead, in one run: `make bench-serving`."""
