"""Fetching records past what the client cannot parse: damaged batches, odd records, codecs that are missing."""
