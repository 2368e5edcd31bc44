"""What is wrong, from what the store holds: rules, whom to tell, and how. Never imported by a host."""
