"""What a store in Redis stands on: its address, its connections, whose store it is, and whether it lost anything."""
