"""Drawings of the graph of images: text in, text out, and the same text for the same graph."""
