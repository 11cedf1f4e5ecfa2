"""The client's own version; the API's is the first part of its path."""

__version__ = "0.1.0"
