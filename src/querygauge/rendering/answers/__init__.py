"""The answers of a store as people read them: one file each, from a frozen value to plain text."""
