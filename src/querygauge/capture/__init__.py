"""Library callbacks to record calls; holds no totals."""
