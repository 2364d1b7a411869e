"""The Universal Game Interface: any program that speaks it can play against a model or a baseline."""
