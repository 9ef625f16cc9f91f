"""How a cluster knows us: secrets, tokens and certificates, read again for each connection, and what brokers answer."""
