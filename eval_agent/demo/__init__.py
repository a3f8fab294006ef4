"""Demo games: household rooms of the project's own, in ALFWorld's game format."""
