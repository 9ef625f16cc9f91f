"""Interaction logs, and the arrays that training and evaluation make of them."""
