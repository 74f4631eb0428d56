"""Sources and sinks that are ready to use."""
