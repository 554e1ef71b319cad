"""What people ask and talk about, from the places where they do."""
