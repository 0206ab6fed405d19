"""Entries, and what invalidates them. Knows neither requests, messages, routes nor the framework."""
