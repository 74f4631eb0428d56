"""A dataflow engine whose processes form their own mesh."""

__version__ = "0.1.0"
