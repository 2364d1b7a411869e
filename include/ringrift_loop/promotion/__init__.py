"""Regression gate, champion gate, promotion."""
