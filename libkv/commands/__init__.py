"""The commands, one module a Redis group; importing this package binds them all and seals the command table."""

from importlib import import_module
from pkgutil import iter_modules

from libkv.engine.registry import registry_seal

# every compiled module here binds its commands as it is imported
for _module in sorted(m.name for m in iter_modules(__path__) if not m.ispkg):
    import_module(f"{__name__}.{_module}")
registry_seal()
