"""Snapshots to disk and back."""
