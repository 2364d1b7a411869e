"""The self-play workers of all hosts: what each slot should play, and making it so."""
