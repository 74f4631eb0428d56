"""What the measured processes run; `engine` is replaced by the root of the peer for the peer."""
