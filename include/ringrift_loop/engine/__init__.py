"""The rules of RingRift: boards, states, legal moves, notation. Start with rules.py, then game.py."""
