"""One exception for everything a person can mend; anything else that escapes is a bug."""


class TallyError(Exception):
    """A job cannot go on. The message names the object, the bad value and the remedy."""
