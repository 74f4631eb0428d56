"""The connections between the processes of a cluster."""
