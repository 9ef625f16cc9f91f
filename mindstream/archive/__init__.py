"""The folder of an archive of events, as those who write it and those who read it share it."""
