"""What a run leaves behind: the run folder, its records, and how they are read back."""
