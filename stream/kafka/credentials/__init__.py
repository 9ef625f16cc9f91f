"""How a cluster knows us: secrets, tokens and certificates, each read again when a connection is made."""
