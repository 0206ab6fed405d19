"""Declared routes, before any request. Knows neither the messages of a cached response nor the inside of stores."""
