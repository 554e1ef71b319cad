"""Reading a Python workflow module for what breaks durability, without importing it."""
