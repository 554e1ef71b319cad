"""Child processes: starting, feeding, limiting and ending them with everything they started."""
