"""What a run is configured by: `run.py` has the fields and their bounds, `presets.py` their values, `options.py` the command line's."""
