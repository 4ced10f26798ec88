"""The store's files.  Redis docs: https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/"""

# mypy: no-warn-return-any

from __future__ import annotations

import datetime
from typing import Any

from libkv.api.arguments import Handle


class PersistenceCommands(Handle):
    """Snapshots, and the journal's rewriting."""

    def bgrewriteaof(self, **kwargs: Any) -> Any:
        """Starts rewriting the journal as short as the data allow, in the background.  Redis: BGREWRITEAOF."""
        return self.execute_command("BGREWRITEAOF", **kwargs)

    def bgsave(self, schedule: bool = True, **kwargs: Any) -> Any:
        """Starts writing a snapshot in the background; `schedule`: after the child that is at work.  Redis: BGSAVE."""
        return self.execute_command("BGSAVE", *(["SCHEDULE"] if schedule else []), **kwargs)

    def lastsave(self, **kwargs: Any) -> datetime.datetime:
        """When the last snapshot was written, in local time.  Redis: LASTSAVE."""
        return self.execute_command("LASTSAVE", **kwargs)

    def save(self, **kwargs: Any) -> bool:
        """Writes a snapshot; the store waits meanwhile.  Redis: SAVE."""
        return self.execute_command("SAVE", **kwargs)
