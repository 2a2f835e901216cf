"""What people look at: the gallery, exports and search."""
