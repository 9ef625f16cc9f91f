"""What a secured broker takes: listeners with TLS and SASL, and an issuer of tokens."""
