"""A registration from images to results: checks, stages, fallback, uncertainty."""
