"""Repair: users who cannot be read are found, and what is stored of them is set aside or put back."""
