"""The real thing: `Host` runs a `libvrrp.config.Config` with sockets, addresses and one thread without the GIL."""

from libvrrp.host.host import Host, Notice, missing_capabilities

__all__ = ["Host", "Notice", "missing_capabilities"]
