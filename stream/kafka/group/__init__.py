"""The reader of behaviour events, a member of the updaters' consumer group, and what keeps it reading."""
