"""A dataflow engine whose processes form their own mesh."""

__distribution__ = "hostmesh"
__version__ = "0.1.0"
