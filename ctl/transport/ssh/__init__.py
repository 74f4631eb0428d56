"""Hosts over SSH: settings as OpenSSH has them, host keys verified, fabric and paramiko below."""
