"""Models and services, each a batch of images in and one struct column out."""
