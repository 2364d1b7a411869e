"""The network: encoding, model, export, inference."""
