"""Local buildkitd, registry and S3 store: found or built, started, watched and stopped."""
