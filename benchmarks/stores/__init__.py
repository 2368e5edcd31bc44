"""What `store.py` and `history.py` measure: stores of any size (`filling`), and snapshots to be folded (`flushed`)."""
