"""Who still needs an image: whatever names it in files, and the images that are built on it."""
