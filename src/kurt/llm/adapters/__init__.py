"""Other libraries behind the protocol of Kurt's own client; each is an extra and loaded when it is used."""
