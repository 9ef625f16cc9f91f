"""The second stage: rankers beside the orders that need none, on the same candidates of the same users."""
