"""What a content engineer wants to know of all documents: duplicates, stale pages, thin ones, links that lead nowhere."""
