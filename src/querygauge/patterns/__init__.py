"""SQL text to patterns; pure: no I/O, no clock, no host library."""
