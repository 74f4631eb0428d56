"""A private mesh for engines that have none: their connections, carried under mutual TLS.

Every process sees one ordered list of loopback addresses, equal on all hosts. Where a process
runs, its engine listens on its own address; everywhere else, relays listen there and carry each
connection to that process's relay, which connects to the engine from the address of who has
dialed. A connection is held until the engine at the far end listens; a half-close goes through
behind the data before it; a link that breaks resets both ends.

One relay belongs to one process, is started by its supervisor, and lives as long as that. Relays
of one host share its loopback addresses (`SO_REUSEPORT`), so that none depends on another.
"""
