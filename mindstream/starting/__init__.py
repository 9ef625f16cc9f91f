"""What is there before everything else of a process."""
