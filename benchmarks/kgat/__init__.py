"""KGAT alone as a recommender, beside another implementation."""
