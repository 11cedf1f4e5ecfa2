"""Parts of the stacks, one task each."""
