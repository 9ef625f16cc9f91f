"""Training: batches, losses, the loop, warm start, and tuning on the validation users."""
