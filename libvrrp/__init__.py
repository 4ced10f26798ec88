"""libvrrp: a virtual address that is on exactly one router.

`libvrrp.packet` holds the wire formats, `libvrrp.config` the settings, `libvrrp.fsm` and `libvrrp.bfd` the protocol
machines (no I/O, no clock), `libvrrp.testing` a simulated segment to run them on, and `libvrrp.host` the sockets,
addresses and the thread that make them real.
"""

from libvrrp.errors import CapabilityError, ConfigError, PacketError, VrrpError

__all__ = ["CapabilityError", "ConfigError", "PacketError", "VrrpError"]
