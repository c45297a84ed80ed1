"""Families: many tags of one image, from one `image.yml` and its templates."""
