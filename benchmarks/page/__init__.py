"""One user's page, from the stored state to the written answer."""
