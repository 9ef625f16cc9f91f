"""What commands that run until they are stopped share: signals, and waiting for who does not answer yet."""
