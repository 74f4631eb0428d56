"""What a test has of hosts and operators."""

from collections.abc import Sequence
from pathlib import Path

from tests.fleet.hosts import FleetHost, Pool, Wish, name_of
from tests.fleet.site import Site


class Fleet:
    """The hosts of one test.

    Calling it adds hosts, named alpha, beta and so on; they are given back after the test.

    Args:
        pool: Where they come from.
        folder: For the sites.

    Attributes:
        hosts: All so far.
    """

    def __init__(self, pool: Pool, folder: Path) -> None:
        self.hosts: list[FleetHost] = []
        self._pool = pool
        self._folder = folder
        self._sites: list[Site] = []

    def __call__(
        self,
        count: int,
        *,
        python: str | Sequence[str] | None = None,
        disk: str | None = None,
        options: Sequence[str] = (),
    ) -> list[FleetHost]:
        """Have hosts.

        Args:
            count: How many.
            python: The version of all hosts, or of each; containers have 3.11 or 3.13.
            disk: Gives the homes disks of this size, such as "16m", emptied by a loss of power.
            options: Lines of sshd_config, such as "MaxStartups 2".
        """
        pythons = [python] * count if python is None or isinstance(python, str) else python
        first = len(self.hosts)
        wishes = [
            Wish(name_of(first + number), each, disk, tuple(options))
            for number, each in zip(range(count), pythons, strict=True)
        ]
        taken = self._pool.take(wishes)
        self.hosts += taken
        return taken

    @property
    def operator(self) -> str:
        """The address that hosts see operators come from."""
        return self._pool.operator

    def site(self) -> Site:
        """Have an operator; each call makes another one, with the same key."""
        made = Site(self._folder / str(len(self._sites)), self._pool.key)
        self._sites.append(made)
        return made

    def close(self) -> None:
        """End all commands and give all hosts back."""
        for site in self._sites:
            site.close()
        self._pool.give_back(self.hosts)
