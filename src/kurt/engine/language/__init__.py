"""The language of a workflow file: reading, checking and describing it; nothing here runs anything."""
