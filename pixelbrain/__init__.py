"""Pixelbrain."""
