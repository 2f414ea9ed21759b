"""Faults at random moments, and the proof that nothing is lost, doubled or reordered by them."""
