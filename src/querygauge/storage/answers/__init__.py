"""The questions a store answers: one file each, from an open database to one frozen value."""
