"""Where alerts can be sent: one service a file, each an `AlertChannel`; what they share is `fields` and `posting`."""
