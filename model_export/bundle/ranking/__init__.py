"""The second stage: the features of candidates, and the ranker that scores them."""
