"""Many pairs at once: benchmarks, cohorts, multi-atlas segmentation."""
