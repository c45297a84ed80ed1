"""The layer cache: what it is called, what builds read and write of it, and how its store is kept small and sound."""
