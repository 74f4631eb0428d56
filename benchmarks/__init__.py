"""Side-by-side measurements: this engine, its peer Bytewax, and plain Python loops."""
