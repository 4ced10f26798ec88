"""Lua scripts and functions: the interpreter, its sandbox, its libraries, and the commands' side of them."""
