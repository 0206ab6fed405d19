"""Flights, pauses, tasks: a leaf. Knows nothing of ours."""
