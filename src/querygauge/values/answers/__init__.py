"""What a store answers when it is asked a question: one value for each, made of what crosses rooms already."""
