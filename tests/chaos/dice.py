"""Which dice a seed of chaos is for: to be raised whenever what is drawn from it changes."""

DICE = 10
