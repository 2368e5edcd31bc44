"""What `overhead.py` compares: who measures (`arms`), what they do (`work`), in processes of their own (`worker`)."""
