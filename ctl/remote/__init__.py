"""What runs on the hosts: the standard library is all it needs."""
