"""libkv: a compiled Redis-compatible data-structure store, in process or on the wire."""

import libkv.commands  # binds every command before the first store is made  # noqa: F401
from libkv.api.store import Store

__all__ = ["Store"]
