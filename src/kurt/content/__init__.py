"""Documents: what they are called, where their text lies, what is known of them, and how they are found again."""
