"""The control tool of hostmesh; it runs on the operator's machine."""

__distribution__ = "hostmesh"
