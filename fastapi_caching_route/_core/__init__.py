"""Our own nouns, pure: no await, clock, chance, logging, framework or stores. Knows only errors and HTTP."""
