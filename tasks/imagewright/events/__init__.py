"""What a run is about, as the CI or the local git state tells it."""
